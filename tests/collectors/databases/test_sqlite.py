"""SQLite: the pool of the embedded default, sqlite3 and aiosqlite, against real files."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from ferrometer.collectors.postgres import postgres_check
from ferrometer.collectors.sql import SQLiteConnection, SQLitePool, instrument_sqlite
from ferrometer.health import HealthChecks
from ferrometer.stats import ServiceStats
from ferrometer.testing import PedanticRegistry, value
from tests.collectors.databases import sql
from tests.collectors.support import until


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "data.db")


def test_each_way_to_ask_is_counted_once(file: str, registry: PedanticRegistry) -> None:
    with SQLitePool(file) as pool:
        with (
            instrument_sqlite(pool, namespace="gpuproxy", registry=registry),
            pool.connection() as connection,
        ):
            connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
            connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
            cursor = connection.cursor()
            assert isinstance(cursor, sqlite3.Cursor)
            assert cursor.execute("SELECT count(*) FROM t").fetchone() == (2,)
            connection.executescript("UPDATE t SET n = n + 10; DELETE FROM t")
            with pytest.raises(sqlite3.OperationalError):
                connection.execute("SELECT * FROM nothing")
            with pytest.raises(sqlite3.IntegrityError):
                cursor.executemany("INSERT INTO t VALUES (?)", [(1,), (1,)])
            with pytest.raises(TypeError):
                connection.execute(None)  # type: ignore[arg-type]
        with pool.connection() as connection:
            connection.execute("SELECT 1")  # undone
    assert sql.queries(registry, "sqlite") == {"CREATE": 1, "INSERT": 2, "SELECT": 2, "UPDATE": 1}
    assert sql.timed(registry, "sqlite") == sql.queries(registry, "sqlite")
    assert sql.errors(registry, "sqlite") == {
        ("SELECT", "OperationalError"): 1,
        ("INSERT", "IntegrityError"): 1,
    }
    assert value(registry, "gpuproxy_db_queries_total") == 6
    assert value(registry, "gpuproxy_db_errors_total") == 2


def test_the_pool(file: str, registry: PedanticRegistry) -> None:
    pool = SQLitePool(file, size=2, timeout=10)
    stats = ServiceStats("gpuproxy", registry)
    instrument = instrument_sqlite(pool, name="main", database=stats.database, registry=registry)
    assert instrument_sqlite(pool, registry=registry) is instrument
    one, two = pool.acquire(), pool.acquire()
    assert sql.connections(registry, "main") == {"active": 2, "idle": 0}
    assert value(registry, "db_pool_connections_max", pool="main") == 2
    with pytest.raises(TimeoutError, match="all 2 connections are in use"):
        pool.acquire(timeout=0.01)
    third: list[sqlite3.Connection] = []
    waiting = threading.Thread(target=lambda: third.append(pool.acquire()))
    waiting.start()
    until(lambda: value(registry, "db_pool_waiting", pool="main") == 1)
    one.execute("CREATE TABLE t (n)")
    one.execute("INSERT INTO t VALUES (1)")
    pool.release(one)  # without a commit: rolled back
    waiting.join()
    assert third == [one]
    assert one.execute("SELECT count(*) FROM t").fetchone() == (0,)
    with closing(sqlite3.connect(":memory:")) as strange, pytest.raises(ValueError, match="of this pool"):
        pool.release(strange)
    one.close()
    pool.release(one)  # a broken one is not given out again
    pool.release(two)
    with pytest.raises(ValueError, match="released already"):
        pool.release(two)
    assert sql.connections(registry, "main") == {"active": 0, "idle": 1}
    assert sql.acquired(registry, "main") == 3
    assert sql.refused(registry, "main") == {"TimeoutError": 1}
    instrument.collect()
    assert stats.polling()["db_connections_active"] == 0
    assert stats.stats()["database"] == {
        "connections_active": 0,
        "connections_idle": 1,
        "queries_total": 3,
        "errors": 0,
    }
    held = pool.acquire()
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        pool.acquire()
    pool.release(held)
    with pytest.raises(sqlite3.ProgrammingError):
        held.execute("SELECT 1")


def test_threads_share_a_pool(file: str, registry: PedanticRegistry) -> None:
    with SQLitePool(file, size=3, timeout=30) as pool:
        instrument_sqlite(pool, registry=registry)
        with pool.connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (n)")

        def work() -> None:
            for number in range(20):
                with pool.connection() as connection:
                    connection.execute("INSERT INTO t VALUES (?)", (number,))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pool.connection() as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (160,)
        assert sql.queries(registry, "sqlite") == {"PRAGMA": 1, "CREATE": 1, "INSERT": 160, "SELECT": 1}
        assert 1 <= sum(sql.connections(registry, "sqlite").values()) <= 3
        assert sql.acquired(registry, "sqlite") == 162


def test_a_pool_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a file"):
        SQLitePool(":memory:")
    with pytest.raises(ValueError, match="at least 1"):
        SQLitePool("x", size=0)
    with SQLitePool(str(tmp_path / "no" / "folder")) as pool:
        for _ in range(9):  # a failure takes no place in the pool
            with pytest.raises(sqlite3.OperationalError):
                pool.acquire(timeout=0.1)
        assert pool.state().active == 0


def test_a_connection_of_sqlite3(file: str, registry: PedanticRegistry) -> None:
    connection = sqlite3.connect(file, factory=SQLiteConnection)
    with instrument_sqlite(connection, registry=registry):
        assert connection.execute("SELECT 7").fetchone() == (7,)
        assert isinstance(connection, SQLiteConnection)
    assert type(connection) is SQLiteConnection
    connection.execute("SELECT 7")
    connection.close()
    assert sql.queries(registry, "sqlite") == {"SELECT": 1}
    plain = sqlite3.connect(file)
    with pytest.raises(TypeError, match="factory="):
        instrument_sqlite(plain, registry=registry)
    assert plain.execute("SELECT 7").fetchone() == (7,)
    plain.close()
    with pytest.raises(TypeError, match="not str"):
        instrument_sqlite(file, registry=registry)


def test_aiosqlite(file: str, registry: PedanticRegistry) -> None:
    async def use() -> None:
        async with aiosqlite.connect(file) as connection:
            with instrument_sqlite(connection, registry=registry):
                await connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
                await connection.execute_insert("INSERT INTO t VALUES (?)", (1,))
                async with connection.execute("SELECT * FROM t") as cursor:
                    assert [row async for row in cursor] == [(1,)]
                    await cursor.execute("UPDATE t SET n = 2")
                assert list(await connection.execute_fetchall("SELECT * FROM t")) == [(2,)]
                await connection.executemany("DELETE FROM t WHERE n = ?", [(1,), (2,)])
                await connection.commit()
                with pytest.raises(sqlite3.OperationalError):
                    await connection.execute("SELECT * FROM nothing")
            await connection.execute("SELECT 1")
            assert "_execute" not in vars(connection)

    asyncio.run(use())
    assert sql.queries(registry, "sqlite") == {
        "CREATE": 1,
        "INSERT": 1,
        "SELECT": 3,
        "UPDATE": 1,
        "DELETE": 1,
    }
    assert sql.errors(registry, "sqlite") == {("SELECT", "OperationalError"): 1}


def test_the_health_check(file: str) -> None:
    with SQLitePool(file, size=3) as pool:
        report = asyncio.run(HealthChecks({"database": postgres_check(pool)}).run())
        shown = report.checks["database"].as_dict()
        del shown["response_time_ms"]
        assert shown == {
            "healthy": True,
            "total_connections": 1,
            "idle_connections": 1,
            "max_connections": 3,
        }
