"""SQLAlchemy's engines, sync and async, over real PostgreSQL and SQLite."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ferrometer.collectors.sql import instrument_sqlalchemy
from ferrometer.testing import PedanticRegistry, value
from tests.collectors.databases import sql
from tests.collectors.support import until
from tests.real.postgres import Postgres
from tests.real.prometheus import free_port


def test_statements(database: Postgres, registry: PedanticRegistry) -> None:
    engine = create_engine(database.url(scheme="postgresql+psycopg"))
    numbers = Table("numbers", MetaData(), Column("n", Integer), prefixes=["TEMPORARY"])
    with (
        instrument_sqlalchemy(engine, namespace="gpuproxy", registry=registry),
        engine.connect() as connection,
    ):
        began = len(sql.queries(registry, "sqlalchemy"))
        assert began in (0, 1)
        connection.execute(text("CREATE TEMPORARY TABLE numbers (n int)"))
        connection.execute(insert(numbers), [{"n": 1}, {"n": 2}, {"n": 3}])
        assert len(connection.execute(select(numbers)).all()) == 3
        connection.exec_driver_sql("UPDATE numbers SET n = 7")
        with connection.execution_options(yield_per=1).execute(select(numbers)) as rows:
            assert [row.n for row in rows] == [7, 7, 7]
    engine.dispose()
    counted = sql.queries(registry, "sqlalchemy")
    # The first connection asks for the server's version and the like.
    first = counted.pop("SELECT") - 2
    first += counted.pop("SHOW", 0)
    assert first >= 0
    assert counted == {"CREATE": 1, "INSERT": 1, "UPDATE": 1}
    assert sql.timed(registry, "sqlalchemy") == sql.queries(registry, "sqlalchemy")
    assert value(registry, "gpuproxy_db_queries_total") == sum(sql.queries(registry, "sqlalchemy").values())


def test_errors(database: Postgres, registry: PedanticRegistry) -> None:
    engine = create_engine(database.url(scheme="postgresql+psycopg"))
    instrument_sqlalchemy(engine, registry=registry)
    with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO things VALUES (1, 'again')"))
        connection.rollback()
        with pytest.raises(ProgrammingError):
            connection.execute(text("SELECT * FROM nothing"))
    engine.dispose()
    assert sql.errors(registry, "sqlalchemy") == {
        ("INSERT", "UniqueViolation"): 1,
        ("SELECT", "UndefinedTable"): 1,
    }
    nowhere = create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{free_port()}/postgres")
    instrument_sqlalchemy(nowhere, name="nowhere", registry=registry)
    with pytest.raises(OperationalError):
        nowhere.connect()
    assert sql.refused(registry, "nowhere") == {"OperationalError": 1}
    assert sql.errors(registry, "nowhere") == {}


def test_the_pool_at_a_scrape(tmp_path: Path, registry: PedanticRegistry) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/data.db", pool_size=1, max_overflow=1, pool_timeout=0.05)
    instrument = instrument_sqlalchemy(engine, name="main", namespace="gpuproxy", registry=registry)
    assert instrument_sqlalchemy(engine, registry=registry) is instrument
    assert sql.connections(registry, "main") == {"active": 0, "idle": 0}
    with engine.connect() as one, engine.connect() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))
        assert sql.connections(registry, "main") == {"active": 2, "idle": 0}
        assert value(registry, "db_pool_connections_max", pool="main") == 2
        assert value(registry, "gpuproxy_db_connections_active") == 2
        with pytest.raises(PoolTimeoutError):
            engine.connect()
        engine.pool._timeout = 10  # type: ignore[attr-defined]
        waiting = threading.Thread(target=lambda: engine.connect().close())
        waiting.start()
        until(lambda: value(registry, "db_pool_waiting", pool="main") == 1)
    waiting.join()
    assert sql.connections(registry, "main") == {"active": 0, "idle": 1}
    assert sql.acquired(registry, "main") == 3
    assert sql.refused(registry, "main") == {"TimeoutError": 1}
    engine.dispose()  # goes on with a new pool
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert sql.connections(registry, "main") == {"active": 1, "idle": 0}
    assert sql.acquired(registry, "main") == 4
    counted = sql.queries(registry, "main")
    instrument.undo()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert sql.queries(registry, "main") == counted
    assert "connect" not in vars(engine.pool)
    engine.dispose()


def test_an_engine_made_of_another_counts_too(tmp_path: Path, registry: PedanticRegistry) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/data.db")
    with instrument_sqlalchemy(engine, registry=registry):
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("SELECT 1"))
        assert sql.queries(registry, "sqlalchemy") == {"SELECT": 1}
    engine.dispose()


def test_a_pool_that_keeps_no_count(tmp_path: Path, registry: PedanticRegistry) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/data.db", poolclass=NullPool)
    with instrument_sqlalchemy(engine, registry=registry):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        assert sql.connections(registry, "sqlalchemy") == {}  # nobody counts them
        assert sql.acquired(registry, "sqlalchemy") == 1
    with pytest.raises(TypeError, match="an engine, not str"):
        instrument_sqlalchemy("sqlite://", registry=registry)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_asyncio(database: Postgres, registry: PedanticRegistry, driver: str) -> None:
    async def use() -> None:
        engine = create_async_engine(
            database.url(scheme=f"postgresql+{driver}"), pool_size=1, max_overflow=0, pool_timeout=5
        )
        instrument_sqlalchemy(engine, registry=registry)
        async with engine.connect() as connection:
            await connection.execute(text("UPDATE things SET name = name WHERE id = 1"))
            assert sql.connections(registry, "sqlalchemy") == {"active": 1, "idle": 0}
            second = asyncio.create_task(_one(engine))
            await asyncio.sleep(0.05)
            assert value(registry, "db_pool_waiting", pool="sqlalchemy") == 1
        assert await second == 1
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            async with engine.connect() as connection:
                await connection.execute(text("DELETE FROM nothing"))
        await engine.dispose()

    asyncio.run(use())
    counted = sql.queries(registry, "sqlalchemy")
    assert counted["UPDATE"] == 1
    assert counted["DELETE"] == 1
    ((operation, _),) = sql.errors(registry, "sqlalchemy")
    assert operation == "DELETE"


async def _one(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT 1"))).scalar_one())
