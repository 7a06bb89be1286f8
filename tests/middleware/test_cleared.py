"""``clear()`` and ``remove()`` on the middleware's own families: what comes later is counted and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ferrometer import CollectorRegistry, Counter, Histogram, MetricsMiddleware
from ferrometer._core import HttpMetrics
from tests.middleware.asgi import (
    Client,
    Receive,
    Scope,
    Send,
    body,
    http_scope,
    request,
    start,
    value,
    websocket_scope,
)

LABELS = {"method": "POST", "endpoint": "/x"}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"hel", more=True))
    await send(body(b"lo"))


def families(registry: CollectorRegistry) -> dict[str, Any]:
    """The families, as a program gets them: by defining them again."""
    buckets = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    route = ["method", "endpoint"]
    return {
        "http_requests_total": Counter(
            "http_requests",
            "HTTP requests served, by the status the client was sent.",
            [*route, "status"],
            registry=registry,
        ),
        "http_request_duration_seconds_count": Histogram(
            "http_request_duration_seconds",
            "Time from the request's start to the end of its response.",
            route,
            unit="seconds",
            registry=registry,
            buckets=buckets,
        ),
        "http_response_first_byte_seconds_count": Histogram(
            "http_response_first_byte_seconds",
            "Time to the first chunk of a streamed response.",
            route,
            unit="seconds",
            registry=registry,
            buckets=buckets,
        ),
        "http_request_body_bytes_total": Counter(
            "http_request_body_bytes",
            "Request bodies as announced by Content-Length.",
            route,
            registry=registry,
        ),
        "http_response_body_bytes_total": Counter(
            "http_response_body_bytes", "Response bodies sent.", route, registry=registry
        ),
    }


EACH = {
    "http_requests_total": 1,
    "http_request_duration_seconds_count": 1,
    "http_response_first_byte_seconds_count": 1,
    "http_request_body_bytes_total": 3,
    "http_response_body_bytes_total": 5,
}
WAYS: dict[str, Callable[[Any, tuple[str, ...]], None]] = {
    "clear": lambda family, values: family.clear(),
    "remove": lambda family, values: family.remove(*values),
    "remove_by_labels": lambda family, values: family.remove_by_labels({"endpoint": values[1]}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("found", ["hook", "route", "unmatched"])
def test_requests_after_it_are_counted(way: str, name: str, found: str) -> None:
    registry = CollectorRegistry()
    options: dict[str, Any] = {"route": lambda scope: "/x"} if found == "hook" else {}
    endpoint = "unmatched" if found == "unmatched" else "/x"
    served_by = {"method": "POST", "endpoint": endpoint}

    class Route:
        path_format = "/x"

    route = Route()

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        if found == "route":
            scope["route"] = route
        await answer(scope, receive, send)

    app = MetricsMiddleware(routed, registry=registry, **options)

    def serve(times: int) -> None:
        for _ in range(times):
            asyncio.run(request(app, http_scope("/x", "POST", [(b"content-length", b"3")])))

    def shown(name: str) -> float:
        labels = {**served_by, "status": "200"} if name == "http_requests_total" else served_by
        return value(registry, name, **labels)

    serve(3)
    assert all(shown(each) == 3 * amount for each, amount in EACH.items())
    values = ("POST", endpoint, "200") if name == "http_requests_total" else ("POST", endpoint)
    WAYS[way](families(registry)[name], values)
    assert shown(name) == 0
    serve(5)
    for each, amount in EACH.items():
        assert shown(each) == (5 if each == name else 8) * amount
    serve(1)
    assert shown(name) == 6 * EACH[name]


def test_every_middleware_of_the_registry_heeds_it() -> None:
    registry = CollectorRegistry()

    def measured(name: str) -> Any:
        return MetricsMiddleware(answer, HttpMetrics(registry), route=lambda scope: name)

    apps = [measured(name) for name in ("/a", "/b", "/b")]

    def serve() -> None:
        for app in apps:
            asyncio.run(request(app))

    serve()
    for times in (1, 2):
        families(registry)["http_requests_total"].clear()
        for _ in range(times):
            serve()
        total = {
            name: value(registry, "http_requests_total", method="GET", status="200", endpoint=name)
            for name in ("/a", "/b")
        }
        assert total == {"/a": times, "/b": 2 * times}
    del apps[1]
    families(registry)["http_requests_total"].clear()
    serve()
    assert value(registry, "http_requests_total", method="GET", status="200", endpoint="/b") == 1


def test_a_request_that_is_being_served() -> None:
    registry = CollectorRegistry()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        families(registry)["http_requests_total"].clear()
        await send(body())

    measured = MetricsMiddleware(app, registry=registry, route=lambda scope: "/x")
    for _ in range(3):
        asyncio.run(request(measured))
        assert value(registry, "http_requests_total", method="GET", endpoint="/x", status="200") == 1


def test_a_websocket_that_is_open() -> None:
    registry = CollectorRegistry()
    sent = {"type": "websocket.send", "text": "x"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send(sent)
        messages = Counter(
            "websocket_messages",
            "Websocket messages received and sent.",
            ["endpoint", "direction"],
            registry=registry,
        )
        messages.clear()
        for _ in range(3):
            await send(sent)
        await receive()

    measured = MetricsMiddleware(app, registry=registry, route=lambda scope: "/x")
    client = Client({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "y"})

    async def connect() -> None:
        await measured(websocket_scope(), client.receive, client.send)

    asyncio.run(connect())
    assert value(registry, "websocket_messages_total", endpoint="/x", direction="sent") == 3
    assert value(registry, "websocket_messages_total", endpoint="/x", direction="received") == 1
    assert value(registry, "websocket_connections_total", endpoint="/x", outcome="accepted") == 1
