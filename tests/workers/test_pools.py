"""Pools of several workers: every endpoint of every worker tells the connections of all of them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.workers.servers import SAY_WHO, Served, served, until

WORKERS = 4

APP = (
    SAY_WHO
    + """
import asyncio, contextlib, os
import ferrometer
from fastapi import FastAPI
from ferrometer.collectors.postgres import postgres_check
from ferrometer.collectors.sql import SQLitePool, instrument_sqlite

app = FastAPI()
app.add_middleware(SayWho)
pool = SQLitePool(f"x{os.getpid()}.db", size=4)
with contextlib.ExitStack() as stack:
    for _ in range(4):
        stack.enter_context(pool.connection())
watched = ferrometer.instrument(app, namespace="shop", health_checks={"database": postgres_check(pool)})
instrument_sqlite(pool, name="app", database=watched.stats.database)

@app.get("/who")
async def who():
    return os.getpid()

@app.get("/hold")
async def hold(until: str):
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(pool.connection())
        while not os.path.exists(until):
            await asyncio.sleep(0.01)
    return os.getpid()
"""
)


def connections(running: Served) -> set[tuple[Any, ...]]:
    """What each worker says of the connections: in /polling, /stats, /metrics and /health."""
    polling = running.from_each("/polling", WORKERS)
    stats = running.from_each("/stats", WORKERS)
    metrics = running.from_each("/metrics", WORKERS)
    said = set()
    for worker in polling:
        lines = dict(line.rsplit(" ", 1) for line in metrics[worker].body.decode().splitlines() if line)
        said.add(
            (
                polling[worker].json["metrics"]["db_connections_active"],
                stats[worker].json["database"]["connections_active"],
                stats[worker].json["database"]["connections_idle"],
                float(lines["shop_db_connections_active"]),
                float(lines["shop_db_connections_idle"]),
                float(lines['db_pool_connections{pool="app",state="active"}']),
            )
        )
    return said


def health(running: Served) -> set[tuple[int, ...]]:
    """What each worker says in /health."""
    keys = ("total_connections", "idle_connections", "max_connections")
    answers = running.from_each("/health", WORKERS).values()
    return {tuple(answer.json["checks"]["database"][key] for key in keys) for answer in answers}


@pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")
def test_all_endpoints_of_all_workers_tell_all_connections(tmp_path: Path) -> None:
    with served("uvicorn", tmp_path, workers=WORKERS, source=APP) as running:
        running.from_each("/health", WORKERS)
        until(lambda: connections(running) == {(0, 0, 16, 0, 16, 0)}, what="all idle", seconds=60)
        until(lambda: health(running) == {(16, 16, 16)}, what="all healthy", seconds=60)
        done = tmp_path / "done"
        holding = threading.Thread(target=running.get, args=(f"/hold?until={done}",))
        holding.start()
        busy = {(3, 3, 13, 3, 13, 3)}
        until(lambda: connections(running) == busy, what="three in use", seconds=60)
        until(lambda: health(running) == {(16, 13, 16)}, what="three in use at /health", seconds=60)
        done.touch()
        holding.join()
        until(lambda: connections(running) == {(0, 0, 16, 0, 16, 0)}, what="all given back", seconds=60)
        [worker, *_] = running.from_each("/health", WORKERS)
        running.kill(worker)  # and its pool with it; the server starts another one

        def sixteen_again() -> bool:
            try:
                return health(running) == {(16, 16, 16)}
            except (AssertionError, OSError):  # the other one is not there yet
                return False

        until(sixteen_again, what="sixteen again", seconds=60)
