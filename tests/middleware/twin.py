"""The oracle: the same numbers counted by an ordinary Python middleware, written to be obviously right."""

from __future__ import annotations

import asyncio
import functools
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from tests.middleware.asgi import App, Message, Receive, Scope, Send

KNOWN = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"}
SELDOM = {"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"}


@types.coroutine
def watched(coroutine: Coroutine[Any, Any, None], wait: Callable[[], None]) -> Generator[Any, Any, None]:
    """Drives a coroutine as ``await`` does, and says whenever it waits for something."""
    step = functools.partial(coroutine.send, None)
    while True:
        try:
            waited_for = step()
        except StopIteration:
            return
        wait()
        try:
            step = functools.partial(coroutine.send, (yield waited_for))
        except BaseException as error:
            step = functools.partial(coroutine.throw, error)


async def awaiting(awaitable: Awaitable[None]) -> None:
    """Any awaitable as a coroutine."""
    await awaitable


class Twin:
    """Counts into one `Counter`, by sample name and label values in the order of the labels' names."""

    def __init__(self, app: App, endpoint: str) -> None:
        self.app = app
        self.endpoint = endpoint
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = {"status": None, "size": 0}
        state |= dict.fromkeys(["complete", "gone", "streams", "listened", "closed"], False)

        async def see(message: Message) -> None:
            if (
                message["type"] == "http.response.start"
                and message["status"] >= 200
                and state["status"] is None
            ):
                state["status"] = message["status"]
            elif message["type"] == "http.response.body":
                state["size"] += len(message.get("body", b""))
                if not message.get("more_body", False):
                    state["complete"] = True
                elif message.get("body"):
                    state["streams"] = True
            await send(message)

        async def hear() -> Message:
            state["listened"] = True
            message = await receive()
            if message["type"] == "http.disconnect" and not state["complete"]:
                state["gone"] = True
            return message

        def wait() -> None:
            if state["complete"] and state["status"] is not None and not state["closed"]:
                # The response went out whole, and the application goes on.
                state["closed"] = True
                self.in_flight -= 1
                self.count(scope, dict(state), "returned")

        ending = "returned"
        self.in_flight += 1
        try:
            await watched(awaiting(self.app(scope, hear, see)), wait)
        except asyncio.CancelledError:
            ending = "cancelled"
            raise
        except OSError as error:
            ending = "gone" if state["gone"] else type(error).__name__
            raise
        except BaseException as error:
            ending = type(error).__name__
            raise
        finally:
            if state["closed"]:
                self.count_background(scope, ending)
            else:
                self.in_flight -= 1
                self.count(scope, state, ending)

    def count_background(self, scope: Scope, ending: str) -> None:
        """What an application did after its response."""
        method = scope["method"] if scope["method"] in KNOWN else "OTHER"
        self.counts["http_background_duration_seconds_count", self.endpoint, method] += 1
        if ending not in ("returned", "cancelled", "gone"):
            self.counts["http_exceptions_total", self.endpoint, ending, method] += 1

    def count(self, scope: Scope, state: dict[str, Any], ending: str) -> None:
        """What all that amounts to."""
        method = scope["method"] if scope["method"] in KNOWN else "OTHER"
        labels = (self.endpoint, method)
        raised = ending not in ("returned", "cancelled", "gone")
        gone = state["gone"] or ending == "gone"
        if raised and not (state["complete"] and state["status"] is not None):
            status = 500
        elif state["status"] is not None:
            status = state["status"]
        else:
            status = 500 if ending == "returned" and not gone else 499
        self.counts["http_requests_total", *labels, str(status)] += 1
        self.counts["http_request_duration_seconds_count", *labels] += 1
        if raised:
            self.counts["http_exceptions_total", self.endpoint, ending, method] += 1
        if gone:
            self.counts["http_client_disconnects_total", *labels] += 1
        elif ending == "cancelled" and not state["complete"]:
            self.counts["http_requests_cancelled_total", *labels] += 1
        if state["streams"]:
            self.counts["http_response_first_byte_seconds_count", *labels] += 1
        if method != "HEAD":
            self.counts["http_response_body_bytes_total", *labels] += state["size"]
        if method not in SELDOM or state["listened"]:
            lengths = [value for name, value in scope["headers"] if name == b"content-length"]
            if lengths:
                self.counts["http_request_body_bytes_total", *labels] += int(lengths[0])
