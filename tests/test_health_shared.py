"""Health results as gauges: run in the background, in one worker, and told by every front."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, HealthChecks, instrument, serve_metrics
from ferrometer.health import shared
from ferrometer.health.feature import _on_this_loop
from ferrometer.health.shared import SharedResults


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def value(registry: CollectorRegistry, name: str, check: str) -> float | None:
    return registry.get_sample_value(name, {"check": check})


def polled(port: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/polling", timeout=20) as answer:
        return json.load(answer)


@pytest.mark.anyio
async def test_results_become_gauges() -> None:
    registry = CollectorRegistry()
    checks = HealthChecks({"up": lambda: True, "down": lambda: False}, cache_seconds=0)
    checks.register("cache", lambda: False, critical=False)
    checks.share(SharedResults(registry))
    before = time.time()
    await checks.run()
    found = {name: value(registry, "ferrometer_health_check", name) for name in ("up", "down", "cache")}
    assert found == {"up": 1, "down": 0, "cache": 0}
    critical = {
        name: value(registry, "ferrometer_health_check_critical", name) for name in ("up", "down", "cache")
    }
    assert critical == {"up": 1, "down": 1, "cache": 0}
    told = value(registry, "ferrometer_health_check_timestamp_seconds", "up")
    assert told is not None
    assert before <= told <= time.time()
    assert checks.last_status() == "unhealthy"
    checks.unregister("down")
    assert value(registry, "ferrometer_health_check", "down") is None
    assert checks.last_status() == "degraded"


@pytest.mark.anyio
async def test_an_old_result_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = HealthChecks({"down": lambda: False})
    checks.share(SharedResults(CollectorRegistry()))
    await checks.run()
    assert checks.last_status() == "unhealthy"
    monkeypatch.setattr(shared, "KNOWN_FOR", 0.0)
    assert checks.last_status() == "ok"


def application(registry: CollectorRegistry, checks: HealthChecks) -> Starlette:
    app = Starlette()
    instrument(app, registry=registry, health_checks=checks, default_collectors=False)
    return app


def test_checks_run_without_being_asked_on_the_applications_loop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FERROMETER_HEALTH_INTERVAL", "0.1")
    # A lease of its own: one application runs the checks once, and another test's may still be there.
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path))
    monkeypatch.setenv("FERROMETER_SHARED", "false")
    registry = CollectorRegistry()
    loops: list[object] = []
    threads: list[int] = []
    healthy = threading.Event()

    async def pool() -> bool:
        loops.append(asyncio.get_running_loop())
        threads.append(threading.get_ident())
        return healthy.is_set()

    checks = HealthChecks({"pool": pool}, cache_seconds=0)
    app = application(registry, checks)
    seen: list[object] = []

    async def loop_of_the_application(request: Any) -> Any:
        from starlette.responses import PlainTextResponse

        seen.append(asyncio.get_running_loop())
        return PlainTextResponse("x")

    app.add_route("/loop", loop_of_the_application)
    with TestClient(app) as client, serve_metrics(0, registry=registry) as server:
        client.get("/loop")
        until(lambda: client.get("/polling").json()["status"] == "unhealthy")
        assert set(loops) == set(seen)
        assert value(registry, "ferrometer_health_check", "pool") == 0
        assert polled(server.port)["status"] == "unhealthy"
        healthy.set()
        until(lambda: client.get("/polling").json()["status"] == "ok")
        assert polled(server.port)["status"] == "ok"
    runs = len(loops)
    time.sleep(0.3)
    assert len(loops) <= runs + 1


def test_thirty_seconds_are_the_default() -> None:
    app = Starlette()
    made = instrument(app, registry=CollectorRegistry(), default_collectors=False)
    assert made.collectors._watches["health"].collector.interval == 30


def test_a_degraded_service_on_a_port_of_its_own() -> None:
    registry = CollectorRegistry()
    results = SharedResults(registry)
    with serve_metrics(0, registry=registry) as server:
        assert polled(server.port)["status"] == "ok"
        results.tell("cache", healthy=False, critical=False)
        assert polled(server.port)["status"] == "degraded"
        results.tell("database", healthy=False, critical=True)
        assert polled(server.port)["status"] == "unhealthy"
        results.tell("database", healthy=True, critical=True)
        results.tell("cache", healthy=True, critical=False)
        assert polled(server.port)["status"] == "ok"


WORKER = """
import asyncio, sys
import ferrometer
from ferrometer import HealthChecks, REGISTRY
from ferrometer.health.shared import SharedResults

ferrometer.share(sys.argv[1])
healthy = True
checks = HealthChecks({"database": lambda: healthy}, cache_seconds=0)
checks.share(SharedResults(REGISTRY))
for line in sys.stdin:
    word = line.strip()
    if word in ("up", "down"):
        healthy = word == "up"
        asyncio.run(checks.run())
    print(checks.last_status(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")
def test_every_worker_and_the_sidecar_know_what_one_found(tmp_path: Path) -> None:
    from ferrometer.serving import serve_directory

    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)

    def ask(worker: Any, word: str) -> str:
        worker.stdin.write(word + "\n")
        worker.stdin.flush()
        return str(worker.stdout.readline().strip())

    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(folder)]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        for worker in workers:
            stack.callback(worker.kill)
        sidecar = stack.enter_context(serve_directory(folder, 0))
        assert [ask(worker, "status") for worker in workers] == ["ok", "ok"]
        assert ask(workers[0], "down") == "unhealthy"
        assert ask(workers[1], "status") == "unhealthy"
        assert polled(sidecar.port)["status"] == "unhealthy"
        assert ask(workers[1], "up") == "ok"
        assert ask(workers[0], "status") == "ok"
        assert polled(sidecar.port)["status"] == "ok"
        ask(workers[1], "down")
        workers[1].kill()
        workers[1].wait()
        assert ask(workers[0], "status") == "unhealthy"
        assert polled(sidecar.port)["status"] == "unhealthy"


def test_each_of_two_applications_in_a_process_runs_its_checks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FERROMETER_HEALTH_INTERVAL", "0.1")
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path))
    monkeypatch.setenv("FERROMETER_SHARED", "false")
    registry = CollectorRegistry()
    runs = [0, 0]

    def made(number: int) -> Starlette:
        def database() -> bool:
            runs[number] += 1
            return number == 0

        app = Starlette()
        instrument(
            app, registry=registry, health_checks={"database": database}, default_collectors=False
        ).health._cache_seconds = 0
        return app

    applications = [made(0), made(1)]
    with ExitStack() as stack:
        clients = [stack.enter_context(TestClient(app)) for app in applications]
        for client in clients:
            client.get("/live")
        until(lambda: min(runs) >= 2)
        until(lambda: [client.get("/polling").json()["status"] for client in clients] == ["ok", "unhealthy"])
        # Each check has a series of its own, although both are called alike.
        assert value(registry, "ferrometer_health_check", "database") == 1
        assert value(registry, "ferrometer_health_check", "2:database") == 0


def test_a_loop_that_closes_before_the_checks_begin_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def checks() -> None:
        raise AssertionError("nobody runs them")

    async def here() -> Any:
        return _on_this_loop(checks)

    def ask_and_close() -> None:
        loop = asyncio.new_event_loop()
        asked = threading.Thread(target=loop.run_until_complete(here()))
        asked.start()
        until(lambda: bool(loop._ready))  # type: ignore[attr-defined]
        loop.call_soon(loop.stop)
        loop.run_forever()  # makes the task, and stops before its first step
        loop.close()
        asked.join(60)
        assert not asked.is_alive()

    ask_and_close()
    gc.collect()  # what is warned of here fails the test
    assert "destroyed" not in caplog.text
