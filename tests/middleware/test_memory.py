"""Nothing is kept after a request's end, nothing leaks, and nothing is freed too early."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import weakref
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from ferrometer import CollectorRegistry, HttpMetrics, MetricsMiddleware
from tests.middleware import routed
from tests.middleware.asgi import (
    Client,
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


class Dict(dict[str, Any]):
    """A dict that can be weakly referenced."""


class Bytes(bytes):
    """Bytes that can be counted."""


def ending(how: str) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(Dict(start()))
        if how == "raise":
            raise ValueError
        if how == "cancel":
            await asyncio.sleep(60)
        if how == "wait":
            await asyncio.sleep(0)
        await send(Dict(body(b"hello")))

    return app


@pytest.mark.parametrize("request_id", [False, True])
@pytest.mark.parametrize("how", ["return", "wait", "raise", "cancel"])
def test_scope_and_messages_die_with_the_request(
    registry: CollectorRegistry, how: str, request_id: bool
) -> None:
    middleware = MetricsMiddleware(ending(how), registry=registry, request_id=request_id)
    watched: list[weakref.ref[Any]] = []

    class Server:
        async def receive(self) -> Any:
            message = Dict({"type": "http.request", "body": b"", "more_body": False})
            watched.append(weakref.ref(message))
            return message

        async def send(self, message: Any) -> None:
            watched.append(weakref.ref(message) if isinstance(message, Dict) else weakref.ref(self))

    async def main() -> None:
        server, scope = Server(), Dict(http_scope())
        watched.extend([weakref.ref(server), weakref.ref(scope)])
        task = asyncio.create_task(_call(middleware, scope, server))
        del server, scope
        await asyncio.sleep(0)
        if how == "cancel":
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    gc.disable()
    try:
        asyncio.run(main())
        if how in ("return", "wait"):
            # Without an exception and its traceback nothing is circular: all is gone before any collection.
            assert [reference() for reference in watched] == [None] * len(watched)
        gc.collect()
        assert [reference() for reference in watched] == [None] * len(watched)
    finally:
        gc.enable()


async def _call(app: Any, scope: Any, server: Any) -> None:
    await app(scope, server.receive, server.send)


def test_the_scope_goes_at_the_end_even_if_send_is_kept(registry: CollectorRegistry) -> None:
    kept: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.extend([receive, send])
        await send(start())
        await send(body())

    scope = Dict(http_scope())
    reference = weakref.ref(scope)
    asyncio.run(_call(MetricsMiddleware(app, registry=registry), scope, Client()))
    del scope
    assert reference() is None
    assert len(kept) == 2


def test_an_abandoned_request_is_collected(registry: CollectorRegistry) -> None:
    """It holds a coroutine whose frame holds it: a cycle for the collector, not a leak."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        keep = [scope, receive, send]
        await asyncio.Event().wait()
        del keep

    middleware = MetricsMiddleware(app, registry=registry)

    async def main() -> list[weakref.ref[Any]]:
        references: list[weakref.ref[Any]] = []
        for _ in range(100):
            scope, client = Dict(http_scope()), Client()
            references += [weakref.ref(scope), weakref.ref(client)]
            pending: Any = middleware(scope, client.receive, client.send)
            pending.send(None)
        del pending, scope, client
        gc.collect()
        return references

    references = asyncio.run(main())
    assert {reference() for reference in references} == {None}
    assert value(registry, "http_requests_in_flight") == 0
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "499"): 100}


def test_a_cycle_through_send_after_the_end_is_collected(registry: CollectorRegistry) -> None:
    class Server(Client):
        kept: Any = None

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        server = send.__self__ if hasattr(send, "__self__") else scope["server"]
        server.kept = send
        await send(start())
        await send(body())

    server = Server()
    reference = weakref.ref(server)
    asyncio.run(_call(MetricsMiddleware(app, registry=registry), http_scope(server=server), server))
    assert server.kept is not None
    del server
    gc.collect()
    assert reference() is None


def test_reference_counts_stand_still(registry: CollectorRegistry) -> None:
    """100 000 requests, through every path at least a thousand times."""
    scope = http_scope("/x", "POST", [(b"content-length", b"5"), (b"x-request-id", b"abc")])
    first, last, data = start(), body(Bytes(b"hello")), Bytes(b"x")
    message = {"type": "http.request", "body": b"", "more_body": False}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        turn = scope["turn"]
        if turn % 7 == 0:
            await receive()
        await send(first)
        if turn % 11 == 0:
            await send(body(data, more=True))
        if turn % 13 == 0:
            await asyncio.sleep(0)
        if turn % 17 == 0:
            raise ValueError
        await send(last)

    plain = MetricsMiddleware(app, registry=registry)
    named = MetricsMiddleware(app, registry=registry, request_id=True)

    class Server:
        async def receive(self) -> Any:
            return message

        async def send(self, message: Any) -> None:
            return None

    server = Server()

    async def serve(requests: int) -> None:
        receive, send = server.receive, server.send
        for turn in range(requests):
            scope["turn"] = turn
            with contextlib.suppress(ValueError):
                await (named if turn % 5 == 0 else plain)(scope, receive, send)

    objects = [
        scope,
        first,
        last,
        data,
        message,
        app,
        server,
        plain,
        named,
        registry,
        None,
        b"hello",
        first["type"],
    ]
    asyncio.run(serve(2000))
    gc.collect()
    before = [sys.getrefcount(one) for one in objects]
    blocks = sys.getallocatedblocks()
    asyncio.run(serve(100_000))
    gc.collect()
    after = [sys.getrefcount(one) for one in objects]
    # None and small constants are shared with the rest of the interpreter; a leak would be thousands.
    assert [new - old for old, new in zip(before, after, strict=True) if abs(new - old) > 50] == []
    assert sys.getallocatedblocks() - blocks < 500
    assert value(registry, "http_requests_in_flight") == 0


def test_an_application_is_collected_with_its_middleware() -> None:
    """The table of routes holds route objects, which hold the application, which holds the middleware."""

    def make() -> list[weakref.ref[Any]]:
        registry = CollectorRegistry()
        app = Starlette(routes=[Route("/a/{x}", routed.hello)])
        app.add_middleware(MetricsMiddleware, registry=registry, namespace="ns")
        app.router.routes[0].application = app  # type: ignore[attr-defined]  # the cycle
        asyncio.run(request(app, http_scope("/a/1")))
        assert series(registry, "http_requests_total") == {("/a/{x}", "GET", "200"): 1}
        return [weakref.ref(app), weakref.ref(app.router.routes[0])]

    references = make()
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_metrics_outlive_the_middleware_and_the_other_way_round(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await send(start())
        await send(body())

    middleware = MetricsMiddleware(app, registry=registry)
    metrics = middleware.metrics
    client = Client()
    pending: Any = middleware(http_scope(), client.receive, client.send)
    del middleware
    gc.collect()
    asyncio.run(_await(pending))
    assert metrics.snapshot()["total"] == 1
    middleware = MetricsMiddleware(app, metrics)
    del metrics
    gc.collect()
    asyncio.run(request(middleware))
    assert middleware.metrics.snapshot()["total"] == 2


async def _await(awaitable: Any) -> None:
    await awaitable


def test_collections_at_any_moment(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = routed.Case("/", "/")
        await receive()
        await send(start())
        await asyncio.sleep(0)
        await send(body())

    middleware = MetricsMiddleware(app, registry=registry, request_id=True)

    async def main() -> None:
        await asyncio.gather(*(request(middleware) for _ in range(300)))

    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        asyncio.run(main())
    finally:
        gc.set_threshold(*threshold)
    assert sum(series(registry, "http_requests_total").values()) == 300


def test_more_routes_than_are_remembered(registry: CollectorRegistry) -> None:
    """An application that makes route objects as it goes does not keep them all alive through us."""
    alive: list[weakref.ref[Any]] = []

    class App:
        routes: list[Any]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        route = Route("/made/{x}", routed.hello)
        alive.append(weakref.ref(route))
        router = App()
        router.routes = [route]
        scope.update(route=route, router=router)
        await send(start())
        await send(body())

    middleware = MetricsMiddleware(app, registry=registry)

    async def main() -> None:
        for _ in range(20_000):
            await request(middleware)

    asyncio.run(main())
    gc.collect()
    assert series(registry, "http_requests_total") == {("/made/{x}", "GET", "200"): 20_000}
    assert sum(reference() is not None for reference in alive) <= 8192


def test_clearing_the_metrics_object_is_safe() -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)
    cycle: list[Any] = [metrics, MetricsMiddleware(routed.opaque, metrics)]
    cycle.append(cycle)
    del cycle, metrics
    gc.collect()
    assert HttpMetrics(registry).snapshot()["total"] == 0
