"""Behind a real uvicorn: real sockets, real disconnects, real websockets; the numbers read over HTTP."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.real.uvicorn import uvicorn

SOURCE = """
import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from ferrometer import MetricsMiddleware, generate_latest, get_request_id

async def hello(request):
    return PlainTextResponse("hello")

async def length(request):
    return PlainTextResponse(str(len(await request.body())))

async def stream(request):
    async def chunks():
        for n in range(3):
            await asyncio.sleep(0.01)
            yield b"x" * 10
    return StreamingResponse(chunks())

async def endless(request):
    async def chunks():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)
    return StreamingResponse(chunks())

async def slow(request):
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    return PlainTextResponse("nobody hears this")

async def fails(request):
    raise ValueError("on purpose")

async def who(request):
    return PlainTextResponse(get_request_id())

async def chat(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())

async def refuse(websocket):
    await websocket.close()

async def metrics(request):
    return Response(generate_latest(), media_type="text/plain")

inner = Starlette(routes=[
    Route("/hello/{name}", hello), Route("/length", length, methods=["POST"]), Route("/stream", stream),
    Route("/endless", endless), Route("/slow", slow), Route("/fails", fails), Route("/who", who),
    WebSocketRoute("/chat/{room}", chat), WebSocketRoute("/refuse", refuse),
])
app = MetricsMiddleware(
    Starlette(routes=[Route("/metrics", metrics), Mount("/api/{version}", app=inner)]),
    namespace="served", request_id=True, skip_paths=["/metrics"],
)
"""

OPTIONS = [["--loop", "asyncio", "--http", "h11"]]
if sys.platform != "win32":
    OPTIONS.append(["--loop", "uvloop", "--http", "httptools"])


@pytest.fixture(params=OPTIONS, ids=lambda options: "-".join(options[1::2]))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with uvicorn(SOURCE, tmp_path, *request.param) as address:
        yield address


Labels = tuple[str, ...]


def numbers(server: str, name: str) -> dict[Labels, float]:
    """The samples of one name, by the values of their labels."""
    text = httpx.get(f"{server}/metrics").text
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def eventually(server: str, name: str, expected: dict[Labels, float]) -> None:
    """The server's side of a connection ends a little after the client's."""
    deadline = time.monotonic() + 5
    while (found := numbers(server, name)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == expected


def test_requests(server: str) -> None:
    with httpx.Client(base_url=f"{server}/api/v1") as client:
        assert [client.get(f"/hello/{n}").text for n in range(3)] == ["hello"] * 3
        assert client.head("/hello/x").status_code == 200
        assert client.post("/length", content=b"y" * 5000).text == "5000"
        assert client.post("/length", content=iter([b"y" * 10])).text == "10"
        assert len(client.get("/stream").content) == 30
        assert client.get("/nothing").status_code == 404
        assert client.get("/who", headers={"x-request-id": "mine"}).text == "mine"
        answer = client.get("/who", headers={"x-request-id": "x" * 10_000})
        assert answer.text == answer.headers["x-request-id"] != "x" * 10_000
    for _ in range(2):
        # uvicorn closes the connection of an application that raised.
        answer = httpx.get(f"{server}/api/v1/fails")
        assert answer.status_code == 500
        assert answer.headers["x-request-id"]
    prefix = "/api/{version}"
    assert numbers(server, "http_requests_total") == {
        (f"{prefix}/hello/{{name}}", "GET", "200"): 3,
        (f"{prefix}/hello/{{name}}", "HEAD", "200"): 1,
        (f"{prefix}/length", "POST", "200"): 2,
        (f"{prefix}/stream", "GET", "200"): 1,
        (f"{prefix}/fails", "GET", "500"): 2,
        (f"{prefix}/who", "GET", "200"): 2,
        ("unmatched", "GET", "404"): 1,
    }
    assert numbers(server, "served_requests_total") == {(): 12}
    assert numbers(server, "served_requests_failed") == {(): 2}
    assert numbers(server, "http_request_body_bytes_total") == {(f"{prefix}/length", "POST"): 5000}
    assert numbers(server, "http_response_body_bytes_total")[f"{prefix}/stream", "GET"] == 30
    assert numbers(server, "http_response_first_byte_seconds_count") == {(f"{prefix}/stream", "GET"): 1}
    assert numbers(server, "http_requests_in_flight") == {(): 0}


@pytest.mark.parametrize(("path", "status"), [("endless", "200"), ("slow", "200")])
def test_a_client_that_hangs_up(server: str, path: str, status: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if path == "endless":
            assert connection.recv(1000)
        else:
            deadline = time.monotonic() + 5
            while numbers(server, "http_requests_in_flight") != {(): 1} and time.monotonic() < deadline:
                time.sleep(0.01)
    label = f"/api/{{version}}/{path}"
    eventually(server, "http_client_disconnects_total", {(label, "GET"): 1})
    assert numbers(server, "http_requests_total") == {(label, "GET", status): 1}
    assert numbers(server, "http_requests_cancelled_total") == {}
    assert numbers(server, "http_requests_in_flight") == {(): 0}


def test_websockets(server: str) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    address = server.replace("http", "ws") + "/api/v1"

    async def main() -> None:
        async with connect(f"{address}/chat/1") as one, connect(f"{address}/chat/2") as two:
            for text in ("a", "b"):
                await one.send(text)
                assert await one.recv() == text.upper()
            await two.send("c")
            assert await two.recv() == "C"
            assert await asyncio.to_thread(numbers, server, "websocket_connections_active") == {(): 2}
        with pytest.raises(InvalidStatus):
            await connect(f"{address}/refuse")

    asyncio.run(main())
    chat, refuse = "/api/{version}/chat/{room}", "/api/{version}/refuse"
    eventually(
        server,
        "websocket_connections_total",
        {(chat, "accepted"): 2, (chat, "closed"): 2, (refuse, "rejected"): 1},
    )
    assert numbers(server, "websocket_messages_total") == {("received", chat): 3, ("sent", chat): 3}
    assert numbers(server, "websocket_connections_active") == {(): 0}
