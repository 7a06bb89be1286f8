"""Pools whose state is known, and how soon others show it."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrometer.collectors.cgroup import CgroupCollector
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, instrument
from ferrometer.collectors.app.pools import PoolsCollector
from ferrometer.collectors.sql import SQLitePool, instrument_sqlite


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def native(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """The value in the cells: what other workers show, whose scrapes run no code here."""
    metric = registry._names_to_collectors[name]
    return metric.labels(**labels)._get() if labels else metric._get()  # type: ignore[attr-defined,no-any-return]


def test_they_are_read_twice_a_second() -> None:
    assert PoolsCollector().interval == 0.5


def test_the_cells_follow_without_a_scrape(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    app = Starlette()
    made = instrument(app, namespace="gw", registry=registry)
    pool = SQLitePool(str(tmp_path / "x.db"), size=4)
    watch = instrument_sqlite(pool, name="app", registry=registry, database=made.stats.database)
    with TestClient(app) as client:
        client.get("/live")
        with pool.connection(), pool.connection():
            until(lambda: native(registry, "db_pool_connections", pool="app", state="active") == 2)
            until(lambda: native(registry, "gw_db_connections_active") == 2)
        until(lambda: native(registry, "db_pool_connections", pool="app", state="active") == 0)
    watch.undo()
    pool.close()


def test_a_pool_whose_series_was_removed_is_shown_again(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    pool = SQLitePool(str(tmp_path / "x.db"), size=2)
    watch = instrument_sqlite(pool, name="app", registry=registry)
    with pool.connection() as connection:
        connection.execute("SELECT 1")
    for name in ("db_queries", "db_pool_acquire_duration_seconds", "db_pool_connections", "db_pool_waiting"):
        family = registry._names_to_collectors[name]
        family.clear()  # type: ignore[attr-defined]
    for _ in range(3):
        with pool.connection() as connection:
            connection.execute("SELECT 1")
            for state in ("active", "idle"):
                found = registry.get_sample_value("db_pool_connections", {"pool": "app", "state": state})
                assert found == (state == "active")
    acquired = registry.get_sample_value("db_pool_acquire_duration_seconds_count", {"pool": "app"})
    assert acquired == 3
    watch.undo()
    pool.close()


def test_connections_that_are_only_tried_are_not_active() -> None:
    psycopg_pool = pytest.importorskip("psycopg_pool")
    from ferrometer.collectors.sql import instrument_psycopg

    with socket.socket() as closed:  # bound, and listening to nobody
        closed.bind(("127.0.0.1", 0))
        registry = CollectorRegistry()
        target = f"host=127.0.0.1 port={closed.getsockname()[1]} dbname=x user=x connect_timeout=2"
        pool = psycopg_pool.ConnectionPool(target, min_size=4, open=False, reconnect_timeout=60)
        with instrument_psycopg(pool, name="down", registry=registry):
            pool.open(wait=False)
            assert pool.get_stats()["pool_size"] == 4
            for state in ("active", "idle"):
                found = registry.get_sample_value("db_pool_connections", {"pool": "down", "state": state})
                assert found == 0
        pool.close(timeout=0)


def test_a_control_group_that_is_not_there_has_no_limits(tmp_path: Path) -> None:
    memory = "31 25 0:27 /k/p /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    files = {
        "proc/self/cgroup": "5:memory:/k/p\n",
        "proc/self/mountinfo": memory,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    registry = CollectorRegistry()
    CgroupCollector(root=tmp_path, registry=registry).collect()
    assert registry.get_sample_value("cgroup_memory_used_bytes") == 500000000
    for name in ("cgroup_cpu_limit_cores", "cgroup_cpu_used_ratio"):
        found = registry.get_sample_value(name)
        assert found is None or math.isnan(found), name
