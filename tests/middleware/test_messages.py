"""What passes through `send` and `receive`: bytes, streams, and messages that no server would accept."""

from __future__ import annotations

import asyncio
import http
from collections import OrderedDict, UserDict
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import (
    Message,
    Receive,
    Scope,
    Send,
    body,
    http_scope,
    request,
    series,
    start,
    value,
)

pytestmark = pytest.mark.usefixtures("dicts")

UNMATCHED = {"method": "GET", "endpoint": "unmatched"}


def sending(*messages: Any) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def run(registry: CollectorRegistry, app: Any, scope: Scope | None = None) -> list[Any]:
    return asyncio.run(request(MetricsMiddleware(app, registry=registry), scope)).sent


def statuses(registry: CollectorRegistry) -> dict[str, float]:
    return {key[2]: count for key, count in series(registry, "http_requests_total").items()}


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ([b""], 0),
        ([b"x" * 70_000], 70_000),
        ([b"ab", b"cde", b""], 5),
        ([bytearray(b"abc")], 3),
        ([memoryview(b"abcdef")[::2].tobytes(), memoryview(b"abcd")], 7),
        ([memoryview(b"abcdefgh").cast("H")], 8),
    ],
)
def test_response_bytes(registry: CollectorRegistry, pieces: list[Any], size: int) -> None:
    last = len(pieces) - 1
    run(registry, sending(start(), *(body(piece, more=n < last) for n, piece in enumerate(pieces))))
    assert value(registry, "http_response_body_bytes_total", **UNMATCHED) == size


def test_the_body_may_be_left_out(registry: CollectorRegistry) -> None:
    run(registry, sending(start(), {"type": "http.response.body"}))
    assert statuses(registry) == {"200": 1}
    assert value(registry, "http_response_body_bytes_total", **UNMATCHED) == 0


def test_head_sends_no_bytes_whatever_the_application_does(registry: CollectorRegistry) -> None:
    run(registry, sending(start(), body(b"hello")), http_scope(method="HEAD"))
    assert value(registry, "http_requests_total", method="HEAD", endpoint="unmatched", status="200") == 1
    assert value(registry, "http_response_body_bytes_total", method="HEAD", endpoint="unmatched") == 0


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ([(b"content-length", b"12")], 12),
        ([(b"Content-Length", b"12"), (b"content-length", b"13")], 12),
        ([(b"host", b"x"), (b"content-length", b"0")], 0),
        ([(b"content-length", b"-5")], 0),
        ([(b"content-length", b"+5")], 0),
        ([(b"content-length", b" 5")], 0),
        ([(b"content-length", b"")], 0),
        ([(b"content-length", b"five")], 0),
        ([(b"content-length", b"\xff\xfe")], 0),
        ([(b"content-length", b"999999999999999999")], 999999999999999999),
        ([(b"content-length", b"9999999999999999999")], 0),
        ([(b"content-length", b"9" * 5000)], 0),
        ([[b"content-length", b"7"]], 7),
        ([], 0),
    ],
)
def test_request_bytes(registry: CollectorRegistry, headers: Any, size: int) -> None:
    scope = http_scope(method="POST")
    for kind in (list, tuple):
        scope["headers"] = kind(headers)
        run(registry, sending(start(), body()), scope)
    assert value(registry, "http_request_body_bytes_total", method="POST", endpoint="unmatched") == float(
        2 * size
    )


@pytest.mark.parametrize(
    "headers",
    [
        None,
        5,
        "content-length: 5",
        {b"content-length": b"5"},
        [None],
        [()],
        [(b"content-length",)],
        [("content-length", "5")],
        [(b"content-length", "5")],
        [(b"content-length", 5)],
        [5, (b"content-length", b"5")],
    ],
)
def test_headers_that_are_none(registry: CollectorRegistry, headers: Any) -> None:
    run(registry, sending(start(), body()), {**http_scope(method="POST"), "headers": headers})
    assert statuses(registry) == {"200": 1}
    assert series(registry, "http_request_body_bytes_total") == {}


def test_headers_that_can_be_read_once_are_left_to_the_application(registry: CollectorRegistry) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body())
        await asyncio.sleep(0)
        seen.extend(scope["headers"])

    run(registry, app, {**http_scope(method="POST"), "headers": iter([(b"content-length", b"5")])})
    assert seen == [(b"content-length", b"5")]


def test_a_get_with_a_body_that_is_read(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body())

    run(registry, app, http_scope(headers=[(b"content-length", b"9")]))
    assert value(registry, "http_request_body_bytes_total", **UNMATCHED) == 9


def test_a_stream_has_a_first_byte_and_an_end(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"", more=True))
        await asyncio.sleep(0.02)
        await send(body(b"first", more=True))
        await asyncio.sleep(0.05)
        await send(body(b"second", more=True))
        await send(body())

    run(registry, app)
    first = value(registry, "http_response_first_byte_seconds_sum", **UNMATCHED)
    total = value(registry, "http_request_duration_seconds_sum", **UNMATCHED)
    assert value(registry, "http_response_first_byte_seconds_count", **UNMATCHED) == 1
    assert 0.02 <= first < total - 0.05
    assert value(registry, "http_response_body_bytes_total", **UNMATCHED) == 11


def test_a_response_in_one_piece_has_no_first_byte(registry: CollectorRegistry) -> None:
    run(registry, sending(start(), body(b"all")))
    run(registry, sending(start(), body(b"", more=True), body(b"all")))
    assert series(registry, "http_response_first_byte_seconds_count") == {}


def test_pathsend_ends_a_response(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send({"type": "http.response.pathsend", "path": "/x"})
        assert (await receive())["type"] == "http.disconnect"

    run(registry, app)
    assert statuses(registry) == {"200": 1}
    assert series(registry, "http_client_disconnects_total") == {}


@pytest.mark.parametrize(
    ("status", "label"),
    [
        (200, "200"),
        (http.HTTPStatus.IM_A_TEAPOT, "418"),
        (599, "599"),
        (999, "999"),
        (1000, "OTHER"),
        (0, "OTHER"),
        (99, "OTHER"),
        (-200, "OTHER"),
        (10**30, "OTHER"),
        (True, "OTHER"),
        ("200", "OTHER"),
        (200.0, "OTHER"),
        (None, "OTHER"),
    ],
)
def test_statuses(registry: CollectorRegistry, status: object, label: str) -> None:
    sent = run(registry, sending(start(status), body()))
    assert sent[0]["status"] is status
    assert statuses(registry) == {label: 1}


class Key(str):
    """A key that is equal and hashes alike, but is no literal."""


@pytest.mark.parametrize(
    "message",
    [
        {"status": 404, "headers": [], "type": "http.response.start"},
        {"headers": [], "type": "http.response.start", "status": 404},
        {Key("type"): "http.response.start", Key("status"): 404},
        {"ty" + "pe"[:2]: Key("http.response.start"), "status": 404},
        {"type": "".join(["http.response", ".start"]), "sta" + "tus"[:3]: 404},
        {"type": "http.response.start", "status": 404, **{f"x{n}": n for n in range(200)}},
        {**{f"x{n}": n for n in range(20)}, "type": "http.response.start", "status": 404},
        OrderedDict([("type", "http.response.start"), ("status", 404)]),
    ],
    ids=range(8),
)
def test_a_start_in_any_shape(registry: CollectorRegistry, message: Message) -> None:
    for _ in range(3):
        run(registry, sending(message, body()))
    assert statuses(registry) == {"404": 3}


def test_fields_that_were_deleted_are_not_there(registry: CollectorRegistry) -> None:
    message: Any = {"type": "http.response.start", "gone": 1, "status": 404}
    del message["gone"]
    other: Any = {"gone": 1, "type": "http.response.body", "body": b"xyz"}
    del other["gone"]
    run(registry, sending(message, other))
    assert statuses(registry) == {"404": 1}
    assert value(registry, "http_response_body_bytes_total", **UNMATCHED) == 3


class Refuses:
    """A truth value that raises."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError


class Hostile:
    """A key that raises when it is compared."""

    def __hash__(self) -> int:
        return hash("type")

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "message",
    [
        None,
        5,
        "http.response.body",
        [],
        {},
        {"type": None},
        {"type": 5},
        {"type": "http.response.body", "body": "text"},
        {"type": "http.response.body", "body": None, "more_body": None},
        {"type": "http.response.body", "body": b"", "more_body": Refuses()},
        {"type": "http.response.trailers", "headers": [], "more_trailers": False},
        {"type": "lifespan.startup.complete"},
        {"type": "http.response.\udcff"},
        {"type": "websocket.accept"},
        {Hostile(): 1, "status": 3},
        UserDict(type="http.response.start", status=404),
    ],
    ids=str,
)
def test_messages_that_are_none_pass_untouched(registry: CollectorRegistry, message: Any) -> None:
    sent = run(registry, sending(start(), message, body(b"abc")))
    assert sent[1] is message
    assert statuses(registry) == {"200": 1}
    assert value(registry, "http_response_body_bytes_total", **UNMATCHED) == 3


def test_calls_that_are_none_are_the_servers_business(registry: CollectorRegistry) -> None:
    calls: list[tuple[Any, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(1, 2)
        await send(message=3)
        await send(a=1)
        await receive(message=4)

    async def main() -> None:
        async def record(*args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))

        middleware: Any = MetricsMiddleware(app, registry=registry)
        await middleware(http_scope(), record, record)

    asyncio.run(main())
    assert calls == [((1, 2), {}), ((), {"message": 3}), ((), {"a": 1}), ((), {"message": 4})]


def test_receive_can_be_awaited_in_every_way(registry: CollectorRegistry) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Any, send: Send) -> None:
        got.append(await receive())
        got.append(await asyncio.wait_for(receive(), 5))
        got.append(await asyncio.create_task(receive()))
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        never = receive()
        never.close()
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await never
        thrown = receive()
        with pytest.raises(KeyError):
            thrown.throw(KeyError("x"))
        await send(start())
        await send(body())

    async def main() -> None:
        messages = [{"type": "http.request", "n": n} for n in range(3)]

        async def receive() -> Message:
            await asyncio.sleep(0)
            if messages:
                return messages.pop(0)
            await asyncio.sleep(60)
            raise AssertionError("never")

        async def send(message: Message) -> None: ...

        await MetricsMiddleware(app, registry=registry)(http_scope(), receive, send)

    asyncio.run(main())
    assert [message["n"] for message in got] == [0, 1, 2]
    assert statuses(registry) == {"200": 1}


@pytest.mark.parametrize("error", [OSError("gone"), asyncio.CancelledError(), StopAsyncIteration()])
def test_receive_that_raises(registry: CollectorRegistry, error: BaseException) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(type(error)) as caught:
            await receive()
        assert caught.value is error
        await send(start())
        await send(body())

    async def main() -> None:
        async def receive() -> Message:
            raise error

        async def send(message: Message) -> None: ...

        await MetricsMiddleware(app, registry=registry)(http_scope(), receive, send)

    asyncio.run(main())
    assert statuses(registry) == {"200": 1}


def test_a_receive_that_cannot_be_awaited(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(TypeError, match="can't be used in 'await' expression"):
            await receive()
        await send(start())
        await send(body())

    async def main() -> None:
        async def send(message: Message) -> None: ...

        receive: Any = dict
        await MetricsMiddleware(app, registry=registry)(http_scope(), receive, send)

    asyncio.run(main())
    assert statuses(registry) == {"200": 1}
