"""Clients that are many, slow, hostile or gone: the others never wait for them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

import ferrometer
from ferrometer import CollectorRegistry, MetricsServer, generate_latest, serve_metrics
from tests.serving.client import ask, is_closed, raw

#: As many connections as a server keeps.
MOST = 256


def test_a_hundred_at_once(registry: CollectorRegistry, server: MetricsServer) -> None:
    expected = generate_latest(registry)
    start = threading.Barrier(100)

    def client(_: int) -> list[bytes]:
        start.wait()
        return [ask(server.port).body for _ in range(5)]

    with ThreadPoolExecutor(100) as clients:
        for bodies in clients.map(client, range(100)):
            assert bodies == [expected] * 5


@contextmanager
def crowd(port: int, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(raw(port, data)) for _ in range(count)]


@pytest.mark.parametrize(
    "data", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "slow"]
)
def test_clients_that_never_ask_keep_nobody_out(server: MetricsServer, data: bytes) -> None:
    with crowd(server.port, 2 * MOST, data) as connections:
        for _ in range(3):
            begun = time.monotonic()
            assert ask(server.port).status == 200
            assert time.monotonic() - begun < 1
        # Who has waited longest made room.
        assert is_closed(connections[0], 5)
        assert not is_closed(connections[-1], 0.1)


def test_a_slow_request_ends(server: MetricsServer) -> None:
    """One byte a second is a request for ever: ten seconds are given."""
    with raw(server.port, b"GET /metrics HTTP/1.1\r\n") as slow:
        begun = time.monotonic()
        closed = False
        while not closed and time.monotonic() - begun < 20:
            try:
                slow.sendall(b"X")
            except OSError:
                closed = True
                break
            closed = is_closed(slow, 0.5)
        assert closed
        assert 8 < time.monotonic() - begun < 16


def test_clients_that_do_not_read_hold_up_nobody() -> None:
    registry = CollectorRegistry()
    wide = ferrometer.Gauge("wide", "Wide", ["n"], registry=registry, max_series=50_000)
    for n in range(40_000):
        wide.labels(f"{n:0100d}").set(n)
    with (
        serve_metrics(0, registry=registry) as server,
        crowd(server.port, 20, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    ):
        begun = time.monotonic()
        assert len(ask(server.port).body) > 4_000_000
        assert ask(server.port, "/live").status == 200
        assert time.monotonic() - begun < 5


def test_answers_that_nobody_takes_are_bounded() -> None:
    """Beyond 128 MiB of answers on their way there are no further ones, until they are taken."""
    registry = CollectorRegistry()
    wide = ferrometer.Gauge("wide", "Wide", ["n"], registry=registry, max_series=50_000)
    for n in range(50_000):
        wide.labels(f"{n:0400d}").set(n)
    one = len(generate_latest(registry))
    with serve_metrics(0, registry=registry) as server:
        with crowd(server.port, (128 << 20) // one + 5, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            answer = ask(server.port)
            assert (answer.status, answer.headers.get("retry-after")) == (503, "1")
            assert ask(server.port, "/live").status == 200
        deadline = time.monotonic() + 10
        while (answer := ask(server.port)).status == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(answer.body) == one


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n", b"431"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET /metrics HTTP/9.9\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),  # closed without a word
        (b"GET /metrics HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: gzip, nonsense\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_refused(server: MetricsServer, request_: bytes, status: bytes) -> None:
    with raw(server.port, request_) as connection:
        connection.settimeout(5)
        line = connection.recv(100).split(b"\r\n")[0]
        assert (status in line) if status else not line, line
    assert ask(server.port).status == 200


def test_old_and_hasty_clients(server: MetricsServer) -> None:
    with raw(server.port, b"GET /live HTTP/1.0\r\n\r\n") as old:
        assert b'{"status":"alive"}' in _all(old)
    with raw(server.port, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n" * 3) as hasty:
        hasty.shutdown(socket.SHUT_WR)
        assert _all(hasty).count(b'{"status":"alive"}') == 3
    for _ in range(200):  # gone before they are answered
        raw(server.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").close()
    assert ask(server.port).status == 200


def _all(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_body_that_nobody_asked_for(server: MetricsServer) -> None:
    head = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with raw(server.port, head + b"x" * 1000) as connection:
        connection.settimeout(5)
        assert b"405" in connection.recv(100)
