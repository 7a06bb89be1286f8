"""instrument(): one line, and the numbers are true whatever else the application has."""

from __future__ import annotations

import gc
import json
import threading
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import ferrometer
from ferrometer import CollectorRegistry, MetricsMiddleware, Observability, ServiceStats, instrument
from tests.endpoints.client import calling
from tests.endpoints.small_apps import counted, fastapi_app, starlette_app
from tests.real.uvicorn import uvicorn

pytestmark = pytest.mark.anyio

PATHS = ("/metrics", "/metrics/", "/stats", "/polling", "/health", "/monitor", "/live", "/ready")
JSON_PATHS = ("/stats", "/polling", "/health", "/monitor", "/live", "/ready")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's folder or the developer's shell must not decide what is tested."""
    monkeypatch.setenv("FERROMETER_CONFIG", "")


MAKERS: list[Callable[[], Starlette]] = [fastapi_app, starlette_app]


@pytest.mark.parametrize("make", MAKERS)
async def test_one_line(make: Callable[[], Starlette]) -> None:
    app = make()
    watched = instrument(app, namespace="gpuproxy", registry=CollectorRegistry())
    assert app.state.ferrometer is watched
    assert watched.paths == PATHS
    async with calling(app) as client:
        for name in ("a", "b", "c"):
            answer = await client.get(f"/hello/{name}")
            assert answer.status_code == 200
            assert answer.headers["x-request-id"]
        assert (await client.get("/nowhere/1")).status_code == 404
        assert (await client.get("/nowhere/2")).status_code == 404
        for path in PATHS:
            assert (await client.get(path)).status_code == 200
        stats = (await client.get("/stats")).json()
        text = (await client.get("/metrics")).text
    assert {key[2]: value for key, value in counted(watched).items()} == {"200": 3.0, "404": 2.0}
    assert ("GET", "/hello/{name}", "200") in counted(watched)
    assert stats["requests"]["total"] == 5
    assert "gpuproxy_requests_total 5" in text
    assert "gpuproxy_cache_hits 0" in text
    assert not [path for path in JSON_PATHS if f'"{path}"' in text]  # its own endpoints are not measured


async def test_openapi_does_not_list_the_endpoints() -> None:
    app = fastapi_app()
    before = app.openapi()
    app.openapi_schema = None
    instrument(app, registry=CollectorRegistry())
    assert app.openapi() == before
    assert list(before["paths"]) == ["/hello/{name}"]


async def test_a_second_call_returns_what_the_first_one_made() -> None:
    app = fastapi_app()
    registry = CollectorRegistry()
    watched = instrument(app, namespace="ns", registry=registry)
    assert instrument(app, namespace="ns", registry=registry) is watched
    async with calling(app) as client:
        await client.get("/hello/a")
        assert instrument(app) is watched  # started meanwhile, and harmless all the same
        assert (await client.get("/stats")).json()["requests"]["total"] == 1


async def test_request_ids_can_be_left_out() -> None:
    app = fastapi_app()
    instrument(app, registry=CollectorRegistry(), request_id=False)
    async with calling(app) as client:
        assert "x-request-id" not in (await client.get("/hello/a")).headers


async def test_health_checks_given_and_registered_later() -> None:
    app = fastapi_app()
    watched = instrument(app, registry=CollectorRegistry(), health_checks={"database": lambda: True})

    @watched.health.register("redis")
    async def redis() -> bool:
        return False

    async with calling(app) as client:
        answer = await client.get("/health")
    assert answer.status_code == 503
    assert {name: c["healthy"] for name, c in answer.json()["checks"].items()} == {
        "database": True,
        "redis": False,
    }


async def test_a_user_of_the_stats_needs_no_global() -> None:
    app = FastAPI()

    @app.get("/lookup")
    async def lookup(request: Request) -> None:
        request.app.state.ferrometer.stats.cache.hit()

    instrument(app, namespace="ns", registry=CollectorRegistry())
    async with calling(app) as client:
        await client.get("/lookup")
        assert (await client.get("/stats")).json()["cache"]["hits"] == 1
        assert "ns_cache_hits 1" in (await client.get("/metrics")).text


async def test_what_an_outer_middleware_answers_is_counted_too() -> None:
    app = fastapi_app()
    watched = instrument(app, registry=CollectorRegistry())

    async def limiter(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        # The recipe for a limiter: the endpoints' paths are told by the object.
        if request.url.path in watched.paths:
            return await call_next(request)
        return Response(status_code=429)

    app.add_middleware(BaseHTTPMiddleware, dispatch=limiter)
    async with calling(app) as client:
        assert (await client.get("/hello/a")).status_code == 429
        for path in PATHS:
            assert (await client.get(path)).status_code == 200
    assert {key[2]: value for key, value in counted(watched).items()} == {"429": 1.0}


@pytest.mark.parametrize("make", MAKERS)
async def test_the_status_counted_is_the_status_sent(make: Callable[[], Starlette]) -> None:
    app = make()
    watched = instrument(app, registry=CollectorRegistry())

    async def broken(request: Request) -> Response:
        raise RuntimeError

    if isinstance(app, FastAPI):
        app.add_api_route("/broken", broken)
    else:
        app.router.routes.append(Route("/broken", broken))

    async def sorry(request: Request, error: Exception) -> Response:
        return Response(status_code=500)

    app.add_exception_handler(Exception, sorry)
    async with calling(app) as client:
        with pytest.raises(RuntimeError):
            await client.get("/broken")
    assert counted(watched) == {("GET", "/broken", "500"): 1.0}
    assert watched.metrics.snapshot()["failed"] == 1


async def test_polling_adds_up_no_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    app = fastapi_app()
    watched = instrument(app, registry=CollectorRegistry())
    monkeypatch.setattr(ServiceStats, "_snapshot", lambda stats: pytest.fail("the expensive way"))
    assert watched.stats.polling()["requests_in_flight"] == 0


async def test_in_flight_is_seen_while_a_request_waits() -> None:
    app = Starlette()
    watched = instrument(app, registry=CollectorRegistry())
    entered, go_on = anyio.Event(), anyio.Event()

    async def wait(request: Request) -> Response:
        entered.set()
        await go_on.wait()
        return Response()

    app.router.routes.append(Route("/wait", wait))
    async with calling(app) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, "/wait")
        await entered.wait()
        assert (await client.get("/polling")).json()["metrics"]["requests_in_flight"] == 1
        assert (await client.get("/stats")).json()["requests"]["in_flight"] == 1
        go_on.set()
    assert watched.stats.polling()["requests_in_flight"] == 0


async def test_settings_come_from_the_environment_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[metrics]\nnamespace = "fromfile"\nsample = 0.5\n[endpoints]\npath = "/o"\nallow = ["unix"]\n'
    )
    monkeypatch.setenv("FERROMETER_SAMPLE", "0.25")
    monkeypatch.setenv("FERROMETER_AUTH_TOKEN", "token")
    app = fastapi_app()
    watched = instrument(app, registry=CollectorRegistry(), path="", allow="127.0.0.1", config=file)
    assert (watched.metrics.namespace, watched.metrics.sample) == ("fromfile", 0.25)
    async with calling(app) as client:
        assert (await client.get("/stats")).status_code == 401
        assert (await client.get("/stats", headers={"Authorization": "Bearer token"})).status_code == 200


async def test_skip_paths_and_methods_are_added_to_the_endpoints() -> None:
    app = fastapi_app()
    watched = instrument(
        app, registry=CollectorRegistry(), skip_paths=["/hello/secret"], skip_methods=["OPTIONS"]
    )
    async with calling(app) as client:
        await client.get("/hello/secret")
        await client.options("/hello/a")
        await client.get("/stats")
        await client.get("/hello/a")
    assert counted(watched) == {("GET", "/hello/{name}", "200"): 1.0}


async def test_the_background_readings_start_with_the_application_and_end_with_it() -> None:
    def readers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "ferrometer-collectors"}

    others = readers()
    app = fastapi_app()
    watched = instrument(app, registry=CollectorRegistry())
    assert readers() <= others  # not yet: a server may fork after the import
    async with calling(app) as client:
        await client.get("/hello/a")
        await client.get("/hello/a")
    (mine,) = readers() - others
    assert mine.daemon
    del client, watched, app
    gc.collect()
    mine.join(10)
    assert not mine.is_alive()


async def _asgi(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("never called")


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (_asgi, "app = ferrometer.MetricsMiddleware(app)"),
        (None, "not NoneType"),
        (FastAPI, "write FastAPI()"),
        (Starlette, "not the class Starlette"),
        ("main:app", "not str"),
        (APIRouter(), "not APIRouter"),
    ],
)
def test_what_is_no_application(app: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        instrument(app)
    assert words in str(caught.value)


async def test_an_application_that_has_started() -> None:
    app = fastapi_app()
    async with calling(app) as client:
        await client.get("/hello/a")
    with pytest.raises(RuntimeError, match="came too late: the application has started"):
        instrument(app, registry=CollectorRegistry())


def test_an_application_that_has_the_middleware_already() -> None:
    app = fastapi_app()
    app.add_middleware(MetricsMiddleware, registry=CollectorRegistry())
    with pytest.raises(ValueError, match="would count every request twice; remove"):
        instrument(app, registry=CollectorRegistry())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sample": 0}, ValueError, "sampl"),
        ({"sample": -1}, ValueError, "sampl"),
        ({"sample": 2}, ValueError, "sampl"),
        ({"sample": float("nan")}, ValueError, "sampl"),
        ({"namespace": "gpu-proxy"}, ValueError, "gpu_proxy"),
        ({"namespace": ""}, ValueError, "namespace"),
        ({"buckets": [2, 1]}, ValueError, ""),
        ({"buckets": [1, float("nan")]}, ValueError, ""),
        ({"path": "observability"}, ValueError, "write '/observability'"),
        ({"auth": ""}, ValueError, "empty"),
        ({"allow": "localhost"}, ValueError, "localhost"),
        ({"cors_origins": "dashboard"}, ValueError, "no origin"),
        ({"skip_paths": "/a"}, TypeError, "write ['/a']"),
        ({"skip_methods": "GET"}, TypeError, "write ['GET']"),
        ({"skip_paths": ["a"]}, ValueError, "must start with '/'"),
        ({"skip_methods": ["BREW"]}, ValueError, "BREW"),
        ({"health_checks": {"status": bool}}, ValueError, "flat form"),
        ({"config": "/no/such/file.toml"}, FileNotFoundError, "/no/such/file.toml"),
    ],
)
def test_a_wrong_option_fails_at_once_and_leaves_the_application_alone(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    app = fastapi_app()
    routes = list(app.router.routes)
    with pytest.raises(error) as caught:
        instrument(app, registry=CollectorRegistry(), **options)
    assert words in str(caught.value)
    assert app.router.routes == routes
    assert isinstance(instrument(app, registry=CollectorRegistry()), Observability)


APP = """
from fastapi import FastAPI
import ferrometer

app = FastAPI()

@app.get("/hello/{name}")
async def hello(name: str):
    return name

watched = ferrometer.instrument(app, namespace="gpuproxy", allow=["127.0.0.1"])
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_under_a_real_server(loop: str, tmp_path: Path) -> None:
    with uvicorn(APP, tmp_path, "--loop", loop) as base:

        def get(path: str) -> str:
            with urllib.request.urlopen(base + path, timeout=10) as answer:
                return str(answer.read().decode())

        for number in range(20):
            assert get(f"/hello/{number}") == f'"{number}"'
        stats = json.loads(get("/stats"))
        assert (stats["requests"]["total"], stats["requests"]["failed"]) == (20, 0)
        assert 0 < stats["requests"]["duration"]["p50_ms"] <= stats["requests"]["duration"]["p99_ms"] < 10_000
        assert 'http_requests_total{endpoint="/hello/{name}",method="GET",status="200"} 20' in get("/metrics")
        assert json.loads(get("/monitor"))["metrics"]["requests"]["total"] == 20


async def test_a_namespace_of_an_application_that_is_gone_is_free() -> None:
    registry = CollectorRegistry()
    for name in ("one", "two", "three"):
        instrument(fastapi_app(), namespace=name, registry=registry, default_collectors=False)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("prefix", "here: namespace="),
        ("app_name", "here: namespace="),
        ("excluded_handlers", "here: skip_paths="),
        ("excluded_urls", "here: skip_paths="),
        ("group_paths", "here: paths are always grouped by route template"),
        ("should_group_status_codes", "here: statuses are never grouped"),
        ("namespce", "did you mean namespace="),
        ("zzz", "it takes "),
    ],
)
async def test_another_middlewares_argument_is_answered_with_ours(argument: str, words: str) -> None:
    asked: dict[str, Any] = {argument: "x"}
    for call in (
        lambda: ferrometer.instrument(Starlette(), **asked),
        lambda: ferrometer.MetricsMiddleware(Starlette(), **asked),
    ):
        with pytest.raises(TypeError, match=rf"got an unexpected keyword argument '{argument}'; .*{words}"):
            call()
