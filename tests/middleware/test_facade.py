"""`MetricsMiddleware` as others see it: servers, frameworks, type checks, and whoever gives it nonsense."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import weakref
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

import ferrometer
from ferrometer import CollectorRegistry, HttpMetrics, MetricsMiddleware
from tests.middleware import routed
from tests.middleware.asgi import App, Client, Receive, Scope, Send, body, http_scope, request, series, start


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"hello"))


def test_attributes(registry: CollectorRegistry) -> None:
    metrics = HttpMetrics(registry, "gpuproxy", 0.5)
    middleware = MetricsMiddleware(answer, metrics)
    assert middleware.app is answer
    assert middleware.metrics is metrics
    assert (metrics.namespace, metrics.sample, metrics.registry) == ("gpuproxy", 0.5, registry)
    assert isinstance(middleware, ferrometer.MetricsMiddleware)
    assert repr(middleware) == f"MetricsMiddleware({answer!r})"
    assert repr(metrics) == "HttpMetrics(namespace='gpuproxy', sample=0.5)"
    assert weakref.ref(middleware)() is middleware
    for attribute in ("app", "metrics"):
        with pytest.raises(AttributeError):
            setattr(middleware, attribute, None)


def test_the_defaults(registry: CollectorRegistry) -> None:
    middleware = MetricsMiddleware(answer)
    assert middleware.metrics.registry is ferrometer.REGISTRY
    assert middleware.metrics.namespace is None
    assert middleware.metrics.sample == 1.0


def test_servers_see_an_asgi_3_application(registry: CollectorRegistry) -> None:
    middleware = MetricsMiddleware(answer, registry=registry)
    assert inspect.iscoroutinefunction(middleware.__call__)
    assert list(inspect.signature(middleware.__call__).parameters) == ["scope", "receive", "send"]

    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(middleware, interface="auto", log_config=None)
    config.load()
    assert config.interface == "asgi3"


def test_the_method_measures_as_the_call_does(registry: CollectorRegistry) -> None:
    middleware = MetricsMiddleware(answer, registry=registry)
    asyncio.run(request(middleware.__call__))
    asyncio.run(request(MetricsMiddleware.__call__.__get__(middleware)))
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 2}


def test_add_middleware(registry: CollectorRegistry) -> None:
    app = Starlette(routes=[Route("/", routed.hello)])
    app.add_middleware(MetricsMiddleware, namespace="x", registry=registry)
    asyncio.run(request(app))
    assert series(registry, "x_requests_total") == {(): 1}


def test_middleware_in_the_constructor(registry: CollectorRegistry) -> None:
    stack = [Middleware(MetricsMiddleware, registry=registry, skip_paths=["/skip"])]
    app = Starlette(routes=[Route("/", routed.hello), Route("/skip", routed.hello)], middleware=stack)
    asyncio.run(request(app))
    asyncio.run(request(app, http_scope("/skip")))
    assert series(registry, "http_requests_total") == {("/", "GET", "200"): 1}


def test_middleware_of_a_route(registry: CollectorRegistry) -> None:
    stack = [Middleware(MetricsMiddleware, registry=registry)]
    app = Starlette(routes=[Route("/a", routed.hello, middleware=stack), Route("/b", routed.hello)])
    asyncio.run(request(app, http_scope("/a")))
    asyncio.run(request(app, http_scope("/b")))
    assert series(registry, "http_requests_total") == {("/a", "GET", "200"): 1}


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"app": None}, TypeError, "app must be an ASGI application, which is callable, not None"),
        ({"app": "main:app"}, TypeError, "not 'main:app'"),
        ({"metrics": 5}, TypeError, "metrics"),
        ({"namespace": "my-app"}, ValueError, 'not "my-app"; try "my_app"'),
        ({"namespace": "9lives"}, ValueError, 'try "app_9lives"'),
        ({"namespace": ""}, ValueError, "namespace must be"),
        ({"namespace": 5}, TypeError, "namespace"),
        ({"registry": 5}, TypeError, "registry must be a ferrometer.CollectorRegistry, not 5"),
        ({"sample": 0}, ValueError, "sample must be in \\(0, 1\\], not 0"),
        ({"sample": -1}, ValueError, "not -1"),
        ({"sample": 2}, ValueError, "not 2"),
        ({"sample": float("nan")}, ValueError, "NaN"),
        ({"sample": "1"}, TypeError, "sample"),
        ({"buckets": [1, 0.5]}, ValueError, "1 is followed by 0.5"),
        ({"buckets": [float("nan")]}, ValueError, "NaN"),
        ({"buckets": 5}, TypeError, "buckets"),
        ({"skip_paths": "/metrics"}, TypeError, 'not one string; write \\["/health"\\]'),
        ({"skip_paths": ["metrics"]}, ValueError, "must start with '/', not \"metrics\""),
        ({"skip_paths": [5]}, TypeError, "int"),
        ({"skip_paths": 5}, TypeError, "int"),
        ({"skip_methods": "GET"}, TypeError, "not one string"),
        ({"skip_methods": ["PROPFIND"]}, ValueError, 'GET POST .* not "PROPFIND"'),
        ({"route": "/x"}, TypeError, "route must be a function"),
        ({"request_id": "yes"}, TypeError, "request_id"),
        ({"surprise": 1}, TypeError, "surprise"),
    ],
    ids=str,
)
def test_nonsense_is_refused_by_value_and_remedy(
    registry: CollectorRegistry, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    options: dict[str, Any] = {"app": answer, "registry": registry, **given}
    if "metrics" in given:
        del options["registry"]
    with pytest.raises(error, match=text):
        MetricsMiddleware(**options)


def test_a_registry_of_prometheus_client_is_refused() -> None:
    client = pytest.importorskip("prometheus_client")
    with pytest.raises(TypeError, match="prometheus_client's registries cannot hold native metrics"):
        MetricsMiddleware(answer, registry=client.CollectorRegistry())


@pytest.mark.parametrize("option", [{"namespace": "x"}, {"sample": 0.5}, {"buckets": [1.0]}, {"registry": 1}])
def test_options_of_the_metrics_belong_to_the_metrics(
    registry: CollectorRegistry, option: dict[str, Any]
) -> None:
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} belongs to HttpMetrics"):
        MetricsMiddleware(answer, HttpMetrics(registry), **option)


def test_a_name_that_is_taken(registry: CollectorRegistry) -> None:
    ferrometer.Gauge("http_requests_in_flight", "mine", ["x"], registry=registry)
    with pytest.raises(ValueError, match="http_requests_in_flight"):
        MetricsMiddleware(answer, registry=registry)


def test_nobody_derives_from_it() -> None:
    with pytest.raises(TypeError):
        type("Derived", (MetricsMiddleware,), {})


def test_it_does_not_travel(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(MetricsMiddleware(answer, registry=registry))


def around(app: App, times: int, registry: CollectorRegistry, **options: Any) -> App:
    for _ in range(times):
        app = MetricsMiddleware(app, registry=registry, **options)
    return app


@pytest.mark.parametrize("between", [False, True], ids=["directly", "with others between"])
def test_one_inside_another_counts_once(registry: CollectorRegistry, between: bool) -> None:
    from starlette.middleware.base import BaseHTTPMiddleware

    class Base(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    app: Any = answer
    for _ in range(3):
        app = MetricsMiddleware(app, registry=registry, namespace="x")
        if between:
            app = Base(app)
    for _ in range(5):
        asyncio.run(request(app))
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 5}
    assert series(registry, "http_request_duration_seconds_count") == {("unmatched", "GET"): 5}


def test_the_very_first_request_is_counted_once(registry: CollectorRegistry) -> None:
    """Starlette builds its middleware when the first request is already under way."""
    app = Starlette(routes=[Route("/", routed.hello)])
    app.add_middleware(MetricsMiddleware, registry=registry)
    outer = MetricsMiddleware(app, registry=registry)
    asyncio.run(request(outer))
    asyncio.run(request(outer))
    assert series(registry, "http_requests_total") == {("/", "GET", "200"): 2}


def test_a_measured_application_in_a_measured_application(registry: CollectorRegistry) -> None:
    inner = Starlette(
        routes=[Route("/b", routed.hello)], middleware=[Middleware(MetricsMiddleware, registry=registry)]
    )
    outer = Starlette(
        routes=[Route("/a", routed.hello), Mount("/in", app=inner)],
        middleware=[Middleware(MetricsMiddleware, registry=registry)],
    )
    for path in ("/a", "/in/b", "/in/b"):
        asyncio.run(request(outer, http_scope(path)))
    asyncio.run(request(inner, http_scope("/b")))
    assert series(registry, "http_requests_total") == {
        ("/a", "GET", "200"): 1,
        ("/in/b", "GET", "200"): 2,
        ("/b", "GET", "200"): 1,
    }


def test_two_registries_both_count() -> None:
    one, two = CollectorRegistry(), CollectorRegistry()
    asyncio.run(request(MetricsMiddleware(MetricsMiddleware(answer, registry=one), registry=two)))
    for registry in (one, two):
        assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 1}


def test_one_middleware_counts_a_scope_as_often_as_it_is_given(registry: CollectorRegistry) -> None:
    """Not what ASGI allows, but what a careless test or benchmark does."""
    middleware = MetricsMiddleware(answer, registry=registry)
    scope = http_scope()

    async def main() -> None:
        await asyncio.gather(*(request(middleware, scope) for _ in range(10)))

    asyncio.run(main())
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 10}


def test_lifespan_passes_through_a_real_application(registry: CollectorRegistry) -> None:
    from contextlib import asynccontextmanager

    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        events.append("up")
        yield {"state": 1}
        events.append("down")

    app = MetricsMiddleware(Starlette(lifespan=lifespan), registry=registry)
    client = Client({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    asyncio.run(_call(app, {"type": "lifespan", "state": {}}, client))
    assert events == ["up", "down"]
    assert [message["type"] for message in client.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def _call(app: App, scope: Scope, client: Client) -> None:
    await app(scope, client.receive, client.send)
