"""The ready health checks, against real servers, real disks, and a fake NVML."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ferrometer.health import HealthChecks
from ferrometer.health.ready_made import disk_check, gpu_check, url_check
from tests.collectors.fake_gpu import run

seen: list[tuple[str, dict[str, str]]] = []


class Answers(BaseHTTPRequestHandler):
    """Answers ``/503`` with 503, and so on."""

    def do_GET(self) -> None:
        seen.append((self.path, dict(self.headers)))
        self.send_response(int(self.path.strip("/").partition("?")[0]))
        self.send_header("Location", "/500")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def talker(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that accepts one connection and does with it what it is told."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    talk(connection)
            except OSError:
                pass  # whoever asked is gone

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    thread.join(10)


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (204, True), (302, True), (404, False), (503, False)]
)
def test_a_url_is_healthy_by_its_status(server: ThreadingHTTPServer, status: int, healthy: bool) -> None:
    url = f"http://127.0.0.1:{server.server_port}/{status}?deep=1#part"
    check = url_check(url, headers={"Authorization": "Bearer s3cret"})
    assert check() == {"healthy": healthy, "status_code": status}
    ((path, headers),) = seen  # the redirect was not followed
    assert path == f"/{status}?deep=1"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"


def test_a_url_over_tls(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    server.socket = own.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}/200"
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert url_check(url, 5.0, context=trusting)() == {"healthy": True, "status_code": 200}
    with pytest.raises(ssl.SSLCertVerificationError):
        url_check(url, 5.0)()


def test_a_url_that_refuses_hangs_drips_or_talks_nonsense() -> None:
    def hang(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.recv(1)  # until it is closed

    def drip(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Long: 1\r\n" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        url_check(f"http://127.0.0.1:{port}/")()
    for talk in (hang, drip):
        with talker(talk) as url:
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                url_check(url, 0.3)()
            assert 0.25 < time.monotonic() - begun < 1.5
    with (
        talker(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")) as url,
        pytest.raises((HTTPException, ConnectionError)),
    ):
        url_check(url)()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/", "must begin with http"),
        ("/relative", "must begin with http"),
        ("http:///path", "name a host"),
        ("file:///etc/passwd", "must begin with http"),
        ("http://user:s3cret@host/", "must hold no password"),
    ],
)
def test_wrong_urls_are_refused_and_not_quoted(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        url_check(url)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ValueError, match="timeout must be"):
        url_check("http://host/", 0)


def test_a_disk_is_healthy_while_there_is_room(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    free, total = stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize
    told = disk_check(tmp_path, min_free=1)()
    assert told["healthy"] is True
    assert told["total_bytes"] == total
    assert told["free_bytes"] == pytest.approx(free, abs=256 << 20)  # others write too
    share = free / total
    assert disk_check(tmp_path, min_free=share * 0.5)()["healthy"] is True
    assert disk_check(tmp_path, min_free=min(0.999, share * 1.5))()["healthy"] is (share > 0.999)
    assert disk_check(tmp_path, min_free=free // 2)()["healthy"] is True
    assert disk_check(tmp_path, min_free=2 * total)()["healthy"] is False
    with pytest.raises(FileNotFoundError):
        disk_check(tmp_path / "missing")()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: disk_check("/", min_free=-1), ValueError),
        (lambda: disk_check("/", min_free=float("nan")), ValueError),
        (lambda: disk_check("/", min_free="1 GB"), TypeError),  # type: ignore[arg-type]
        (lambda: gpu_check(min_gpus=-1), ValueError),
        (lambda: gpu_check(min_gpus="2"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_wrong_limits_are_refused(make: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error, match="must"):
        make()


def test_health_shows_what_they_say(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    health = HealthChecks({"disk": disk_check(tmp_path, min_free=1), "gone": disk_check(tmp_path / "gone")})
    health.register("model", url_check(f"http://127.0.0.1:{server.server_port}/503"), critical=False)
    report = asyncio.run(health.run())
    assert report.status == "unhealthy"
    shown = report.as_dict()["checks"]
    assert shown["disk"]["healthy"] is True
    assert shown["disk"]["free_bytes"] > 0
    assert shown["gone"]["error"] == "FileNotFoundError"
    assert (shown["model"]["healthy"], shown["model"]["status_code"]) == (False, 503)


def test_fake_gpus_are_checked_lost_and_found(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
from ferrometer.collectors.checks import gpu_check
check, two = gpu_check(), gpu_check(min_gpus=2)
tell({"init": 9})
none = {"gpus": 0, "lost_gpus": 0, "reason": "no driver"}
assert check() == {"healthy": False, **none}
assert gpu_check(min_gpus=0)() == {"healthy": True, **none}
tell({"count": 0})
assert check() == {"healthy": False, "gpus": 0, "lost_gpus": 0}
tell(gpus(1))
assert check() == {"healthy": True, "gpus": 1, "lost_gpus": 0}
assert two() == {"healthy": False, "gpus": 1, "lost_gpus": 0}
tell(gpus(2))
assert two() == {"healthy": True, "gpus": 2, "lost_gpus": 0}
tell(gpus(2, lost=15))
assert two() == {"healthy": False, "gpus": 1, "lost_gpus": 1}
assert check() == {"healthy": False, "gpus": 1, "lost_gpus": 1}
tell(gpus(2))
assert two() == {"healthy": True, "gpus": 2, "lost_gpus": 0}
assert check() == {"healthy": True, "gpus": 2, "lost_gpus": 0}
import sys
from ferrometer.collectors.gpu_device import shut_down
shut_down()
sys.modules["pynvml"] = None
assert gpu_check()()["reason"] == "no nvidia-ml-py"
""",
        fake_library,
        tmp_path,
    )
