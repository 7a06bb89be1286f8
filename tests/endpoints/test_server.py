"""The endpoints under a real uvicorn, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.real.component import LEDGER
from tests.real.process import Process
from tests.real.uvicorn import uvicorn

APP = """
import threading
from ferrometer.endpoints import observability_app
from ferrometer.health import HealthChecks
from ferrometer.stats import ServiceStats

health = HealthChecks(timeout=60)
health.register("database", lambda: {"total_connections": 3})
health.register("hangs", threading.Event().wait, timeout=0.1)
stats = ServiceStats("gpuproxy")
stats.cache.hit(3)
stats.cache.miss()
app = observability_app(stats=stats, health=health, auth="token", allow=%s, cors_origins="*")
"""
AUTHORIZED = {"Authorization": "Bearer token"}


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept alive, so that a wrong Content-Length would show in the next answer."""
    folder = tmp_path_factory.mktemp("served")
    with uvicorn(APP % '["127.0.0.1"]', folder, "--loop", request.param) as base:
        connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
        yield connection
        connection.close()


def test_every_endpoint_on_one_connection(server: http.client.HTTPConnection) -> None:
    for _ in range(3):
        for path in ("/metrics", "/metrics/", "/stats", "/polling", "/monitor"):
            status, headers, body = ask(server, "GET", path, AUTHORIZED)
            assert status == 200
            assert len(body) == int(headers["content-length"])
            status, headers, body = ask(server, "HEAD", path, AUTHORIZED)
            assert (status, body) == (200, b"")
            assert headers["content-length"]
            status, headers, body = ask(server, "GET", path)
            assert (status, body) == (401, b"")
            assert headers["www-authenticate"] == "Bearer"
            assert ask(server, "POST", path, AUTHORIZED)[0] == 405
    assert b"gpuproxy_cache_hit_rate 75" in ask(server, "GET", "/metrics", AUTHORIZED)[2]
    stats = json.loads(ask(server, "GET", "/stats", AUTHORIZED)[2])
    assert stats["cache"] == {"hits": 3, "misses": 1, "hit_rate": 75.0}
    assert stats["system"]["goroutines"] >= 2  # the server's own task and this request's
    assert ask(server, "GET", "/live")[0] == 200


def test_a_hanging_check(server: http.client.HTTPConnection) -> None:
    for _ in range(3):
        status, _headers, body = ask(server, "GET", "/health", AUTHORIZED)
        assert status == 503
        checks = json.loads(body)["checks"]
        assert checks["database"]["healthy"] is True
        assert checks["hangs"]["healthy"] is False
        assert checks["hangs"]["error"] == "TimeoutError"
    assert ask(server, "GET", "/ready")[0] == 503


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
@pytest.mark.parametrize(("allow", "status"), [('["127.0.0.1"]', 403), ('["unix"]', 200)])
def test_a_unix_socket_is_admitted_by_name_only(short_folder: Path, allow: str, status: int) -> None:
    (short_folder / "served.py").write_text(APP % allow)
    path = short_folder / "socket"
    command = [sys.executable, "-m", "uvicorn", "served:app", "--uds", str(path), "--no-access-log"]
    with Process(command, folder=short_folder, name="uvicorn") as process:
        process.wait_until(lambda: "Uvicorn running on" in process.log())
        LEDGER.exercised["uvicorn on a Unix socket"] = str(path)
        with closing(Unix(path)) as connection:
            assert ask(connection, "GET", "/stats", AUTHORIZED)[0] == status
            assert ask(connection, "GET", "/live")[0] == 200
