"""The same ASGI application inside each metrics middleware: ours, the floor, the peers.

The project's own `benches` use them too, in one process and behind uvicorn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ferrometer.bench import answers
from ferrometer.bench.empty import PassThrough
from ferrometer.bench.peers import peer
from ferrometer.bench.requests import scope_of

PATH = "/v1/chat/completions"
BARE = "no middleware"
BARE_AGAIN = "no middleware, again"
PASS_THROUGH = "empty pass-through"
SAMPLED = "ferrometer at 1 %"


def own_code(function: Any) -> Any:
    """A copy of a function with a code object of its own.

    CPython specialises each call site for what it saw there; an application that several middlewares call in
    turn would keep none of that, while a service has one middleware and keeps it.
    """
    code = function.__code__.replace()
    return FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )


async def endpoint(request: Request) -> PlainTextResponse:
    """What the route answers."""
    return PlainTextResponse("hello")


ROUTE = Route(PATH, endpoint, methods=["GET"])
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
BODY = {"type": "http.response.body", "body": b"hello"}


async def _plain(scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = ROUTE
    scope["endpoint"] = endpoint
    await send(START)
    await send(BODY)


def plain() -> ASGIApp:
    """An application that answers at once and leaves in the scope what Starlette's router leaves there."""
    app: ASGIApp = own_code(_plain)
    return app


def starlette() -> Starlette:
    """A Starlette application with one route."""
    return Starlette(routes=[ROUTE])


_AROUND = starlette()


def new_scope() -> Scope:
    """The scope of one request, with the application around it: some peers look the route up there."""
    scope = scope_of(PATH)
    scope["app"] = _AROUND
    scope["router"] = _AROUND.router
    return scope


def as_starlette(app: ASGIApp) -> ASGIApp:
    """What `Starlette.__call__` does before its middlewares run: some peers look the route up there."""
    around = starlette()

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = around
        scope["router"] = around.router
        await app(scope, receive, send)

    return outermost


@dataclass(frozen=True)
class Wrapped:
    """An application inside a middleware, and how many requests that middleware says it saw."""

    app: ASGIApp
    seen: Callable[[], float] | None = None


def bare(app: ASGIApp) -> Wrapped:
    """The application alone."""
    return Wrapped(app)


def pass_through(app: ASGIApp) -> Wrapped:
    """The floor: an empty middleware."""
    own = type("PassThrough", (PassThrough,), {"__call__": own_code(PassThrough.__call__)})
    return Wrapped(own(app))


def ours(app: ASGIApp, sample: float = 1.0) -> Wrapped | None:
    """Everything on. The duration histogram's count is exact at every sampling rate."""
    library = peer("ferrometer")
    if library is None:
        return None
    registry = library.CollectorRegistry()
    wrapped = library.MetricsMiddleware(app, registry=registry, sample=sample)

    def seen() -> float:
        text = library.generate_latest(registry)
        requests = answers.total(text, "http_requests_total")
        durations = answers.total(text, "http_request_duration_seconds_count")
        assert durations == requests, f"{requests} requests counted, {durations} durations"
        return requests

    return Wrapped(wrapped, seen)


def starlette_exporter(app: ASGIApp) -> Wrapped | None:
    """With its labels by route; None where it is not installed."""
    library, client = peer("starlette_exporter"), peer("prometheus_client")
    if library is None:
        return None
    # Its metrics live in the process-wide registry, under a prefix.
    library.PrometheusMiddleware._metrics.clear()
    for collector in {
        c for n, c in client.REGISTRY._names_to_collectors.items() if n.startswith("bench_se_")
    }:
        client.REGISTRY.unregister(collector)
    wrapped = library.PrometheusMiddleware(app, prefix="bench_se", group_paths=True)
    return Wrapped(wrapped, lambda: answers.total(client.generate_latest(), "bench_se_requests_total"))


def fastapi_instrumentator(app: ASGIApp) -> Wrapped | None:
    """With its default metrics; None where it is not installed."""
    library, client = peer("prometheus_fastapi_instrumentator.middleware"), peer("prometheus_client")
    if library is None:
        return None
    registry = client.CollectorRegistry()
    wrapped = library.PrometheusInstrumentatorMiddleware(app, registry=registry)
    return Wrapped(wrapped, lambda: answers.total(client.generate_latest(registry), "http_requests_total"))


def opentelemetry(app: ASGIApp) -> Wrapped | None:
    """Its metrics, without traces; None where it is not installed."""
    library = peer("opentelemetry.instrumentation.asgi")
    metrics, export = peer("opentelemetry.sdk.metrics"), peer("opentelemetry.sdk.metrics.export")
    if library is None or metrics is None:
        return None
    trace = peer("opentelemetry.trace")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    wrapped = library.OpenTelemetryMiddleware(
        app, meter_provider=provider, tracer_provider=trace.NoOpTracerProvider()
    )
    return Wrapped(wrapped, lambda: _otel_requests(reader))


def _otel_requests(reader: Any) -> float:
    """Requests in the duration histogram, whichever semantic conventions name it."""
    names = ("http.server.duration", "http.server.request.duration")
    data = reader.get_metrics_data()
    found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name in names]
    return float(sum(point.count for metric in found for point in metric.data.data_points))


def pytheus(app: ASGIApp) -> Wrapped | None:
    """With its default metrics; None where it is not installed."""
    library, registry = peer("pytheus.middleware"), peer("pytheus.registry")
    if library is None:
        return None
    # Its metrics go to the process-wide registry, which keeps the first of a name.
    registry.REGISTRY.set_registry(registry.CollectorRegistry())
    wrapped = library.PytheusMiddlewareASGI(app)
    family = wrapped.http_request_duration_seconds
    return Wrapped(
        wrapped, lambda: sum(child._count.get() for child in family._collector._labeled_metrics.values())
    )


MAKERS: dict[str, Callable[[ASGIApp], Wrapped | None]] = {
    BARE: bare,
    PASS_THROUGH: pass_through,
    "ferrometer": ours,
    SAMPLED: partial(ours, sample=0.01),
    "starlette_exporter": starlette_exporter,
    "fastapi-instrumentator": fastapi_instrumentator,
    "opentelemetry": opentelemetry,
    "pytheus": pytheus,
}
