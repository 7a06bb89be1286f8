"""instrument() among the application's own routes: who answers which path."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ferrometer import CollectorRegistry, MetricsMiddleware, instrument, observability_app
from tests.endpoints.client import calling
from tests.endpoints.small_apps import counted, fastapi_app, hello

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


def catch_all_fastapi() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/{rest:path}", lambda rest: "caught")
    return app


CATCH_ALL: list[Callable[[], Starlette]] = [
    catch_all_fastapi,
    lambda: Starlette(routes=[Route("/{rest:path}", hello)]),
    lambda: Starlette(routes=[Mount("/", routes=[Route("/{rest:path}", hello)])]),
    lambda: Starlette(routes=[Mount("", routes=[Route("/{rest:path}", hello)])]),
    lambda: Starlette(routes=[Route("/{word}", hello)]),
]


@pytest.mark.parametrize("make", CATCH_ALL)
async def test_a_catch_all_hides_no_endpoint(make: Callable[[], Starlette]) -> None:
    app = make()
    instrument(app, registry=CollectorRegistry())
    async with calling(app) as client:
        for path in JSON_PATHS:
            assert (await client.get(path)).headers["content-type"] == "application/json"
            assert (await client.get(path)).json()
        assert "http_requests" in (await client.get("/metrics")).text


def own(app: Starlette, how: str) -> None:
    """Gives the application a /health of its own."""
    answer = {"own": True}
    if how == "decorator":
        assert isinstance(app, FastAPI)
        app.get("/health")(lambda: answer)
    elif how == "included router":
        assert isinstance(app, FastAPI)
        router = APIRouter(prefix="/health")
        router.add_api_route("", lambda: answer)
        app.include_router(router)
    elif how == "router in a router":
        assert isinstance(app, FastAPI)
        inner, outer = APIRouter(prefix="/health"), APIRouter()
        inner.add_api_route("", lambda: answer)
        outer.include_router(inner)
        app.include_router(outer)
    elif how == "route":
        app.router.routes.append(Route("/health", lambda request: JSONResponse(answer)))
    elif how == "mount":

        async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
            await JSONResponse(answer)(scope, receive, send)

        app.mount("/health", mounted)
    else:
        raise AssertionError(how)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["decorator", "included router", "router in a router", "route", "mount"])
async def test_the_applications_own_route_wins(how: str, when: str) -> None:
    app = FastAPI()
    registry = CollectorRegistry()
    if when == "before":
        own(app, how)
    watched = instrument(app, registry=registry)
    if when == "after":
        own(app, how)
    async with calling(app) as client:
        answer = await client.get("/health", follow_redirects=True)
        assert answer.json() == {"own": True}
        assert answer.headers["x-request-id"]
        assert (await client.get("/ready")).json() == {"status": "ready"}
        assert (await client.get("/stats")).json()["requests"]["total"] >= 1  # and it is measured
    assert sum(counted(watched).values()) >= 1


async def test_a_route_for_another_method_keeps_its_path_too() -> None:
    app = FastAPI()
    app.post("/stats")(lambda: "posted")
    instrument(app, registry=CollectorRegistry())
    async with calling(app) as client:
        assert (await client.post("/stats")).json() == "posted"
        assert (await client.get("/stats")).status_code == 405


async def test_a_websocket_of_the_same_path_takes_nothing_away() -> None:
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    app = Starlette(routes=[WebSocketRoute("/health", socket)])
    instrument(app, registry=CollectorRegistry())
    async with calling(app) as client:
        assert (await client.get("/health")).json()["status"] == "ok"


async def test_a_path_of_its_own() -> None:
    app = fastapi_app()
    app.get("/health")(lambda: "own")
    watched = instrument(app, registry=CollectorRegistry(), path="/observability")
    async with calling(app) as client:
        assert (await client.get("/health")).json() == "own"
        for path in PATHS:
            assert (await client.get("/observability" + path)).status_code == 200
        assert (await client.get("/stats")).status_code == 404
    assert {key[1] for key in counted(watched)} >= {"/health"}
    assert not {key for key in counted(watched) if key[1].startswith("/observability")}


async def test_by_hand_around_any_asgi_application() -> None:
    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse("plain")(scope, receive, send)

    registry = CollectorRegistry()
    measured = MetricsMiddleware(plain, namespace="byhand", registry=registry)
    outer = Starlette(
        routes=[
            Mount("/observability", observability_app(metrics=measured.metrics)),
            Mount("/", measured),
        ]
    )
    async with calling(outer) as client:
        for _ in range(3):
            assert (await client.get("/anything")).json() == "plain"
        for path in PATHS:
            assert (await client.get("/observability" + path, follow_redirects=False)).status_code == 200
        assert (await client.get("/observability/stats")).json()["requests"]["total"] == 3
        text = (await client.get("/observability/metrics")).text
    assert "byhand_requests_total 3" in text
    assert "byhand_cache_hits 0" in text


async def test_below_a_mount_the_endpoints_are_there_and_nothing_is_counted_twice() -> None:
    registry = CollectorRegistry()
    inner, outer = fastapi_app(), FastAPI()
    instrument(inner, registry=registry)
    watched = instrument(outer, registry=registry)
    outer.mount("/v1", inner)
    async with calling(outer) as client:
        assert (await client.get("/v1/hello/a")).status_code == 200
        assert (await client.get("/v1/stats")).json()["requests"]["total"] == 1
        assert (await client.get("/v1/polling")).status_code == 200
    assert sum(value for key, value in counted(watched).items() if "hello" in key[1]) == 1
