"""How a request ends, what that counts as, and that nobody can tell the middleware was there."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import (
    Client,
    Message,
    Receive,
    Scope,
    Send,
    body,
    http_scope,
    request,
    samples,
    series,
    start,
    value,
)


class Route:
    path_format = "/things/{id}"


ROUTE = Route()
LABELS = {"method": "GET", "endpoint": "/things/{id}"}


def route(scope: Scope) -> str:
    """The hook: every application here has one route."""
    return "/things/{id}"


def statuses(registry: CollectorRegistry) -> dict[str, float]:
    return {key[2]: count for key, count in series(registry, "http_requests_total").items()}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"hello"))


def test_a_request_that_returns(registry: CollectorRegistry) -> None:
    app = MetricsMiddleware(answer, registry=registry, route=route)
    client = asyncio.run(request(app))
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]
    assert value(registry, "http_requests_total", status="200", **LABELS) == 1
    assert value(registry, "http_request_duration_seconds_count", **LABELS) == 1
    assert value(registry, "http_requests_in_flight") == 0


def test_messages_are_the_very_objects(registry: CollectorRegistry) -> None:
    first, second = start(), body(b"x")
    copies = dict(first), dict(second)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(first)
        await send(second)

    client = asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert client.sent[0] is first
    assert client.sent[1] is second
    assert (first, second) == copies


def test_received_messages_are_the_very_objects(registry: CollectorRegistry) -> None:
    message = {"type": "http.request", "body": b"", "more_body": False}
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        await answer(scope, receive, send)

    asyncio.run(request(MetricsMiddleware(app, registry=registry), None, message))
    assert seen[0] is message


def test_an_exception_counts_as_500_and_goes_on_untouched(registry: CollectorRegistry) -> None:
    error = KeyError("x")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        raise error

    async def frames(app: Any) -> list[str]:
        with pytest.raises(KeyError) as caught:
            await app(http_scope(), Client().receive, Client().send)
        assert caught.value is error
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        caught.value.__traceback__ = None
        return names

    bare = asyncio.run(frames(app))
    measured = asyncio.run(frames(MetricsMiddleware(app, registry=registry, route=route)))
    assert measured == bare == ["frames", "app"]
    assert statuses(registry) == {"500": 1}
    assert value(registry, "http_exceptions_total", exception="KeyError", **LABELS) == 1


def test_an_exception_at_once(registry: CollectorRegistry) -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        raise RuntimeError("no coroutine even")

    with pytest.raises(RuntimeError, match="no coroutine even"):
        asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"500": 1}


def test_an_exception_after_the_start_is_a_failure_all_the_same(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201))
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        asyncio.run(request(MetricsMiddleware(app, registry=registry, route=route)))
    assert statuses(registry) == {"500": 1}
    assert value(registry, "http_exceptions_total", exception="OSError", **LABELS) == 1
    assert series(registry, "http_client_disconnects_total") == {}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exception_that_is_no_exception(registry: CollectorRegistry, kind: type[BaseException]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise kind

    coroutine: Any = MetricsMiddleware(app, registry=registry)(http_scope(), Client().receive, Client().send)
    with pytest.raises(kind):
        coroutine.send(None)
    assert statuses(registry) == {"500": 1}


def test_no_response_at_all_is_a_500(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"500": 1}
    assert series(registry, "http_exceptions_total") == {}


def test_the_first_of_several_starts_is_what_the_client_got(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(404))
        await send(start(200))
        await send(body())

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"404": 1}


@pytest.mark.parametrize("early", [100, 102, 103, 199])
def test_informational_statuses_come_before_the_final_one(registry: CollectorRegistry, early: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(early))
        await send({"type": "http.response.early_hint", "links": [b"</x>; rel=preload"]})
        await send(start(204))
        await send(body())

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"204": 1}


def test_only_informational_is_no_response(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(103))

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"500": 1}


def test_cancellation_is_counted_apart(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(_call(MetricsMiddleware(app, registry=registry, route=route)))
        await asyncio.sleep(0)
        assert value(registry, "http_requests_in_flight") == 1
        task.cancel("reason")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("reason",)

    asyncio.run(main())
    assert value(registry, "http_requests_in_flight") == 0
    assert statuses(registry) == {"499": 1}
    assert value(registry, "http_requests_cancelled_total", **LABELS) == 1
    assert series(registry, "http_exceptions_total") == {}


def test_cancellation_may_be_refused(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            await answer(scope, receive, send)

    async def main() -> None:
        task = asyncio.create_task(_call(MetricsMiddleware(app, registry=registry)))
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(main())
    assert statuses(registry) == {"200": 1}
    assert series(registry, "http_requests_cancelled_total") == {}


def test_cancellation_after_the_response_is_none(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(_call(MetricsMiddleware(app, registry=registry)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert statuses(registry) == {"200": 1}
    assert series(registry, "http_requests_cancelled_total") == {}


async def _call(app: Any, client: Client | None = None, scope: Scope | None = None) -> None:
    client = client or Client()
    await app(scope or http_scope(), client.receive, client.send)


def test_a_client_that_goes_before_the_answer(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    asyncio.run(request(MetricsMiddleware(app, registry=registry, route=route)))
    assert statuses(registry) == {"499": 1}
    assert value(registry, "http_client_disconnects_total", **LABELS) == 1
    assert series(registry, "http_requests_cancelled_total") == {}


def test_a_client_that_goes_in_the_middle_of_a_stream(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"first", more=True))
        assert (await receive())["type"] == "http.disconnect"

    asyncio.run(request(MetricsMiddleware(app, registry=registry, route=route)))
    assert statuses(registry) == {"200": 1}
    assert value(registry, "http_client_disconnects_total", **LABELS) == 1


def test_a_disconnect_after_the_response_is_none(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answer(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"200": 1}
    assert series(registry, "http_client_disconnects_total") == {}


def test_a_send_that_raises_because_the_client_is_gone(registry: CollectorRegistry) -> None:
    """ASGI 2.4: `send` raises an OSError; Starlette makes it a ClientDisconnect."""

    class ClientDisconnect(Exception):
        pass

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        asyncio.run(request(MetricsMiddleware(app, registry=registry, route=route)))
    assert statuses(registry) == {"200": 1}
    assert value(registry, "http_client_disconnects_total", **LABELS) == 1
    assert series(registry, "http_exceptions_total") == {}


def test_an_oserror_once_the_client_is_known_to_be_gone(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(request(MetricsMiddleware(app, registry=registry, route=route)))
    assert statuses(registry) == {"499": 1}
    assert value(registry, "http_client_disconnects_total", **LABELS) == 1
    assert series(registry, "http_exceptions_total") == {}


def test_send_kept_beyond_the_end_still_sends_and_counts_nothing(registry: CollectorRegistry) -> None:
    kept: list[Send] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(send)
        await answer(scope, receive, send)

    async def main() -> Client:
        client = await request(MetricsMiddleware(app, registry=registry))
        before = samples(registry)
        await kept[0](body(b"late"))
        assert samples(registry) == before
        return client

    assert asyncio.run(main()).sent[-1] == body(b"late")


def test_concurrent_requests_do_not_meet(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(int(scope["path"][1:]) % 3 / 1000)
        await send(start(200 + int(scope["path"][1:]) % 5))
        await asyncio.sleep(0)
        await send(body(b"x" * int(scope["path"][1:])))

    middleware = MetricsMiddleware(app, registry=registry)

    async def main() -> None:
        clients = await asyncio.gather(*(request(middleware, http_scope(f"/{n}")) for n in range(500)))
        for n, client in enumerate(clients):
            assert client.statuses == [200 + n % 5]
            assert client.sent[1]["body"] == b"x" * n

    asyncio.run(main())
    assert statuses(registry) == {str(200 + n): 100 for n in range(5)}
    assert value(registry, "http_response_body_bytes_total", method="GET", endpoint="unmatched") == sum(
        range(500)
    )
    assert value(registry, "http_requests_in_flight") == 0
