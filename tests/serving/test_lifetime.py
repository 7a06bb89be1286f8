"""A server's start and end, by hand and with its process."""

from __future__ import annotations

import errno
import gc
import signal
import socket
import time
from typing import Any

import prometheus_client
import pytest

import ferrometer
from ferrometer import CollectorRegistry, MetricsServer, serve_metrics
from tests.serving.client import ask, is_closed, raw
from tests.serving.program import running


def test_stop_closes_everything(server: MetricsServer) -> None:
    kept = raw(server.port, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert ", not serving" not in repr(server)
    server.stop()
    assert is_closed(kept, 5)
    kept.close()
    assert not server.running
    assert repr(server) == f"<MetricsServer http://127.0.0.1:{server.port}, not serving>"
    with pytest.raises(ConnectionRefusedError):
        ask(server.port)
    server.stop()  # nothing the second time
    with serve_metrics(server.port, registry=CollectorRegistry()) as again:
        assert ask(again.port).status == 200


def test_a_server_needs_nobody_to_keep_it() -> None:
    registry = CollectorRegistry()
    ferrometer.Counter("kept", "Kept", registry=registry).inc()
    port = serve_metrics(0, registry=registry).port
    del registry
    gc.collect()
    assert b"kept_total 1.0" in ask(port).body
    from ferrometer.endpoints.own_port import _serving

    [server] = [server for server in _serving if server.port == port]
    server.stop()


def test_a_taken_port_is_an_os_error(server: MetricsServer) -> None:
    with pytest.raises(OSError, match=rf"127\.0\.0\.1, port {server.port}: .*the port is taken") as raised:
        serve_metrics(server.port, registry=CollectorRegistry())
    assert raised.value.errno == errno.EADDRINUSE
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="the port is taken"):
            serve_metrics(other.getsockname()[1], registry=CollectorRegistry())


def test_another_machine_is_an_os_error() -> None:
    with pytest.raises(OSError, match="this machine has no such address") as raised:
        serve_metrics(0, "192.0.2.1", registry=CollectorRegistry())
    assert raised.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError, match="cannot serve metrics on no such host"):
        serve_metrics(0, "no such host", registry=CollectorRegistry())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"port": 65536}, ValueError),
        ({"port": -1}, ValueError),
        ({"port": "80"}, TypeError),
        ({"port": True}, TypeError),
        ({"addr": 7}, TypeError),
        ({"refresh": 0}, ValueError),
        ({"refresh": float("nan")}, ValueError),
        ({"registry": prometheus_client.CollectorRegistry()}, TypeError),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        serve_metrics(**{"port": 0, **wrong})


ENDS = {
    "return": "",
    "exit": "raise SystemExit(3)",
    "error": "1 / 0",
    "at once": "import os; os._exit(4)",
    "collected": "server.__dict__ if 0 else None; del server; import gc; gc.collect()",
    "interrupted": "print(1, flush=True); time.sleep(30)",
}
PROGRAM = """
import sys, time
import ferrometer
ferrometer.Gauge("g", "h").set_function(lambda: 1)
server = ferrometer.serve_metrics(0)
print(server.port, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("return", 0),
        ("exit", 3),
        ("error", 1),
        ("at once", 4),
        ("collected", 0),
        ("interrupted", -signal.SIGINT),
    ],
)
def test_a_process_ends_beside_its_clients(end: str, status: int) -> None:
    with running(PROGRAM + ENDS[end]) as program:
        port = program.number()
        connections = [
            raw(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20 + b"GET") for _ in range(20)
        ]
        program.tell()
        if end == "interrupted":
            # A signal is the main thread's: it must not wait for the sleep's end. CPython itself sees one
            # that comes right before the sleep begins only after the sleep.
            assert program.number() == 1
            time.sleep(0.3)
            program.process.send_signal(signal.SIGINT)
        assert program.wait(5) == status
        for connection in connections:
            assert is_closed(connection, 5)
            connection.close()
