"""instrument(): the collectors live as long as the application, in each worker or in one of them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import prometheus_client
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, Gauge, instrument
from ferrometer.collectors import Collector, FunctionCollector
from ferrometer.collectors.host.runtime import RuntimeCollector
from ferrometer.testing import lint, samples, value
from tests.collectors.support import own_threads, until
from tests.real.uvicorn import uvicorn

DEFAULTS = {"process", "runtime", "caches", "queues", "pools", "cgroup", "system", "health"}


@pytest.fixture(autouse=True)
def from_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FERROMETER_CONFIG", "")
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path))
    monkeypatch.setenv("FERROMETER_SHARED", "false")  # this process would share for the rest of its life


def test_the_default_collectors_live_as_long_as_the_application() -> None:
    registry = CollectorRegistry()
    app = FastAPI()
    watched = instrument(app, namespace="gpuproxy", registry=registry)
    assert set(watched.collectors.status()) == DEFAULTS
    assert own_threads() == [], "a server may fork after the import"
    for _ in range(2):  # an application may start again
        with TestClient(app):
            until(lambda: {status.state for status in watched.collectors.status().values()} == {"ok"})
            assert value(registry, "process_resident_memory_bytes") > 10_000_000
            assert value(registry, "gpuproxy_memory_heap_alloc_mb") > 1
            assert value(registry, "gpuproxy_goroutines") > 0
            assert value(registry, "asyncio_tasks") > 0
            assert value(registry, "cgroup_cpu_limit_cores") > 0
            until(lambda: value(registry, "asyncio_loop_lag_seconds_count") > 0)
        until(lambda: own_threads() == [])
    seeds = {"http_requests_in_flight", "gpuproxy_memory_heap_alloc_mb"}
    seeds |= {f"gpuproxy_{name}_duration_milliseconds" for name in ("request", "db_query")}
    assert lint(registry, allow=seeds) == []


def test_the_applications_own_lifespan_runs_within() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append(f"up, {'with' if own_threads() else 'without'} collectors")
        yield {"key": "state"}
        events.append(f"down, {'with' if own_threads() else 'without'} collectors")

    app = FastAPI(lifespan=lifespan)
    instrument(app, registry=CollectorRegistry())
    with TestClient(app) as client:
        assert client.app_state == {"key": "state"}
    assert events == ["up, with collectors", "down, with collectors"]
    until(lambda: own_threads() == [], seconds=1)


def test_without_a_lifespan_they_start_with_the_first_request_and_end_with_the_application() -> None:
    registry = CollectorRegistry()
    app = FastAPI()
    watched = instrument(app, registry=registry)
    TestClient(app).get("/stats")
    until(lambda: watched.collectors.status()["cgroup"].state == "ok")  # noqa: F821
    del app, watched
    until(lambda: gc.collect() >= 0 and own_threads() == [], what="the thread's end")


def test_collectors_of_ones_own_run_beside_or_instead() -> None:
    registry = CollectorRegistry()

    class Tickets(Collector):
        name = "tickets"

        def __init__(self) -> None:
            self.open_tickets = Gauge("tickets_open", "Open tickets", registry=registry)

        async def collect(self) -> None:
            self.open_tickets.set(3)

    app = FastAPI()
    mine = RuntimeCollector(registry=registry, go_names=True)
    watched = instrument(app, registry=registry, collectors=[Tickets(), mine])
    assert set(watched.collectors.status()) == DEFAULTS | {"tickets"}
    with TestClient(app):
        until(lambda: samples(registry).get(("tickets_open", ())) == 3)
        until(lambda: samples(registry).get(("go_goroutines", ()), 0) > 0)


def test_the_defaults_can_be_left_out() -> None:
    registry = CollectorRegistry()
    app = FastAPI()
    own = FunctionCollector("own", lambda: None)
    watched = instrument(app, namespace="x", registry=registry, collectors=[own], default_collectors=False)
    assert set(watched.collectors.status()) == {"own", "system", "health"}
    with TestClient(app):
        until(lambda: watched.collectors.status()["own"].state == "ok")
        until(lambda: value(registry, "x_memory_heap_alloc_mb") > 0)
    assert not any(name.startswith(("process_", "python_")) for name, _ in samples(registry))


def test_a_registry_that_has_the_process_already_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ferrometer.collectors")
    registry = CollectorRegistry(auto_describe=True)
    prometheus_client.ProcessCollector(registry=registry)  # type: ignore[arg-type]
    watched = instrument(FastAPI(), registry=registry)
    assert set(watched.collectors.status()) == DEFAULTS - {"process"}
    assert "collector 'process' is left out: the registry has its metrics already" in caplog.text


def test_two_applications_of_one_registry() -> None:
    registry = CollectorRegistry()
    one, two = FastAPI(), FastAPI()
    instrument(one, registry=registry)
    instrument(two, registry=registry)
    with TestClient(one), TestClient(two):
        until(lambda: value(registry, "process_cpu_seconds_total") > 0)
        gc.disable()
        before = value(registry, "python_gc_pause_seconds_count", generation="2")
        gc.collect()
        after = value(registry, "python_gc_pause_seconds_count", generation="2")
        gc.enable()
    assert after == before + 1


SERVED = """
import os
from pathlib import Path
from fastapi import FastAPI
import ferrometer
from ferrometer.collectors import FunctionCollector

def note():
    with Path("runs").open("a") as file:
        file.write(f"{os.getpid()}\\n")

app = FastAPI()
ferrometer.instrument(app, collectors=[FunctionCollector("gpu", note, interval=0.05, scope="machine")])
"""


def test_under_real_workers_one_flies_and_kill_9_moves_it(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers find their common lease by themselves: nothing is configured."""
    monkeypatch.delenv("FERROMETER_DIR")
    monkeypatch.delenv("FERROMETER_SHARED")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    runs = short_folder / "runs"

    def pids() -> list[int]:
        return [int(pid) for pid in runs.read_text().split()] if runs.exists() else []

    with uvicorn(SERVED, short_folder, "--workers", "3") as url:
        until(lambda: len(pids()) > 20, seconds=30)
        (holder,) = set(pids()[5:])
        killed = len(pids())
        os.kill(holder, signal.SIGKILL)
        until(lambda: len(pids()) > killed + 20, seconds=20, what="a take-over")
        (successor,) = set(pids()[killed + 1 :])
        assert successor != holder
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            assert b"process_resident_memory_bytes" in answer.read()
        (home,) = (short_folder / f"ferrometer-{os.getuid()}").iterdir()
        assert {path.name for path in (home / "leases").iterdir()} == {
            "gpu.lock",
            "cgroup.lock",
            "health.lock",
        }
    until(lambda: not (home / "leases").exists(), what="tidying up")


def test_an_event_loop_is_not_held_up_by_what_the_collectors_do() -> None:
    app = FastAPI()
    busy = [FunctionCollector(f"busy-{n}", lambda: sum(range(20_000)), interval=0.01) for n in range(5)]
    watched = instrument(app, registry=CollectorRegistry(), collectors=busy)

    async def application() -> float:
        loop = asyncio.get_running_loop()
        worst = 0.0
        async with watched.collectors:
            for _ in range(100):
                due = loop.time() + 0.005
                await asyncio.sleep(0.005)
                worst = max(worst, loop.time() - due)
        return worst

    assert asyncio.run(application()) < 0.25
