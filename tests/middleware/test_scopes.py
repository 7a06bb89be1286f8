"""Which connections are measured, and what becomes of scopes that are none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import (
    Client,
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

pytestmark = pytest.mark.usefixtures("dicts")


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"hello"))


class Recorder:
    """An application that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, *call: Any) -> None:
        self.calls.append(call)


def untouched(registry: CollectorRegistry, scope: Any) -> None:
    """The application gets the very objects that the server gave."""
    app, client = Recorder(), Client()
    middleware: Any = MetricsMiddleware(app, registry=registry)

    async def main() -> None:
        await middleware(scope, client.receive, client.send)

    receive, send = client.receive, client.send
    asyncio.run(main())
    ((got_scope, got_receive, got_send),) = app.calls
    assert got_scope is scope
    assert (got_receive, got_send) == (receive, send)
    assert series(registry, "http_requests_total") == {}


@pytest.mark.parametrize("kind", ["lifespan", "webtransport", "http.extension", ""])
def test_other_connections_pass(registry: CollectorRegistry, kind: str) -> None:
    before = samples(registry)
    untouched(registry, {"type": kind})
    assert "ferrometer_middleware_errors_total" not in {name for name, _ in samples(registry)}
    assert set(before) <= set(samples(registry))


@pytest.mark.parametrize(
    "scope", [None, 5, "http", [], {}, {"type": None}, {"type": b"http"}, {"kind": "http"}]
)
def test_what_is_no_scope_passes_and_is_counted(registry: CollectorRegistry, scope: Any) -> None:
    untouched(registry, scope)
    assert value(registry, "ferrometer_middleware_errors_total", reason="scope") == 1


@pytest.mark.parametrize("missing", ["method", "path", "headers", "root_path", "asgi", "server"])
@pytest.mark.parametrize("wrong", ["missing", None, 5, b"bytes", "", [], "\udcff", "x" * 1_000_000])
def test_scopes_with_something_wrong(registry: CollectorRegistry, missing: str, wrong: Any) -> None:
    scope = http_scope("/x", "GET")
    if wrong == "missing":
        del scope[missing]
    else:
        scope[missing] = wrong
    app = MetricsMiddleware(
        answer, registry=registry, skip_paths=["/skipped", "/prefix*"], skip_methods=["TRACE"]
    )
    assert asyncio.run(request(app, scope)).statuses == [200]
    method = "OTHER" if missing == "method" else "GET"
    assert series(registry, "http_requests_total") == {("unmatched", method, "200"): 1}


@pytest.mark.parametrize("name", ["route", "endpoint", "router", "fastapi", "app"])
@pytest.mark.parametrize(
    "wrong", [None, 5, "/a/concrete/path", object(), {}, {"effective_route_context": 5}, []]
)
def test_strange_things_in_the_place_of_a_route(registry: CollectorRegistry, name: str, wrong: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[name] = wrong
        await answer(scope, receive, send)

    middleware = MetricsMiddleware(app, registry=registry)
    for _ in range(2):
        asyncio.run(request(middleware))
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 2}


def test_a_route_that_raises_when_it_is_asked(registry: CollectorRegistry) -> None:
    class Route:
        endpoint = None

        @property
        def path_format(self) -> str:
            raise ZeroDivisionError

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = Route()
        await answer(scope, receive, send)

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 1}
    assert value(registry, "ferrometer_middleware_errors_total", reason="template") == 1


def test_a_scope_that_the_application_empties(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)
        scope.clear()

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert series(registry, "http_requests_total") == {("unmatched", "OTHER", "200"): 1}


def test_a_scope_of_a_dict_of_ones_own(registry: CollectorRegistry) -> None:
    class Own(dict[str, Any]):
        pass

    asyncio.run(request(MetricsMiddleware(answer, registry=registry), Own(http_scope())))
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 1}


def test_keys_that_are_no_literals(registry: CollectorRegistry) -> None:
    scope = {"".join(list(key)): value for key, value in http_scope("/x", "PUT").items()}
    scope["".join(["ty", "pe"])] = "".join(["ht", "tp"])
    asyncio.run(request(MetricsMiddleware(answer, registry=registry), scope))
    assert series(registry, "http_requests_total") == {("unmatched", "PUT", "200"): 1}


METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"]


def test_methods(registry: CollectorRegistry) -> None:
    middleware = MetricsMiddleware(answer, registry=registry)
    strange = ["get", "PROPFIND", "", "GETT", "GE", "GET\0", "M" * 100_000, "MÉTHODE", "\udcff", "G\nT"]
    for method in [*METHODS, *strange]:
        asyncio.run(request(middleware, http_scope(method=method)))
    expected = {("unmatched", method, "200"): 1.0 for method in METHODS}
    assert series(registry, "http_requests_total") == {
        **expected,
        ("unmatched", "OTHER", "200"): len(strange),
    }


@pytest.mark.parametrize(
    ("path", "root_path", "measured"),
    [
        ("/metrics", "", False),
        ("/metrics/", "", True),
        ("/metric", "", True),
        ("/METRICS", "", True),
        ("/static/a.css", "", False),
        ("/static", "", True),
        ("/caf\u00e9", "", False),
        ("/proxy/metrics", "/proxy", False),
        ("/proxy/other", "/proxy", True),
        ("/", "", True),
        ("", "", True),
    ],
)
def test_skipped_paths(registry: CollectorRegistry, path: str, root_path: str, measured: bool) -> None:
    app = MetricsMiddleware(answer, registry=registry, skip_paths=["/metrics", "/static/*", "/caf\u00e9"])
    assert asyncio.run(request(app, http_scope(path, root_path=root_path))).statuses == [200]
    assert bool(series(registry, "http_requests_total")) is measured
    assert bool(series(registry, "http_request_duration_seconds_count")) is measured


def test_everything_can_be_skipped(registry: CollectorRegistry) -> None:
    asyncio.run(request(MetricsMiddleware(answer, registry=registry, skip_paths=["*"])))
    assert series(registry, "http_requests_total") == {}


def test_skipped_methods(registry: CollectorRegistry) -> None:
    app = MetricsMiddleware(answer, registry=registry, skip_methods=["options", "HEAD", "OTHER"])
    for method in [*METHODS, "PROPFIND"]:
        asyncio.run(request(app, http_scope(method=method)))
    assert {key[1] for key in series(registry, "http_requests_total")} == set(METHODS) - {"OPTIONS", "HEAD"}


def test_what_is_skipped_is_not_touched_at_all(registry: CollectorRegistry) -> None:
    app, client = Recorder(), Client()
    send = client.send
    middleware: Any = MetricsMiddleware(app, registry=registry, skip_paths=["/x"])
    asyncio.run(_await(middleware(http_scope("/x"), client.receive, send)))
    assert app.calls[0][2] is send


async def _await(awaitable: Any) -> None:
    await awaitable


def test_names_for_arguments(registry: CollectorRegistry) -> None:
    client = Client()
    middleware: Any = MetricsMiddleware(answer, registry=registry)
    asyncio.run(_await(middleware(scope=http_scope(), receive=client.receive, send=client.send)))
    asyncio.run(_await(middleware(http_scope(), send=client.send, receive=client.receive)))
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 2}


def test_calls_that_are_no_asgi_are_the_applications_business(registry: CollectorRegistry) -> None:
    app = Recorder()
    middleware: Any = MetricsMiddleware(app, registry=registry)
    asyncio.run(_await(middleware(1)))
    asyncio.run(_await(middleware()))
    assert app.calls == [(1,), ()]
    with pytest.raises(TypeError):
        middleware(1, 2, 3, other=4)
    with pytest.raises(TypeError):
        middleware(scope=1, receive=2, wrong=3)


def test_a_hook_names_routes_of_other_frameworks(registry: CollectorRegistry) -> None:
    answers = {"/a/1": "/a/{n}", "/none": None, "/wrong": 5, "/raises": ZeroDivisionError}

    def route(scope: Scope) -> Any:
        found = answers[scope["path"]]
        if found is ZeroDivisionError:
            raise ZeroDivisionError
        return found

    app = MetricsMiddleware(answer, registry=registry, route=route)
    for path in answers:
        asyncio.run(request(app, http_scope(path)))
        asyncio.run(request(app, http_scope(path)))
    assert series(registry, "http_requests_total") == {
        ("/a/{n}", "GET", "200"): 2,
        ("unmatched", "GET", "200"): 6,
    }
    assert value(registry, "ferrometer_middleware_errors_total", reason="route") == 4


def test_a_hook_may_invent_as_many_names_as_it_likes(registry: CollectorRegistry) -> None:
    app = MetricsMiddleware(answer, registry=registry, route=lambda scope: scope["path"])

    async def main() -> None:
        for n in range(10_500):
            await request(app, http_scope(f"/{n}"))

    asyncio.run(main())
    counted = series(registry, "http_requests_total")
    assert sum(counted.values()) == 10_500
    assert len(counted) == 10_001
    assert counted["__overflow__", "__overflow__", "__overflow__"] == 500


def test_a_panic_does_not_cross_the_boundary(capfd: pytest.CaptureFixture[str]) -> None:
    """PyO3 turns its own exception for panics back into a panic, which lets us have one."""
    panicked = 0
    with pytest.raises(ValueError):  # noqa: PT011  # any error makes the class
        MetricsMiddleware(answer, sample=5)
    # Every extension made with PyO3 has a class of its own; the others' are ordinary exceptions to us.
    for panic in [kind for kind in BaseException.__subclasses__() if kind.__name__ == "PanicException"]:

        def route(scope: Scope, panic: type[BaseException] = panic) -> str:
            raise panic("on purpose")

        registry = CollectorRegistry()
        app = MetricsMiddleware(answer, registry=registry, route=route)
        for _ in range(3):
            assert asyncio.run(request(app)).statuses == [200]
        faults = series(registry, "ferrometer_middleware_errors_total")
        assert faults in ({("panic",): 3}, {("route",): 3})
        panicked += ("panic",) in faults
        assert value(registry, "http_requests_in_flight") == 0
    assert panicked == 1
    assert "on purpose" in capfd.readouterr().err
