"""Websockets: accepted, rejected, closed; messages; how long they were open."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import Client, Receive, Scope, Send, series, value, websocket_scope

CONNECT = {"type": "websocket.connect"}
HELLO = {"type": "websocket.receive", "text": "hello"}
GONE = {"type": "websocket.disconnect", "code": 1001}
ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}


def run(registry: CollectorRegistry, app: Any, *incoming: Any, **options: Any) -> Client:
    client = Client(*incoming)
    middleware = MetricsMiddleware(app, registry=registry, route=lambda scope: "/ws/{room}", **options)

    async def main() -> None:
        await middleware(websocket_scope("/ws/1"), client.receive, client.send)

    asyncio.run(main())
    return client


def outcomes(registry: CollectorRegistry) -> dict[str, float]:
    counted = series(registry, "websocket_connections_total")
    assert {key[0] for key in counted} <= {"/ws/{room}"}
    return {key[1]: count for key, count in counted.items()}


def test_a_conversation(registry: CollectorRegistry) -> None:
    during: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() is CONNECT
        await send(ACCEPT)
        assert await receive() is HELLO
        await receive()
        await send({"type": "websocket.send", "text": "1"})
        await asyncio.sleep(0.02)
        # Long before the end, the numbers are there to be seen.
        during.append(value(registry, "websocket_connections_active"))
        during.append(
            value(registry, "websocket_connections_total", endpoint="/ws/{room}", outcome="accepted")
        )
        during.append(
            value(registry, "websocket_messages_total", endpoint="/ws/{room}", direction="received")
        )
        await send({"type": "websocket.send", "bytes": b"2"})
        await send({"type": "websocket.send", "bytes": b"3"})
        await send(CLOSE)

    client = run(registry, app, CONNECT, HELLO, HELLO)
    assert client.sent[0] is ACCEPT
    assert during == [1, 1, 2]
    assert outcomes(registry) == {"accepted": 1, "closed": 1}
    assert series(registry, "websocket_messages_total") == {
        ("received", "/ws/{room}"): 2,
        ("sent", "/ws/{room}"): 3,
    }
    assert series(registry, "websocket_duration_seconds_count") == {("/ws/{room}",): 1}
    assert series(registry, "websocket_duration_seconds_sum")["/ws/{room}",] >= 0.02
    assert value(registry, "websocket_connections_active") == 0
    assert series(registry, "http_requests_total") == {}


def test_the_client_leaves(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    run(registry, app, CONNECT, HELLO, GONE)
    assert outcomes(registry) == {"accepted": 1, "closed": 1}


@pytest.mark.parametrize("name", ["WebSocketDisconnect", "ClientDisconnected"])
def test_the_client_leaves_and_nobody_catches_the_exception(registry: CollectorRegistry, name: str) -> None:
    error = type(name, (Exception,), {})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        raise error

    with pytest.raises(error):
        run(registry, app, CONNECT, GONE)
    assert outcomes(registry) == {"accepted": 1, "closed": 1}


@pytest.mark.parametrize(
    "refusal", [[CLOSE], [], [{"type": "websocket.http.response.start", "status": 403, "headers": []}]]
)
def test_a_rejected_connection(registry: CollectorRegistry, refusal: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in refusal:
            await send(message)

    run(registry, app, CONNECT)
    assert outcomes(registry) == {"rejected": 1}
    assert series(registry, "websocket_duration_seconds_count") == {}
    assert value(registry, "websocket_connections_active") == 0


@pytest.mark.parametrize("accepted", [True, False])
def test_an_error(registry: CollectorRegistry, accepted: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if accepted:
            await send(ACCEPT)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(registry, app, CONNECT)
    assert outcomes(registry) == ({"accepted": 1, "error": 1} if accepted else {"error": 1})
    assert value(registry, "websocket_connections_active") == 0


def test_cancellation(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.sleep(60)

    middleware = MetricsMiddleware(app, registry=registry, route=lambda scope: "/ws/{room}")

    async def main() -> None:
        client = Client(CONNECT)

        async def call() -> None:
            await middleware(websocket_scope(), client.receive, client.send)

        tasks = [asyncio.create_task(call()) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert value(registry, "websocket_connections_active") == 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert outcomes(registry) == {"accepted": 3, "cancelled": 3}
    assert value(registry, "websocket_connections_active") == 0


def test_accepting_twice_is_one_connection(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(ACCEPT)

    run(registry, app, CONNECT)
    assert outcomes(registry) == {"accepted": 1, "closed": 1}


def test_accepted_before_it_was_routed(registry: CollectorRegistry) -> None:
    """Some middleware accepts first. What is counted then waits for the route."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.send({"type": "websocket.send", "text": "x"})

    inner = Starlette(routes=[WebSocketRoute("/ws/{room}", endpoint)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        assert series(registry, "websocket_connections_total") == {}
        assert value(registry, "websocket_connections_active") == 1
        await inner(scope, receive, send)

    client = Client(CONNECT, HELLO)
    middleware = MetricsMiddleware(app, registry=registry)

    async def main() -> None:
        # Starlette's own WebSocket does not know that it is accepted already.
        with contextlib.suppress(RuntimeError):
            await middleware(websocket_scope("/ws/7"), client.receive, client.send)

    asyncio.run(main())
    assert outcomes(registry)["accepted"] == 1
    assert series(registry, "websocket_messages_total")["received", "/ws/{room}"] == 1


def test_skipped_paths_hold_for_websockets_too(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)

    run(registry, app, CONNECT, skip_paths=["/ws/*"])
    assert outcomes(registry) == {}
