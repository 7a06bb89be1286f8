"""Applications whose routes are hard to name, and what each request to them must be called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.middleware.asgi import App, Receive, Scope, Send

UNMATCHED = "unmatched"


@dataclass(frozen=True)
class Case:
    """A request and the template it belongs to."""

    path: str
    template: str
    status: int = 200
    method: str = "GET"
    host: str = "test"


class Broken(Exception):
    """What the endpoints raise that raise."""


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def other(request: Request) -> Response:
    return PlainTextResponse("other")


async def broken(request: Request) -> Response:
    raise Broken


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


class Thing(HTTPEndpoint):
    """An endpoint that is a class."""

    async def get(self, request: Request) -> Response:
        return PlainTextResponse("thing")


async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that routes by itself, if at all."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"opaque"})


class Wrapped:
    """Middleware around a mounted application, as most are written."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def starlette() -> tuple[Starlette, list[Case]]:
    """Routes, mounts in mounts, hosts, one endpoint twice, one application twice."""
    inner = Starlette(
        routes=[Route("/", hello), Route("/items/{id:int}", hello), Route("/only-inner", other)]
    )
    twice = Starlette(routes=[Route("/thing/{name}", Thing), Route("/x", functools.partial(hello))])
    app = Starlette(
        routes=[
            Route("/", hello),
            Route("/users/{user}", other),
            Route("/convert/{n:int}/{rest:path}", hello),
            Route("/by-method", hello, methods=["GET"]),
            Route("/by-method", other, methods=["POST"]),
            Route("/class", Thing),
            Route("/broken", broken),
            WebSocketRoute("/ws/{room}", echo),
            Mount("/api/{version}", app=inner),
            Mount("/wrapped", app=Wrapped(Starlette(routes=[Route("/deep/{x}", other)]))),
            Mount("/first", app=twice),
            Mount("/second/{part}", app=twice),
            Mount("/static", app=opaque),
            Mount("/nested", routes=[Mount("/{level}", routes=[Route("/leaf/{leaf}", other)])]),
            Host("{tenant}.example.org", app=Router(routes=[Route("/by-host/{id}", other)])),
        ]
    )
    cases = [
        Case("/", "/"),
        Case("/users/alice", "/users/{user}"),
        Case("/users/bob", "/users/{user}"),
        Case("/convert/3/a/b", "/convert/{n}/{rest}"),
        Case("/by-method", "/by-method"),
        Case("/by-method", "/by-method", method="POST"),
        Case("/by-method", "/by-method", 405, method="DELETE"),
        Case("/class", "/class"),
        Case("/broken", "/broken", 500),
        Case("/api/v1/", "/api/{version}/"),
        Case("/api/v2/items/7", "/api/{version}/items/{id}"),
        Case("/api/v2/only-inner", "/api/{version}/only-inner"),
        Case("/api/v2/nothing", UNMATCHED, 404),
        Case("/wrapped/deep/1", "/wrapped/deep/{x}"),
        Case("/first/thing/a", "/first/thing/{name}"),
        Case("/second/p/thing/a", "/second/{part}/thing/{name}"),
        Case("/first/thing/b", "/first/thing/{name}"),
        Case("/second/q/x", "/second/{part}/x"),
        Case("/static/css/main.css", "/static/{path}"),
        Case("/static/js/main.js", "/static/{path}"),
        Case("/nested/5/leaf/6", "/nested/{level}/leaf/{leaf}"),
        Case("/by-host/9", "/by-host/{id}", host="acme.example.org"),
        Case("/nowhere", UNMATCHED, 404),
        Case("/users/", UNMATCHED, 404),
        Case("/users/alice/", UNMATCHED, 307),
    ]
    return app, cases


def fastapi() -> tuple[Any, list[Case]]:
    """Prefixes of include_router, in one another and twice over; mounts of FastAPI in FastAPI."""
    from fastapi import APIRouter, FastAPI

    app = FastAPI()
    users, admin, shared = APIRouter(prefix="/users"), APIRouter(), APIRouter()

    @app.get("/")
    async def root() -> dict[str, str]:
        return {}

    @users.get("/{user_id}")
    async def user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    @admin.post("/{name}/reset")
    async def reset(name: str) -> dict[str, str]:
        return {"name": name}

    @shared.get("/status/{part}")
    async def status(part: str) -> dict[str, str]:
        return {"part": part}

    @shared.get("/fails")
    async def fails() -> None:
        raise Broken

    users.include_router(admin, prefix="/admin/{realm}")
    app.include_router(users, prefix="/api")
    app.include_router(shared, prefix="/v1")
    app.include_router(shared, prefix="/v2/{tenant}")

    sub = FastAPI()

    @sub.get("/leaf/{leaf}")
    async def leaf(leaf: str) -> dict[str, str]:
        return {"leaf": leaf}

    sub.include_router(shared, prefix="/shared")
    app.mount("/sub/{realm}", sub)
    app.mount("/files", opaque)
    app.add_route("/plain/{x}", hello)

    cases = [
        Case("/", "/"),
        Case("/api/users/3", "/api/users/{user_id}"),
        Case("/api/users/x", "/api/users/{user_id}", 422),
        Case("/api/users/admin/r1/bob/reset", "/api/users/admin/{realm}/{name}/reset", method="POST"),
        Case("/api/users/admin/r1/bob/reset", "/api/users/admin/{realm}/{name}/reset", 405),
        Case("/v1/status/db", "/v1/status/{part}"),
        Case("/v2/acme/status/db", "/v2/{tenant}/status/{part}"),
        Case("/v1/status/gpu", "/v1/status/{part}"),
        Case("/v2/other/status/gpu", "/v2/{tenant}/status/{part}"),
        Case("/v1/fails", "/v1/fails", 500),
        Case("/sub/a/leaf/1", "/sub/{realm}/leaf/{leaf}"),
        Case("/sub/b/leaf/2", "/sub/{realm}/leaf/{leaf}"),
        Case("/sub/b/shared/status/db", "/sub/{realm}/shared/status/{part}"),
        Case("/sub/b/openapi.json", "/sub/{realm}/openapi.json"),
        Case("/sub/b/nothing", UNMATCHED, 404),
        Case("/files/a/b", "/files/{path}"),
        Case("/plain/1", "/plain/{x}"),
        Case("/docs", "/docs"),
        Case("/openapi.json", "/openapi.json"),
        Case("/nowhere", UNMATCHED, 404),
    ]
    return app, cases


MAKERS: dict[str, Callable[[], tuple[Any, list[Case]]]] = {"starlette": starlette, "fastapi": fastapi}
