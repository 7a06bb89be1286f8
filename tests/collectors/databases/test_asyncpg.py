"""asyncpg's pools and connections against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ferrometer.collectors.sql import instrument_asyncpg
from ferrometer.stats import ServiceStats
from ferrometer.testing import PedanticRegistry, value
from tests.collectors.databases import sql
from tests.collectors.support import until_async
from tests.real.postgres import Postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_way_to_ask_is_counted_once(database: Postgres, registry: PedanticRegistry) -> None:
    async with asyncpg.create_pool(database.url(), min_size=1, max_size=3) as pool:
        with instrument_asyncpg(pool, registry=registry):
            async with pool.acquire() as connection:
                assert len(await connection.fetch("SELECT * FROM things WHERE id <= $1", 5)) == 5
                assert await connection.fetchval("SELECT 7") == 7
                assert await connection.fetchval(query="SELECT 8", column=0, timeout=5) == 8
                assert (await connection.fetchrow("select name from things where id = 1"))[
                    "name"
                ] == "thing 1"
                await connection.execute("CREATE TEMP TABLE t (n int)")
                assert await connection.execute("INSERT INTO t VALUES ($1)", 1) == "INSERT 0 1"
                await connection.executemany("INSERT INTO t VALUES ($1)", [(2,), (3,)])
                await connection.executemany(command="INSERT INTO t VALUES ($1)", args=[(4,)])
                await connection.copy_records_to_table("t", records=[(5,), (6,)])
                out = io.BytesIO()
                await connection.copy_from_query("SELECT * FROM t ORDER BY n", output=out)
                assert out.getvalue() == b"1\n2\n3\n4\n5\n6\n"
                statement = await connection.prepare("DELETE FROM t WHERE n = $1")
                assert isinstance(statement, asyncpg.prepared_stmt.PreparedStatement)
                await statement.fetch(1)
                await statement.fetchval(2)
                async with connection.transaction():
                    await connection.execute("  -- a comment\n (SELECT 1)")
            assert await pool.fetchval("/* over the pool */ SELECT 9") == 9
    assert sql.queries(registry, "asyncpg") == {
        "SELECT": 7,  # one of them by copy_from_query
        "CREATE": 1,
        "INSERT": 3,
        "COPY": 1,
        "PREPARE": 1,
        "DELETE": 2,
        "BEGIN": 1,
        "COMMIT": 1,
    }
    assert sql.timed(registry, "asyncpg") == sql.queries(registry, "asyncpg")
    assert sql.errors(registry, "asyncpg") == {}


async def test_errors_are_the_driver_s_and_are_counted(
    database: Postgres, registry: PedanticRegistry
) -> None:
    async with asyncpg.create_pool(database.url(), min_size=1, max_size=1) as pool:
        instrument_asyncpg(pool, registry=registry, namespace="gpuproxy")
        with pytest.raises(asyncpg.UniqueViolationError):
            await pool.execute("INSERT INTO things VALUES (1, 'again')")
        with pytest.raises(asyncpg.UndefinedTableError):
            await pool.fetch("SELECT * FROM nothing WHERE secret = $1", "x")
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await pool.fetch("SELEKT 1")
        with pytest.raises(TimeoutError):
            await pool.execute("SELECT pg_sleep(10)", timeout=0.05)
        with pytest.raises(Exception, match="NoneType"):
            await pool.fetch(None)
        cancelled = asyncio.create_task(pool.fetch("SELECT pg_sleep(10)"))
        await until_async(lambda: pool.get_idle_size() == 0)
        await asyncio.sleep(0.05)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert sql.errors(registry, "asyncpg") == {
        ("INSERT", "UniqueViolationError"): 1,
        ("SELECT", "UndefinedTableError"): 1,
        ("OTHER", "PostgresSyntaxError"): 1,
        ("SELECT", "TimeoutError"): 1,
        ("SELECT", "CancelledError"): 1,
    }
    assert value(registry, "gpuproxy_db_queries_total") == 5
    assert (
        value(registry, "gpuproxy_db_errors_total") == 4
    )  # that a client went away is no fault of the database
    assert value(registry, "gpuproxy_db_query_duration_milliseconds_count") == 5


async def test_the_pool_at_a_scrape(database: Postgres, registry: PedanticRegistry) -> None:
    stats = ServiceStats("gpuproxy", registry)
    pool = asyncpg.create_pool(database.url(), min_size=2, max_size=3)
    instrument = instrument_asyncpg(pool, name="main", database=stats.database, registry=registry)
    assert sql.connections(registry, "main") == {"active": 0, "idle": 0}  # not even begun
    async with pool:
        assert sql.connections(registry, "main") == {"active": 0, "idle": 2}
        async with pool.acquire(), pool.acquire(), pool.acquire():
            assert sql.connections(registry, "main") == {"active": 3, "idle": 0}
            assert value(registry, "db_pool_connections_max", pool="main") == 3
            waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
            await until_async(lambda: value(registry, "db_pool_waiting", pool="main") == 1)
            with pytest.raises(TimeoutError):
                await pool.acquire(timeout=0.02)
            assert value(registry, "gpuproxy_db_connections_active") == 3
        assert await waiting == 1
        assert value(registry, "db_pool_waiting", pool="main") == 0
        assert sql.acquired(registry, "main") == 4
        assert sql.refused(registry, "main") == {"TimeoutError": 1}
        assert value(registry, "gpuproxy_db_connections_idle") == 3
        instrument.collect()  # what /stats reads
        assert stats.stats()["database"] == {
            "connections_active": 0,
            "connections_idle": 3,
            "queries_total": 1,
            "errors": 0,
        }
        instrument.undo()
        assert sql.connections(registry, "main") == {}
        assert value(registry, "gpuproxy_db_connections_idle") == 0


async def test_two_pools_of_a_service_add_up(database: Postgres, registry: PedanticRegistry) -> None:
    async with (
        asyncpg.create_pool(database.url(), min_size=1, max_size=1) as one,
        asyncpg.create_pool(database.url(), min_size=2, max_size=2) as two,
    ):
        instrument_asyncpg(one, name="one", namespace="gpuproxy", registry=registry)
        with instrument_asyncpg(two, name="two", namespace="gpuproxy", registry=registry):
            await one.fetch("SELECT 1")
            async with two.acquire():
                assert value(registry, "gpuproxy_db_connections_active") == 1
                assert value(registry, "gpuproxy_db_connections_idle") == 2
        assert value(registry, "gpuproxy_db_connections_idle") == 1


async def test_undone_it_is_as_before(database: Postgres, registry: PedanticRegistry) -> None:
    async with (
        asyncpg.create_pool(database.url(), min_size=1, max_size=2) as pool,
        asyncpg.create_pool(database.url(), min_size=1, max_size=2) as other,
    ):
        instrument = instrument_asyncpg(pool, registry=registry)
        assert instrument_asyncpg(pool, registry=registry) is instrument  # a second time changes nothing
        await other.fetch("SELECT 1")
        assert sql.queries(registry, "asyncpg") == {}
        async with pool.acquire() as connection:
            assert isinstance(connection, asyncpg.pool.PoolConnectionProxy)
            await connection.fetch("SELECT 1")
            instrument.undo()
            instrument.undo()
            await connection.fetch("SELECT 1")
        await pool.fetch("SELECT 1")
        assert type(pool) is asyncpg.Pool
        assert {type(holder._con) for holder in pool._holders if holder._con} == {asyncpg.Connection}
        assert sql.queries(registry, "asyncpg") == {"SELECT": 1}
        instrument_asyncpg(pool, registry=registry)
        await pool.fetch("SELECT 1")
        assert sql.queries(registry, "asyncpg") == {"SELECT": 2}


async def test_a_single_connection(database: Postgres, registry: PedanticRegistry) -> None:
    connection = await asyncpg.connect(database.url())
    with instrument_asyncpg(connection, name="single", registry=registry):
        await connection.fetch("SELECT 1")
        assert [row[0] async for row in _cursor(connection)] == [1, 2, 3]
    assert type(connection) is asyncpg.Connection
    await connection.close()
    assert sql.queries(registry, "single") == {"SELECT": 1, "BEGIN": 1, "COMMIT": 1}
    with pytest.raises(TypeError, match="not str"):
        instrument_asyncpg("postgresql://", registry=registry)


async def _cursor(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    async with connection.transaction():
        async for row in connection.cursor("SELECT generate_series(1, 3)"):
            yield row


async def test_killed_and_restarted_under_a_pool(own_database: Postgres, registry: PedanticRegistry) -> None:
    async with asyncpg.create_pool(own_database.url(), min_size=1, max_size=2) as pool:
        instrument_asyncpg(pool, registry=registry)
        query = asyncio.create_task(pool.fetch("SELECT pg_sleep(30)"))
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        await until_async(lambda: bool(own_database.sql(kill)))
        with pytest.raises(asyncpg.PostgresError) as raised:
            await query
        await asyncio.to_thread(own_database.stop)  # a connection that is being made would hold it up
        with pytest.raises(ConnectionRefusedError):
            await pool.fetch("SELECT 1")
        assert sql.refused(registry, "asyncpg") == {"ConnectionRefusedError": 1}
        await asyncio.to_thread(own_database.start)
        assert await pool.fetchval("SELECT 1") == 1
        assert sql.errors(registry, "asyncpg") == {("SELECT", type(raised.value).__name__): 1}
        assert sql.connections(registry, "asyncpg")["active"] == 0
