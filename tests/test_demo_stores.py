"""The demo with servers of its own: real PostgreSQL, real Valkey, real figures, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ferrometer.demo import programs
from ferrometer.demo.scrape import Seen
from tests.demo_process import Demo, demo
from tests.real import pid
from tests.real.component import POSTGRES, REDIS

HUNDREDS = 3
PROMPTS = 23 * HUNDREDS
LOOKUPS = 21 * HUNDREDS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the demo starts servers on Unix only")


@pytest.fixture(scope="module")
def components() -> Mapping[str, str]:
    """Where the tests' own servers are; skips or fails where there are none."""
    found = {"POSTGRES_BIN": str(POSTGRES.require()), "REDIS_BIN": str(REDIS.require())}
    return {**POSTGRES.environment(), **REDIS.environment(), **found}


@pytest.fixture(scope="module")
def full(components: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    options = ("--requests", str(HUNDREDS * 100), "--rate", "0")
    with demo(tmp_path_factory.mktemp("demo"), *options, env=components) as running:
        yield running


def numbers(running: Demo, row: str) -> list[str]:
    return running.rows()[row]


def test_the_ledger_is_in_postgres(full: Demo) -> None:
    seen = Seen.of(full.get("/metrics"))
    assert "On PostgreSQL 1" in full.output
    assert seen.total("db_queries_total", pool="ledger", operation="INSERT") == PROMPTS + 2  # and the models
    assert numbers(full, "PostgreSQL INSERT")[0] == str(PROMPTS + 2)
    assert seen.total("db_query_errors_total") == 0
    assert seen.total("db_pool_connections_max", pool="ledger") == 4
    assert seen.total("postgres_info") == 1
    assert seen.total("postgres_connections_max") == 20
    assert seen.total("postgres_connections") >= 2  # the pool's and the collector's
    assert seen.total("postgres_database_size_bytes") > 2**20


def test_the_server_counts_what_the_client_does(full: Demo) -> None:
    deadline = time.monotonic() + 30  # a backend tells the server of its rows when it has a moment
    while Seen.of(full.get("/metrics")).total("postgres_rows_total", kind="inserted") < PROMPTS:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_cache_is_in_valkey(full: Demo) -> None:
    seen = Seen.of(full.get("/metrics"))
    hits, misses = (int(seen.total(f"gpuproxy_cache_{what}")) for what in ("hits", "misses"))
    assert hits + misses == LOOKUPS == seen.total("redis_operations_total", operation="get", status="success")
    assert 2 <= misses < 20  # one a model, and those who asked before it was there
    assert f"cache {hits} hits, {misses} misses" in " ".join(full.output.split())
    assert seen.total("redis_instance_info") == 1
    assert seen.total("redis_db_keys") == 3
    assert seen.total("redis_queue_length", queue="usage:latest") == min(PROMPTS, 100)
    assert numbers(full, next(row for row in full.rows() if row.endswith(" get")))[0] == str(LOOKUPS)


def test_stats_monitor_and_health_are_filled(full: Demo) -> None:
    stats: Any = json.loads(full.get("/stats"))
    seen = Seen.of(full.get("/metrics"))
    assert stats["database"]["queries_total"] >= PROMPTS + 2
    assert (stats["database"]["errors"], stats["database"]["connections_active"]) == (0, 0)
    assert 1 <= stats["database"]["connections_idle"] <= 4
    assert stats["cache"]["hits"] == seen.total("gpuproxy_cache_hits") > 0
    assert stats["cache"]["hit_rate"] > 80
    monitor: Any = json.loads(full.get("/monitor"))
    assert monitor["metrics"]["database"]["queries_total"] >= PROMPTS + 2
    checks = json.loads(full.get("/health"))["checks"]
    assert checks["database"]["healthy"]
    assert checks["cache"]["healthy"]
    assert checks["database"]["max_connections"] == 4


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files that the servers' user may go through."""
    folder = Path(tempfile.mkdtemp(prefix="fm-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def wait_until_gone(processes: list[int], place: Path) -> None:
    deadline = time.monotonic() + 30

    def left() -> list[int | str]:
        return [*filter(alive, processes), *map(str, place.glob("fm-demo-*"))]

    while left():
        assert time.monotonic() < deadline, left()
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_behind(
    components: Mapping[str, str], tmp_path: Path, place: Path, name: str
) -> None:
    """Neither processes nor files, however the demo ends."""
    env = {**components, "TMPDIR": str(place)}
    with demo(tmp_path, "--requests", "100", "--rate", "50", env=env) as running:
        started = pid.family(running.process.pid)[1:]
        assert len(started) > 5, "the client, the servers' keeper, and the servers' processes"
        assert len(list(place.glob("fm-demo-*"))) == 1
        running.process.send_signal(signal.Signals[name])
        assert running.process.wait(30) == (-signal.SIGKILL if name == "SIGKILL" else 0)
        wait_until_gone(started, place)
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
@pytest.mark.parametrize("seconds", [0.1, 0.9])
def test_an_end_before_the_beginning(
    components: Mapping[str, str], place: Path, name: str, seconds: float
) -> None:
    """While its servers are being made."""
    command = [sys.executable, "-m", "ferrometer", "demo", "--port", "0"]
    env = {**components, "TMPDIR": str(place)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(seconds)
        started = pid.family(process.pid)[1:]
        process.send_signal(signal.Signals[name])
        _, errors = process.communicate(timeout=30)
    assert errors == b""
    wait_until_gone(started, place)


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_servers_that_do_not_start_are_done_without(tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    for program, words in {
        "postgres": "exit 1",
        "initdb": "echo 'initdb: error: no space left' >&2; exit 1",
        "valkey-server": "echo 'cannot listen'; exit 3",
    }.items():
        (broken / program).write_text(f"#!/bin/sh\n{words}\n")
        (broken / program).chmod(0o755)
    env = {
        **os.environ,
        "POSTGRES_BIN": str(broken / "postgres"),
        "VALKEY_BIN": str(broken / "valkey-server"),
    }
    with demo(tmp_path, "--requests", "100", "--rate", "0", env=env) as running:
        assert "PostgreSQL is not here (" in running.output
        assert "): the ledger is SQLite." in running.output
        assert "Valkey is not here (" in running.output
        assert numbers(running, "SQLite INSERT")[0] == "24"
        assert json.loads(running.get("/stats"))["cache"]["hits"] + 2 == 21


def test_a_named_program_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("postgres", "valkey-server"):
        (tmp_path / program).write_text("")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path / "postgres"))
    monkeypatch.setenv("VALKEY_BIN", str(tmp_path / "valkey-server"))
    assert programs.valkey() == tmp_path / "valkey-server"
    assert programs.postgres() != tmp_path / "postgres", "there is no initdb beside it"
    (tmp_path / "initdb").write_text("")
    assert programs.postgres() == tmp_path / "postgres"
