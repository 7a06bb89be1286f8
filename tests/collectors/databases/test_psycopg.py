"""psycopg's pools and connections, sync and async, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest
from psycopg import sql as composed
from psycopg_pool import AsyncConnectionPool, ConnectionPool, NullConnectionPool, PoolTimeout

from ferrometer.collectors.sql import instrument_psycopg
from ferrometer.testing import PedanticRegistry, value
from tests.collectors.databases import sql
from tests.collectors.support import until
from tests.real.postgres import Postgres


def test_each_way_to_ask_is_counted_once(database: Postgres, registry: PedanticRegistry) -> None:
    check = ConnectionPool.check_connection
    with (
        ConnectionPool(database.dsn(), min_size=1, max_size=2, check=check) as pool,
        instrument_psycopg(pool, registry=registry),
        pool.connection() as connection,
    ):
        assert connection.execute("SELECT 7").fetchone() == (7,)
        with connection.cursor() as cursor:
            assert isinstance(cursor, psycopg.Cursor)
            cursor.execute(b"CREATE TEMP TABLE t (n int)")
            cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,)])
            cursor.execute(composed.SQL("SELECT {} FROM t").format(composed.Identifier("n")))
            cursor.execute(composed.SQL("DELETE FROM t WHERE n = 1"))
            assert list(cursor.stream("SELECT generate_series(1, 3)")) == [(1,), (2,), (3,)]
            for _ in cursor.stream("SELECT generate_series(1, 3)"):
                break  # seen enough
            with cursor.copy("COPY t FROM STDIN") as copy:
                copy.write_row((5,))
            with cursor.copy("COPY t TO STDOUT") as copy:
                assert b"".join(copy) == b"2\n5\n"
        with connection.cursor("on the server") as cursor:
            assert cursor.execute("SELECT generate_series(1, 3)").fetchmany(2) == [(1,), (2,)]
    assert sql.queries(registry, "psycopg") == {"SELECT": 5, "CREATE": 1, "INSERT": 1, "DELETE": 1, "COPY": 2}
    assert sql.timed(registry, "psycopg") == sql.queries(registry, "psycopg")
    assert sql.errors(registry, "psycopg") == {}


def test_errors(database: Postgres, registry: PedanticRegistry) -> None:
    with ConnectionPool(database.dsn(), min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        before = pool.getconn()
        instrument_psycopg(pool, namespace="gpuproxy", registry=registry)
        before.execute("SELECT 1")  # of a connection that was given out before: not yet observed
        pool.putconn(before)
        with pool.connection() as connection:
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO things VALUES (1, 'again')")
            with pytest.raises(psycopg.errors.SyntaxError):
                connection.execute("SELEKT 1")
            with pytest.raises(psycopg.errors.UndefinedTable):
                list(connection.cursor().stream("SELECT * FROM nothing"))
            cursor = connection.cursor()
            with pytest.raises(psycopg.DataError), cursor.copy("COPY things FROM STDIN") as copy:
                copy.write("no number\n")
            with pytest.raises(TypeError):
                connection.execute(7)  # type: ignore[call-overload]
    assert sql.errors(registry, "psycopg") == {
        ("INSERT", "UniqueViolation"): 1,
        ("OTHER", "SyntaxError"): 1,
        ("OTHER", "TypeError"): 1,
        ("SELECT", "UndefinedTable"): 1,
        ("COPY", "InvalidTextRepresentation"): 1,
    }
    assert value(registry, "gpuproxy_db_errors_total") == 5


def test_a_pipeline_counts_errors_when_the_answers_come(
    database: Postgres, registry: PedanticRegistry
) -> None:
    with (
        psycopg.connect(database.dsn(), autocommit=True) as connection,
        instrument_psycopg(connection, namespace="gpuproxy", registry=registry),
    ):
        with connection.pipeline() as pipeline, connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.05)")
            cursor.execute("UPDATE things SET name = name WHERE id = -1")
            cursor.execute("INSERT INTO things VALUES (1, 'again')")
            cursor.execute("DELETE FROM things WHERE id = -1")  # skipped by the server
            with pytest.raises(psycopg.errors.UniqueViolation):
                pipeline.sync()
            cursor.execute("SELECT 2")
            assert cursor.fetchone() == (2,)
            with pytest.raises(psycopg.ProgrammingError):
                cursor.execute("SELECT %s", ())
            cursor.executemany("UPDATE things SET name = name WHERE id = %s", [(-1,), (-2,), (-3,)])
        # psycopg makes a pipeline of its own for this: it is one call.
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO things VALUES (%s, 'x')", [(-1,), (-2,)])
            cursor.executemany("DELETE FROM things WHERE id = %s", [(-1,), (-2,)])
    assert sql.queries(registry, "psycopg") == {"SELECT": 3, "UPDATE": 4, "INSERT": 2, "DELETE": 2}
    assert sql.errors(registry, "psycopg") == {
        ("INSERT", "UniqueViolation"): 1,
        ("DELETE", "PipelineAborted"): 1,
        ("SELECT", "ProgrammingError"): 1,
    }
    timed = {name: n for name, n in sql.timed(registry, "psycopg").items() if n}
    assert timed == {"INSERT": 1, "DELETE": 1}
    assert value(registry, "gpuproxy_db_queries_total") == 11
    assert value(registry, "gpuproxy_db_errors_total") == 3
    assert value(registry, "gpuproxy_db_query_duration_milliseconds_count") == 2


def test_a_pipeline_under_asyncio(database: Postgres, registry: PedanticRegistry) -> None:
    async def main() -> None:
        async with (
            await psycopg.AsyncConnection.connect(database.dsn(), autocommit=True) as connection,
            connection.cursor() as other,
        ):
            instrument_psycopg(connection, registry=registry)
            await other.execute("SELECT 1")  # its class was chosen before
            first, second = connection.cursor(), connection.cursor()

            async def failing() -> None:
                async with connection.pipeline():
                    await first.execute("SELECT 1")
                    await second.execute("UPDATE nothing SET a = 1")
                    await first.execute("SELECT 2")

            with pytest.raises(psycopg.errors.UndefinedTable):
                await failing()
            async with connection.pipeline():  # another one, with the same cursors
                await second.execute("SELECT 3")
            await first.execute("SELECT 4")

    asyncio.run(main())
    assert sql.queries(registry, "psycopg") == {"SELECT": 4, "UPDATE": 1}
    assert sql.errors(registry, "psycopg") == {
        ("UPDATE", "UndefinedTable"): 1,
        ("SELECT", "PipelineAborted"): 1,
    }
    assert {n: v for n, v in sql.timed(registry, "psycopg").items() if v} == {"SELECT": 1}


def test_the_pool_at_a_scrape(database: Postgres, registry: PedanticRegistry) -> None:
    with ConnectionPool(database.dsn(), min_size=2, max_size=2) as pool:
        pool.wait()
        instrument = instrument_psycopg(pool, name="main", namespace="gpuproxy", registry=registry)
        assert instrument_psycopg(pool, registry=registry) is instrument
        assert sql.connections(registry, "main") == {"active": 0, "idle": 2}
        with pool.connection(), pool.connection():
            assert sql.connections(registry, "main") == {"active": 2, "idle": 0}
            assert value(registry, "gpuproxy_db_connections_active") == 2
            assert value(registry, "db_pool_connections_max", pool="main") == 2
            waiting = threading.Thread(target=lambda: pool.putconn(pool.getconn()))
            waiting.start()
            until(lambda: value(registry, "db_pool_waiting", pool="main") == 1)
            with pytest.raises(PoolTimeout):
                pool.getconn(timeout=0.02)
        waiting.join()
        assert sql.acquired(registry, "main") == 3
        assert sql.refused(registry, "main") == {"PoolTimeout": 1}
        instrument.undo()
        assert "getconn" not in vars(pool)
        with pool.connection() as connection:
            assert connection.cursor_factory is psycopg.Cursor
            assert connection.server_cursor_factory is psycopg.ServerCursor
            connection.execute("SELECT 1")
    assert sql.queries(registry, "main") == {}
    assert sql.connections(registry, "main") == {}


def test_one_that_keeps_no_connections(database: Postgres, registry: PedanticRegistry) -> None:
    with NullConnectionPool(database.dsn(), max_size=3) as pool:
        instrument_psycopg(pool, registry=registry)
        with pool.connection() as connection:
            connection.execute("SELECT 1")
            assert sql.connections(registry, "psycopg") == {"active": 1, "idle": 0}
        until(lambda: sql.connections(registry, "psycopg") == {"active": 0, "idle": 0})
    assert sql.queries(registry, "psycopg") == {"SELECT": 1}


def test_a_single_connection_with_a_cursor_class_of_its_own(
    database: Postgres, registry: PedanticRegistry
) -> None:
    with psycopg.connect(database.dsn(), cursor_factory=psycopg.ClientCursor) as connection:
        with instrument_psycopg(connection, name="single", registry=registry):
            assert connection.execute("SELECT %s::int", [7]).fetchone() == (7,)
            assert isinstance(connection.cursor(), psycopg.ClientCursor)
        assert connection.cursor_factory is psycopg.ClientCursor
        connection.execute("SELECT 1")
    assert sql.queries(registry, "single") == {"SELECT": 1}
    with pytest.raises(TypeError, match="not str"):
        instrument_psycopg("postgresql://", registry=registry)


def test_asyncio(database: Postgres, registry: PedanticRegistry) -> None:
    async def use() -> None:
        async with AsyncConnectionPool(database.dsn(), min_size=1, max_size=1, open=False) as pool:
            instrument = instrument_psycopg(pool, registry=registry)
            async with pool.connection() as connection:
                cursor = await connection.execute("SELECT 7")
                assert await cursor.fetchone() == (7,)
                await cursor.executemany("UPDATE things SET name = name WHERE id = %s", [(1,), (2,)])
                assert [row async for row in cursor.stream("SELECT generate_series(1, 2)")] == [(1,), (2,)]
                async with cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
                    assert [bytes(part) async for part in copy] == [b"1\n"]
                assert sql.connections(registry, "psycopg") == {"active": 1, "idle": 0}
                with pytest.raises(PoolTimeout):
                    await pool.getconn(timeout=0.02)
                slow = asyncio.create_task(_sleep(connection))
                await asyncio.sleep(0.1)
                slow.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await slow
                await connection.rollback()
                with pytest.raises(psycopg.errors.UndefinedTable):
                    await connection.execute("SELECT * FROM nothing")
            instrument.undo()

    asyncio.run(use())
    assert sql.queries(registry, "psycopg") == {"SELECT": 4, "UPDATE": 1, "COPY": 1}
    assert sql.errors(registry, "psycopg") == {
        ("SELECT", "CancelledError"): 1,
        ("SELECT", "UndefinedTable"): 1,
    }
    assert sql.acquired(registry, "psycopg") == 1


async def _sleep(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("SELECT pg_sleep(10)")


def test_killed_and_restarted_under_a_pool(own_database: Postgres, registry: PedanticRegistry) -> None:
    with ConnectionPool(
        own_database.dsn(), min_size=1, max_size=1, timeout=5, check=ConnectionPool.check_connection
    ) as pool:
        instrument_psycopg(pool, registry=registry)
        failures: list[psycopg.Error] = []

        def sleep() -> None:
            try:
                with pool.connection() as connection:
                    connection.execute("SELECT pg_sleep(30)")
            except psycopg.Error as error:
                failures.append(error)

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: bool(own_database.sql(kill)))
        sleeper.join()
        assert sql.errors(registry, "psycopg") == {("SELECT", "AdminShutdown"): 1}
        own_database.stop()
        own_database.start()
        with pool.connection() as connection:
            connection.execute("SELECT 1")
    assert [type(failure).__name__ for failure in failures] == ["AdminShutdown"]
    assert sql.queries(registry, "psycopg") == {"SELECT": 2}
