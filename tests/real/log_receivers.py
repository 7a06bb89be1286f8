"""Receivers of log lines: rsyslog, VictoriaLogs, and an HTTP server that answers as it is told."""

from __future__ import annotations

import fcntl
import gzip
import json
import socket
import ssl
import subprocess
import sys
import termios
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.real.component import CACHE, LEDGER, RSYSLOG, RSYSLOG_TLS, VICTORIA_LOGS
from tests.real.process import Process
from tests.real.prometheus import free_port


@dataclass
class Rsyslog:
    """A running rsyslog; what it received lies in files, a line each."""

    folder: Path
    port: int
    tls_port: int
    configuration: Path
    process: Process | None = None

    @property
    def raw(self) -> list[str]:
        """What came, as it came."""
        return self._lines("raw")

    @property
    def messages(self) -> list[dict[str, str]]:
        """What it understood of it."""
        return [json.loads(line) for line in self._lines("parsed")]

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def start(self) -> None:
        """Starts it, again if it ran before."""
        command: list[str | Path] = [RSYSLOG.require(), "-n", "-f", self.configuration]
        if RSYSLOG.require().is_relative_to(CACHE):
            command += ["-M", ":".join(map(str, CACHE.glob("usr/lib/*-linux-*/rsyslog")))]
        command += ["-i", self.folder / "pid"]
        self.process = Process(command, folder=self.folder, env=RSYSLOG.environment())
        self.process.wait_until(lambda: _listens(self.port))

    def stop(self) -> None:
        """Stops it."""
        if self.process is not None:
            self.process.stop()


@contextmanager
def rsyslog(folder: Path, certificates: Path | None = None) -> Iterator[Rsyslog]:
    """Yields one that takes both framings, and TLS when there are certificates."""
    binary = RSYSLOG.require()
    if certificates is not None:
        RSYSLOG_TLS.require()
    server = Rsyslog(folder, free_port(), free_port(), folder / "rsyslog.conf")
    parsed = " ".join(
        f'property(outname="{name}" name="{of}" format="jsonf")' + (' constant(value=",")' if more else "")
        for name, of, more in [
            ("pri", "pri", True),
            ("time", "timereported", True),
            ("host", "hostname", True),
            ("app", "app-name", True),
            ("pid", "procid", True),
            ("data", "structured-data", True),
            ("message", "msg", False),
        ]
    )
    tls = f"""
global(DefaultNetstreamDriverCAFile="{certificates}/ca.pem"
       DefaultNetstreamDriverCertFile="{certificates}/server.pem"
       DefaultNetstreamDriverKeyFile="{certificates}/server.key")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" address="127.0.0.1" port="{server.tls_port}" ruleset="keep")
"""
    server.configuration.write_text(
        f"""
global(maxMessageSize="200k" workDirectory="{folder}")
module(load="imptcp")
template(name="raw" type="list") {{ property(name="rawmsg" droplastlf="on") constant(value="\\n") }}
template(name="parsed" type="list") {{ constant(value="{{") {parsed} constant(value="}}\\n") }}
ruleset(name="keep") {{
  action(type="omfile" file="{folder}/raw" template="raw")
  action(type="omfile" file="{folder}/parsed" template="parsed")
}}
input(type="imptcp" address="127.0.0.1" port="{server.port}" ruleset="keep")
{tls if certificates is not None else ""}
"""
    )
    server.start()
    LEDGER.exercised["rsyslog"] = str(binary)
    try:
        yield server
    finally:
        server.stop()


def certify(folder: Path) -> Path:
    """An authority, and a certificate of it for 127.0.0.1 and localhost: ca.pem, server.pem, server.key."""
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    for command in (
        [*new, "/CN=authority", "-x509", "-days", "30", "-keyout", "ca.key", "-out", "ca.pem"],
        [*new, "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"],
        [
            *("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "30", "-extfile", "names", "-out", "server.pem"),
        ],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@dataclass
class VictoriaLogs:
    """A running VictoriaLogs."""

    url: str
    syslog_port: int

    def query(self, text: str) -> list[dict[str, str]]:
        """The lines for a query of LogsQL."""
        with urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=30):
            pass
        asked = urllib.parse.urlencode({"query": text, "limit": "100000"})
        with urllib.request.urlopen(f"{self.url}/select/logsql/query?{asked}", timeout=30) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]


@contextmanager
def victoria_logs(folder: Path) -> Iterator[VictoriaLogs]:
    """Yields one."""
    binary = VICTORIA_LOGS.require()
    address, syslog = f"127.0.0.1:{free_port()}", free_port()
    command: list[str | Path] = [
        binary,
        f"-storageDataPath={folder / 'victoria-logs'}",
        f"-httpListenAddr={address}",
        f"-syslog.listenAddr.tcp=127.0.0.1:{syslog}",
        "-retentionPeriod=100y",
    ]
    with Process(command, folder=folder) as process:
        process.wait_until(lambda: _answers(f"http://{address}/health"))
        LEDGER.exercised["victoria-logs"] = str(binary)
        yield VictoriaLogs(f"http://{address}", syslog)


@contextmanager
def rotel(folder: Path, receiver: Receiver) -> Iterator[str]:
    """Yields the URL of an OpenTelemetry collector that passes logs on, parsed and written anew."""
    package = pytest.importorskip("rotel", reason="needs a real rotel: pip install --pre rotel")
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        *(Path(package.__file__).parent / "rotel-agent", "start", "--exporter", "otlp"),
        *("--otlp-exporter-endpoint", receiver.url, "--otlp-exporter-protocol", "http"),
        *("--otlp-http-endpoint", address, "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"),
        *("--logs-batch-timeout", "100ms", "--traces-batch-timeout", "100ms"),
        *("--metrics-batch-timeout", "100ms"),
    ]
    with Process(command, folder=folder, name="rotel") as process:
        process.wait_until(lambda: _listens(int(address.rpartition(":")[2])))
        LEDGER.exercised["rotel"] = package.__file__
        yield f"http://{address}"


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


def refuse_to_read(connection: socket.socket) -> None:
    """Shuts the reading side, and closes the connection when something has come: the sender gets a reset."""
    connection.shutdown(socket.SHUT_RD)
    end = time.monotonic() + 60
    unread = bytearray(4)
    while not int.from_bytes(unread, sys.byteorder):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)
        fcntl.ioctl(connection, termios.FIONREAD, unread)
    connection.close()


@dataclass
class Reply:
    """What a server answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    """Close the connection without an answer."""
    half_close: bool = False
    """Answer, write nothing more on this connection, and go on reading it."""


@dataclass
class Post:
    """What was posted, and when."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Receiver:
    """An HTTP server that keeps what is posted, and answers what a function says for the n-th post.

    It shuts its reading side of the first ``deaf`` connections, and closes them with what came unread.
    """

    def __init__(
        self,
        reply: Callable[[int], Reply] = lambda _: Reply(),
        *,
        deaf: int = 0,
        certificates: Path | None = None,
    ) -> None:
        self.deaf = deaf
        self.posts: list[Post] = []
        self.reply = reply
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # The sender died in the middle: no server takes that.
                    self.close_connection = True
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                with receiver._lock:
                    reply = receiver.reply(len(receiver.posts))
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    receiver.posts.append(Post(self.path, headers, body, time.monotonic()))
                time.sleep(reply.delay)
                if reply.drop:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
                if reply.half_close:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_WR)

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def verify_request(self, request: Any, client_address: Any) -> bool:
                if receiver.deaf:
                    receiver.deaf -= 1
                    refuse_to_read(request)
                    return False
                return True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that is killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if certificates is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            # The handshake is the handler's, in its own thread.
            listener = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            self._server.socket = listener
            self.url = self.url.replace("http:", "https:")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
