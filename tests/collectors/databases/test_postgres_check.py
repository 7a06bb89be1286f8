"""The health check of a database, for every kind of pool, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from ferrometer.collectors.postgres import postgres_check
from ferrometer.health import HealthChecks
from tests.real.postgres import PASSWORD, Postgres


async def checked(check: Any) -> Mapping[str, Any]:
    """The component as /health shows it, without its time."""
    health = HealthChecks(timeout=5, cache_seconds=0)
    health.register("database", check)
    shown = (await health.run()).as_dict()["checks"]["database"]
    del shown["response_time_ms"]
    return dict(shown)


def healthy(total: int, idle: int, maximum: int) -> Mapping[str, Any]:
    return {
        "healthy": True,
        "total_connections": total,
        "idle_connections": idle,
        "max_connections": maximum,
    }


def test_asyncpg(database: Postgres) -> None:
    async def use() -> Mapping[str, Any]:
        async with asyncpg.create_pool(database.url(), min_size=2, max_size=5) as pool, pool.acquire():
            return await checked(postgres_check(pool))

    assert asyncio.run(use()) == healthy(2, 1, 5)


def test_psycopg(database: Postgres) -> None:
    with ConnectionPool(database.dsn(), min_size=1, max_size=4) as pool:
        pool.wait()
        assert asyncio.run(checked(postgres_check(pool))) == healthy(1, 1, 4)

    async def use() -> Mapping[str, Any]:
        async with AsyncConnectionPool(database.dsn(), min_size=1, max_size=3, open=False) as pool:
            await pool.wait()
            return await checked(postgres_check(pool))

    assert asyncio.run(use()) == healthy(1, 1, 3)


def test_sqlalchemy(database: Postgres) -> None:
    engine = create_engine(database.url(scheme="postgresql+psycopg"), pool_size=2, max_overflow=1)
    assert asyncio.run(checked(postgres_check(engine))) == healthy(1, 1, 3)
    engine.dispose()

    async def use() -> Mapping[str, Any]:
        engine = create_async_engine(database.url(scheme="postgresql+asyncpg"), pool_size=2, max_overflow=-1)
        try:
            return await checked(postgres_check(engine))
        finally:
            await engine.dispose()

    assert asyncio.run(use()) == {"healthy": True, "total_connections": 1, "idle_connections": 1}


def test_one_that_goes_and_comes_back(own_database: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    async def use() -> list[Mapping[str, Any]]:
        seen = []
        async with asyncpg.create_pool(own_database.url(), min_size=1, max_size=1) as pool:
            check = postgres_check(pool)
            seen.append(await checked(check))
            await asyncio.to_thread(own_database.stop)
            seen.append(await checked(check))
            await asyncio.to_thread(own_database.start)
            seen.append(await checked(check))
            own_database.freeze()
            health = HealthChecks({"database": check}, timeout=0.3)
            seen.append((await health.run()).as_dict()["checks"]["database"])
            own_database.thaw()
        return seen

    before, gone, back, frozen = asyncio.run(use())
    assert before == back == healthy(1, 1, 1)
    assert gone["healthy"] is False
    assert frozen["healthy"] is False
    assert frozen["error"] == "TimeoutError"
    assert PASSWORD not in caplog.text
    with pytest.raises(TypeError, match="not str"):
        postgres_check("postgresql://")
