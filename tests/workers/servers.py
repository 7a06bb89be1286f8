"""Applications under real servers with several workers, and what each worker says."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tests.real.component import LEDGER
from tests.real.process import Process
from tests.real.prometheus import free_port

#: A middleware of the applications: each answer names its worker in `x-worker`, which `from_each` reads.
SAY_WHO = """
import os

class SayWho:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        async def named(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-worker", str(os.getpid()).encode())]
            await send(message)
        await self.app(scope, receive, named)
"""

APP = (
    SAY_WHO
    + """
import asyncio, os
import ferrometer
from fastapi import FastAPI
from ferrometer.sharing.workers import supervisor
from ferrometer.sharing import shared_directory

FOUND = supervisor()

app = FastAPI()
app.add_middleware(SayWho)
watched = ferrometer.instrument(app, namespace="shop", registry=ferrometer.REGISTRY)
sold = ferrometer.Counter("sold", "Things sold", ["what"])
latency = ferrometer.Histogram("latency_seconds", "How long it took")

@app.get("/slow")
async def slow(until: str):
    while not os.path.exists(until):
        await asyncio.sleep(0.01)
    return os.getpid()

@app.get("/snapshot")
async def snapshot():
    return watched.metrics.snapshot()

@app.get("/hello")
async def hello():
    await asyncio.sleep(0.005)
    latency.observe(0.25)
    sold.labels("apple").inc(2)
    watched.stats.cache.hit()
    watched.stats.database.query(1.5)
    return os.getpid()

@app.get("/who")
async def who():
    return {"supervisor": FOUND, "pid": os.getpid(), "directory": shared_directory()}
"""
)

ENDPOINTS = ("/metrics", "/stats", "/polling", "/monitor", "/health")

_PYTHON = (sys.executable, "-m")

#: The command of each server, for a port and a number of workers.
COMMANDS: dict[str, Callable[[int, int], list[str]]] = {
    "uvicorn": lambda port, workers: [
        *(*_PYTHON, "uvicorn", "served:app", "--no-access-log"),
        *("--port", f"{port}", "--workers", f"{workers}"),
    ],
    "gunicorn": lambda port, workers: [
        *(*_PYTHON, "gunicorn", "served:app", "-k", "uvicorn_worker.UvicornWorker"),
        *("-b", f"127.0.0.1:{port}", "-w", f"{workers}", "--no-control-socket"),
    ],
    "gunicorn-preload": lambda port, workers: [*COMMANDS["gunicorn"](port, workers), "--preload"],
    "gunicorn-asgi": lambda port, workers: [
        *(*_PYTHON, "gunicorn", "served:app", "-k", "asgi"),
        *("-b", f"127.0.0.1:{port}", "-w", f"{workers}", "--no-control-socket"),
    ],
    "granian": lambda port, workers: [
        *(*_PYTHON, "granian", "served:app", "--interface", "asgi", "--respawn-failed-workers"),
        *("--port", f"{port}", "--workers", f"{workers}"),
    ],
    "hypercorn": lambda port, workers: [
        *(*_PYTHON, "hypercorn", "served:app"),
        *("-b", f"127.0.0.1:{port}", "-w", f"{workers}"),
    ],
}
SERVERS = tuple(COMMANDS)


class Answer(NamedTuple):
    """One answer, and the id of the worker that gave it."""

    worker: int
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Served:
    """A running server."""

    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.process = process
        self.measured = 0
        """Requests that were answered, but for those to the endpoints, which are not measured."""
        self._lock = threading.Lock()

    def get(self, path: str, **headers: str) -> Answer:
        """One request on a connection of its own, so that any worker may take it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Connection": "close", **headers})
            response = connection.getresponse()
            body = response.read()
            with self._lock:
                self.measured += path.partition("?")[0] not in ENDPOINTS
            return Answer(int(response.headers.get("x-worker", 0)), response.status, body)
        finally:
            connection.close()

    def load(self, requests: int, path: str = "/hello") -> set[int]:
        """So many requests, several at a time; who answered them."""
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(self.get, [path] * requests))
        assert {answer.status for answer in answers} == {200}
        return {answer.worker for answer in answers}

    def from_each(self, path: str, workers: int, *, tries: int = 400) -> dict[int, Answer]:
        """An answer of each of so many workers."""
        found: dict[int, Answer] = {}
        for _ in range(tries):
            with ThreadPoolExecutor(4) as pool:
                for answer in pool.map(self.get, [path] * 8):
                    assert answer.status == 200, answer
                    found[answer.worker] = answer
            if len(found) >= workers:
                return found
        raise AssertionError(f"only {sorted(found)} answered, not {workers} workers")

    def kill(self, worker: int, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends one worker."""
        os.kill(worker, how)

    def wait_for(self, true: Callable[[], bool], *, what: str, seconds: float = 20.0) -> None:
        """Polls until it is so."""
        self.process.wait_until(true, seconds=seconds, what=what)


def total(exposition: bytes, name: str, *labels: str) -> float:
    """The sum of the samples of that name that have all of these labels, written as in ``a="b"``."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{(.*)\}})? (\S+)$", exposition.decode(), flags=re.MULTILINE)
    return sum(float(value) for text, value in found if all(label in text for label in labels))


@contextmanager
def served(
    server: str,
    folder: Path,
    *,
    workers: int = 3,
    source: str = APP,
    home: Path | None = None,
    command: list[str] | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[Served]:
    """The application under that server. Its directories lie in ``home``, by default below ``folder``."""
    folder.mkdir(exist_ok=True)
    (folder / "served.py").write_text(source)
    runtime = home or folder / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    port = free_port()
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), **(env or {})}
    words = command if command is not None else COMMANDS[server](port, workers)
    words = [word.replace("PORT", str(port)) for word in words]
    with Process(words, folder=folder, name=server, env=environment) as process:
        running = Served(port, process)
        process.wait_until(lambda: running.get("/who").status == 200, seconds=40)
        package = server.partition("-")[0]
        LEDGER.exercised[f"{package} {version(package)} with workers"] = server
        yield running


def until(true: Callable[[], bool], *, what: str = "true", seconds: float = 15.0) -> None:
    """Polls until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not {what} within {seconds:g} s"
        time.sleep(0.02)
