"""`ferrometer bench` and `pytest --pyargs ferrometer.bench`, run as a user runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

APPLICATIONS = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, Header, HTTPException
import ferrometer

started = []

@asynccontextmanager
async def lifespan(app):
    started.append("pool")
    yield
    started.clear()

def make() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/hello/{name}")
    async def hello(name: str, x_key: str = Header()) -> str:
        if not started or x_key != "k":
            raise HTTPException(500)
        return name

    return app

plain, measured, wrapped = make(), make(), ferrometer.MetricsMiddleware(make())
ferrometer.instrument(measured)

async def no_lifespan(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

class Broken:
    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs it quickly."""
    # The variable forbids that a peer is left out, which is for the project's own benchmarks.
    environment = {name: value for name, value in os.environ.items() if name != "REQUIRE_REAL"}
    (folder / "shop.py").write_text(APPLICATIONS + "\nbroken = Broken()\n")
    return subprocess.run(
        [sys.executable, "-m", "ferrometer", "bench", *arguments, "--rounds", "4"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("application", ["plain", "measured", "wrapped"])
def test_an_application_is_measured_whichever_way_it_is_wrapped(application: str, tmp_path: Path) -> None:
    done = bench(tmp_path, f"shop:{application}", "--path", "/hello/ada?x=1", "--header", "X-Key: k")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"GET /hello/ada\?x=1 answers 200 in [\d.]+ (ns|us|ms)", done.stdout)
    rows = re.findall(r"^  (\S[^\d]*?(?: at 1 %)?)  .*%$", done.stdout, re.MULTILINE)
    assert [row.strip() for row in rows][:3] == ["empty pass-through", "ferrometer", "ferrometer at 1 %"]


def test_an_application_without_lifespan_is_measured(tmp_path: Path) -> None:
    done = bench(tmp_path, "shop:no_lifespan", "--method", "POST")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "POST / answers 204" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shop"], "write module:name"),
        (["shop:nothing"], "nothing"),
        (["no_such_module:app"], "no_such_module"),
        (["shop:broken"], "the application does not start: no database"),
        (["shop:plain", "--path", "/hello/ada", "--header", "X-Key: wrong"], "GET /hello/ada answers 500"),
    ],
)
def test_what_cannot_be_measured_is_told(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = bench(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_installed_benchmark_runs_under_pytest(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "pytest", "--pyargs", "ferrometer.bench", "--benchmark-only"]
    quick = [
        "--benchmark-max-time=0.01",
        "--benchmark-min-rounds=1",
        "--benchmark-warmup=off",
        "-p",
        "no:cacheprovider",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "REQUIRE_REAL"}
    done = subprocess.run(
        [*command, *quick],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[5-9] passed", done.stdout), done.stdout
    for name in ("no middleware", "empty pass-through", "ferrometer", "ferrometer at 1 %"):
        assert f"test_overhead[{name}]" in done.stdout
