"""Real servers: their own lines come out as ours, each once, the first and the last; levels reach all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.logs.programs import wait_for
from tests.real.prometheus import free_port

APPLICATION = """
import logging, os, warnings
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
import ferrometer
log = ferrometer.get_logger("app")

def work(request):
    log.debug("debug", pid=os.getpid())
    log.info("inside", pid=os.getpid())
    logging.getLogger("of.the.app").info("by logging")
    return JSONResponse({"pid": os.getpid()})

def level(request):
    ferrometer.logs.set_level(request.query_params["to"])
    return JSONResponse({"pid": os.getpid()})

def fail(request):
    raise ValueError("bad")

app = Starlette(routes=[Route("/work", work), Route("/level", level), Route("/fail", fail)])
ferrometer.instrument(app, ferrometer.Logs(service="s", to=os.environ["LOG"]), default_collectors=False)
"""

UVICORN = ["-m", "uvicorn", "application:app", "--port", "{port}"]
GUNICORN = ["-m", "gunicorn", "application:app", "--bind", "127.0.0.1:{port}", "--access-logfile", "-"]
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn with workers": [*UVICORN, "--workers", "2"],
    "gunicorn": [*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "-w", "2"],
    "gunicorn, preloaded": [*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "--preload"],
    "hypercorn": [
        "-m",
        "hypercorn",
        "application:app",
        "--bind",
        "127.0.0.1:{port}",
        "--access-logfile",
        "-",
    ],
}
MODULES = {"uvicorn": "uvicorn", "gunicorn": "gunicorn", "hypercorn": "hypercorn"}


class Server:
    def __init__(self, folder: Path, name: str) -> None:
        pytest.importorskip(
            MODULES[name.split()[0].rstrip(",")], reason="pip install -r requirements-dev.txt"
        )
        (folder / "application.py").write_text(APPLICATION)
        self.log, self._errors = folder / "lines.log", folder / "stderr.txt"
        self.port = free_port()
        command = [sys.executable, *(part.format(port=self.port) for part in SERVERS[name])]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"LOG": str(self.log)},
                stdout=errors,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: self.get("/live") is not None, "an answer", 120)

    def get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return {"status": error.code}
        except OSError:
            return None

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def errors(self) -> str:
        return self._errors.read_text()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@contextmanager
def serving(folder: Path, name: str) -> Iterator[Server]:
    server = Server(folder, name)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait(30)


@pytest.mark.parametrize("name", SERVERS)
def test_each_line_once_and_none_beside(tmp_path: Path, name: str) -> None:
    with serving(tmp_path, name) as server:
        for _ in range(20):
            assert "pid" in server.get("/work")
        assert server.get("/fail") == {"status": 500}
        server.stop()
        lines = server.lines()
        messages = Counter(line["message"] for line in lines)
        assert messages["inside"] == messages["by logging"] == 20, messages
        requests = [
            line for line in lines if line["message"] == "Request completed" and line["path"] == "/work"
        ]
        assert len(requests) == 20
        # The server's own line for a request is not there a second time, as JSON or as plain text.
        assert not [
            line
            for line in lines
            if line["logger"].endswith(".access") and line["logger"] != "ferrometer.access"
        ]
        assert "GET /work" not in server.errors()
        raised = [line for line in lines if "ValueError: bad" in str(line.get("stack_trace", ""))]
        assert len(raised) == 1, [line["message"] for line in lines]
        assert "ValueError" not in server.errors()


def test_the_first_and_the_last_lines_of_uvicorn(tmp_path: Path) -> None:
    with serving(tmp_path, "uvicorn") as server:
        server.get("/work")
        server.stop()
        said = [line["message"] for line in server.lines() if line["logger"] == "uvicorn.error"]
        began = ("Started server process", "Waiting for application startup", "Application startup complete")
        ended = (
            "Shutting down",
            "Waiting for application shutdown",
            "Application shutdown complete",
            "Finished server",
        )
        for words in (*began, *ended):
            assert sum(words in text for text in said) == 1, (words, said)
        assert server.errors() == ""


def test_a_level_reaches_all_workers(tmp_path: Path) -> None:
    with serving(tmp_path, "uvicorn with workers") as server:
        found: set[int] = set()

        def both() -> bool:
            found.add(server.get("/work")["pid"])
            return len(found) == 2

        wait_for(both, "answers of both workers")
        assert not [line for line in server.lines() if line["message"] == "debug"]
        setter = server.get("/level?to=debug")["pid"]
        (other,) = found - {setter}

        def told_by_the_other() -> bool:
            server.get("/work")
            return any(line["message"] == "debug" and line["pid"] == other for line in server.lines())

        wait_for(told_by_the_other, "a debug line of the worker that was not asked")
        server.get("/level?to=error")

        def quiet() -> bool:
            before = server.lines()
            pids = {server.get("/work")["pid"] for _ in range(20)}
            return len(pids) == 2 and len(server.lines()) == len(before)

        wait_for(quiet, "both workers to be quiet")
