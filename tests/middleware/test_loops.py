"""Event loops and frameworks: asyncio, uvloop, trio; test clients; BaseHTTPMiddleware inside and outside."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ferrometer import CollectorRegistry, MetricsMiddleware, get_request_id
from tests.middleware.asgi import Client, Message, body, http_scope, series, start, value

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer Starlettes would rather have httpx2, older ones do not know it
    from starlette.testclient import TestClient

LOOPS = ["asyncio", "trio"] + (["uvloop"] if sys.platform != "win32" else [])


def run(loop: str, main: Callable[[], Any]) -> None:
    if loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        anyio.run(main, backend=loop)


async def hello(request: Request) -> Response:
    await anyio.lowlevel.checkpoint()
    return PlainTextResponse("hello")


async def posted(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def stream(request: Request) -> Response:
    async def chunks() -> Any:
        for n in range(5):
            await anyio.sleep(0.001)
            yield f"{n}" * 100

    return StreamingResponse(chunks())


async def endless(request: Request) -> Response:
    async def chunks() -> Any:
        while True:
            yield b"x"
            await anyio.sleep(0.001)

    return StreamingResponse(chunks())


async def fails(request: Request) -> Response:
    raise ValueError("broken")


async def fails_later(request: Request) -> Response:
    async def task() -> None:
        raise ValueError("broken")

    return PlainTextResponse("sent", background=BackgroundTask(task))


async def who(request: Request) -> Response:
    return PlainTextResponse(str(get_request_id()))


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


ROUTES = [
    Route("/hello/{name}", hello),
    Route("/posted", posted, methods=["POST"]),
    Route("/stream", stream),
    Route("/endless", endless),
    Route("/fails", fails),
    Route("/fails-later", fails_later),
    Route("/who", who),
    WebSocketRoute("/chat/{room}", chat),
]


class Base(BaseHTTPMiddleware):
    """The middleware that runs what is inside it in a task of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-base"] = "1"
        return response


def application(registry: CollectorRegistry, *, outside: bool, inside: bool, **options: Any) -> Starlette:
    stack = [Middleware(MetricsMiddleware, registry=registry, **options)]
    if outside:
        stack.insert(0, Middleware(Base))
    if inside:
        stack.append(Middleware(Base))
    return Starlette(routes=ROUTES, middleware=stack)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("outside", "inside"), [(False, False), (True, False), (False, True), (True, True)])
def test_requests(registry: CollectorRegistry, loop: str, outside: bool, inside: bool) -> None:
    import httpx

    app = application(registry, outside=outside, inside=inside, request_id=True)

    async def main() -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for name in "ab":
                assert (await client.get(f"/hello/{name}")).text == "hello"
            assert (await client.post("/posted", content=b"x" * 1000)).text == "1000"
            assert len((await client.get("/stream")).content) == 500
            assert (await client.get("/fails")).status_code == 500
            assert (await client.get("/fails-later")).text == "sent"
            answer = await client.get("/who", headers={"X-Request-ID": "abc"})
            assert (answer.text, answer.headers["x-request-id"]) == ("abc", "abc")
            assert (await client.get("/nowhere")).status_code == 404
            assert (await client.head("/hello/c")).status_code == 200

    run(loop, main)
    assert series(registry, "http_requests_total") == {
        ("/hello/{name}", "GET", "200"): 2,
        ("/hello/{name}", "HEAD", "200"): 1,
        ("/posted", "POST", "200"): 1,
        ("/stream", "GET", "200"): 1,
        ("/fails", "GET", "500"): 1,
        ("/fails-later", "GET", "200"): 1,
        ("/who", "GET", "200"): 1,
        ("unmatched", "GET", "404"): 1,
    }
    assert value(registry, "http_request_body_bytes_total", endpoint="/posted", method="POST") == 1000
    assert value(registry, "http_response_body_bytes_total", endpoint="/stream", method="GET") == 500
    assert value(registry, "http_response_first_byte_seconds_count", endpoint="/stream", method="GET") == 1
    assert value(registry, "http_requests_in_flight") == 0


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("inside", [False, True])
def test_a_client_that_leaves_an_endless_stream(registry: CollectorRegistry, loop: str, inside: bool) -> None:
    app = application(registry, outside=False, inside=inside)

    async def main() -> None:
        sent: list[Message] = []
        asked, enough = anyio.Event(), anyio.Event()

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) > 5:
                enough.set()

        async def receive() -> Message:
            if asked.is_set():
                await enough.wait()
                return {"type": "http.disconnect"}
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}

        with anyio.fail_after(5):
            await app(http_scope("/endless"), receive, send)

    run(loop, main)
    assert series(registry, "http_requests_total") == {("/endless", "GET", "200"): 1}
    assert value(registry, "http_client_disconnects_total", endpoint="/endless", method="GET") == 1
    assert series(registry, "http_requests_cancelled_total") == {}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("outside", "inside"), [(False, False), (True, False), (False, True)])
# Starlette leaves the body's generator to the garbage collector, which trio complains of.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_cancellation(registry: CollectorRegistry, loop: str, outside: bool, inside: bool) -> None:
    app = application(registry, outside=outside, inside=inside)

    async def main() -> None:
        client = Client({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> Message:
            if client.incoming:
                return client.incoming.pop()
            await anyio.sleep(60)
            raise AssertionError("never")

        with anyio.move_on_after(0.05) as scope:
            await app(http_scope("/endless"), receive, client.send)
        assert scope.cancelled_caught

    run(loop, main)
    assert series(registry, "http_requests_total") == {("/endless", "GET", "200"): 1}
    assert value(registry, "http_requests_cancelled_total", endpoint="/endless", method="GET") == 1
    assert series(registry, "http_client_disconnects_total") == {}
    assert value(registry, "http_requests_in_flight") == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_task_groups_and_timeouts_inside(registry: CollectorRegistry, loop: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            group.start_soon(anyio.lowlevel.checkpoint)
        with anyio.move_on_after(0.01):
            await receive()
        await send(start())
        async with anyio.create_task_group() as group:
            group.start_soon(send, body(b"x", more=True))
        await send(body())

    async def main() -> None:
        calls = 0

        async def receive() -> Message:
            nonlocal calls
            calls += 1
            if calls > 1:
                await anyio.sleep(60)
            return {"type": "http.request", "body": b"", "more_body": False}

        sent = Client()
        await MetricsMiddleware(app, registry=registry)(http_scope(), receive, sent.send)
        assert [message["type"] for message in sent.sent][1:] == ["http.response.body"] * 2

    run(loop, main)
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 1}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_starlettes_test_client(registry: CollectorRegistry, backend: Any) -> None:
    app = application(registry, outside=True, inside=False)
    with TestClient(app, backend=backend, raise_server_exceptions=False) as client:
        assert client.get("/hello/x").text == "hello"
        assert client.get("/stream").text.startswith("000")
        assert client.get("/fails").status_code == 500
        with client.websocket_connect("/chat/1") as websocket:
            websocket.send_text("hi")
            assert websocket.receive_text() == "HI"
    assert value(registry, "http_requests_total", endpoint="/fails", method="GET", status="500") == 1
    assert series(registry, "websocket_connections_total") == {
        ("/chat/{room}", "accepted"): 1,
        ("/chat/{room}", "closed"): 1,
    }
    assert series(registry, "websocket_messages_total") == {
        ("received", "/chat/{room}"): 1,
        ("sent", "/chat/{room}"): 1,
    }


def test_event_loops_in_several_threads(registry: CollectorRegistry) -> None:
    """Cells are written with the GIL held, so that counts of threads that take turns are exact."""
    import threading

    app = application(registry, outside=False, inside=False)

    async def serve() -> None:
        for n in range(200):
            client = Client({"type": "http.request", "body": b"", "more_body": False})
            await app(http_scope(f"/hello/{n}"), client.receive, client.send)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=asyncio.run, args=(serve(),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert series(registry, "http_requests_total") == {("/hello/{name}", "GET", "200"): 1600}
    assert (
        value(registry, "http_request_duration_seconds_count", endpoint="/hello/{name}", method="GET") == 1600
    )
    assert value(registry, "http_requests_in_flight") == 0


def test_an_eager_task(registry: CollectorRegistry) -> None:
    """The request itself as a task, without a coroutine of Python's around it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await send(start())
        await send(body())

    async def main() -> None:
        client = Client()
        coroutine: Any = MetricsMiddleware(app, registry=registry)(http_scope(), client.receive, client.send)
        assert asyncio.iscoroutine(coroutine)
        task = asyncio.create_task(coroutine)
        assert "Request" in repr(task)
        await task

    asyncio.run(main(), debug=True)
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 1}
