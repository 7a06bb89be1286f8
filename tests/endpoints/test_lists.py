"""Headers that are lists, ``Vary``, and the case of header names, at every front."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette

from ferrometer import CollectorRegistry, instrument, make_asgi_app, serve_metrics
from ferrometer.exposition import CONTENT_TYPE_OPENMETRICS as OPEN
from ferrometer.exposition import CONTENT_TYPE_PLAIN_0_0_4 as TEXT

TWO_LINES = [
    (b"accept", b"text/plain;q=0.1"),
    (b"accept", b"application/openmetrics-text;q=0.9"),
]


async def call(app: Any, headers: list[tuple[bytes, bytes]], method: str = "GET") -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            for name, value in message["headers"]:
                assert name == name.lower()
                found[name] = value

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": "/metrics",
        "raw_path": b"/metrics",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "server": ("a", 1),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return found


def instrumented(**options: Any) -> Starlette:
    app = Starlette()
    instrument(app, registry=CollectorRegistry(), default_collectors=False, **options)
    return app


FRONTS = {"endpoint": instrumented(), "asgi": make_asgi_app(CollectorRegistry())}


@pytest.mark.parametrize("app", FRONTS.values(), ids=FRONTS)
def test_two_lines_are_one_list(app: Any) -> None:
    headers = asyncio.run(call(app, TWO_LINES))
    assert headers[b"content-type"].decode().startswith(OPEN)
    zipped = [(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip;q=0.5")]
    assert asyncio.run(call(app, zipped))[b"content-encoding"] == b"gzip"


def test_vary_adds_to_what_the_answer_depends_on() -> None:
    app = instrumented(cors_origins="https://a.example")
    headers = asyncio.run(call(app, [(b"origin", b"https://a.example")]))
    assert headers[b"vary"] == b"Accept, Accept-Encoding, Origin"
    assert headers[b"access-control-allow-origin"] == b"https://a.example"


QUALITIES = {
    b"gzip": True,
    b"gzip;q=1": True,
    b"gzip;q=0": False,
    b"gzip;q=0.0000": False,
    b"gzip; q=0.000000000000": False,
    b"gzip;q=0.0000001": True,
    b"gzip;x=y;q=0.00000": False,
    b"gzip;q=": True,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serve_metrics(0, registry=CollectorRegistry()) as server:
        yield server.port


def raw(port: int, *lines: bytes) -> tuple[bytes, bytes]:
    """The status line and the headers."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        data = b""
        while more := connection.recv(65536):
            data += more
    head = data.split(b"\r\n\r\n")[0].lower()
    return head.split(b"\r\n")[0], head


@pytest.mark.parametrize("accepted", QUALITIES)
def test_a_quality_may_have_many_decimals(port: int, accepted: bytes) -> None:
    found = asyncio.run(call(instrumented(), [(b"accept-encoding", accepted)]))
    assert (b"content-encoding" in found) == QUALITIES[accepted]
    _, head = raw(port, b"GET /metrics HTTP/1.1", b"Host: a", b"Accept-Encoding: " + accepted)
    assert (b"content-encoding: gzip" in head) == QUALITIES[accepted]


def test_a_port_of_its_own_reads_lists_too(port: int) -> None:
    lines = [b"%s: %s" % line for line in TWO_LINES]
    _, head = raw(port, b"GET /metrics HTTP/1.1", b"Host: a", *lines)
    assert b"content-type: " + OPEN.encode() in head
    _, head = raw(port, b"GET /metrics HTTP/1.1", b"Host: a", *reversed(lines))
    assert b"content-type: " + OPEN.encode() in head


def test_a_request_names_its_host_once(port: int) -> None:
    assert raw(port, b"GET /metrics HTTP/1.1")[0] == b"http/1.1 400 bad request"
    assert raw(port, b"GET /live HTTP/1.1")[0] == b"http/1.1 400 bad request"
    assert raw(port, b"GET /metrics HTTP/1.1", b"Host: a", b"Host: b")[0] == b"http/1.1 400 bad request"
    assert raw(port, b"GET /metrics HTTP/1.1", b"Host: a")[0] == b"http/1.1 200 ok"
    status, head = raw(port, b"GET /metrics HTTP/1.0")
    assert status.endswith(b"200 ok")
    assert b"content-type: " + TEXT.encode() in head


def test_asgi_module_and_package_have_the_same_function() -> None:
    import ferrometer.asgi

    assert ferrometer.asgi.make_asgi_app is make_asgi_app
