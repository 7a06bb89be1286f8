"""A health check for whatever pool the application has: a query, and the pool's connection counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from ferrometer.collectors.app.pools import counting

Result: TypeAlias = Mapping[str, int]

_PING = "SELECT 1"


def postgres_check(pool: Any) -> Callable[[], Awaitable[Result]] | Callable[[], Result]:
    """A check for ``HealthChecks.register``: it asks ``SELECT 1`` over a connection of the pool.

    Takes an asyncpg pool, a psycopg pool (sync or async), a SQLAlchemy engine (sync or async) or a
    ``SQLitePool``. Its answer holds ``total_connections``, ``idle_connections`` and
    ``max_connections``, as far as the pool knows them. It raises what the driver raises, of which
    ``/health`` shows the type. Raises TypeError for anything that is no pool.

    A pool of asyncio lives on one event loop: its check is a coroutine function for that loop.
    """
    module = type(pool).__module__.partition(".")[0]
    if module == "asyncpg":
        return _asyncpg(pool)
    if callable(getattr(pool, "getconn", None)) and callable(getattr(pool, "get_stats", None)):
        return _psycopg(pool)
    if module == "sqlalchemy":
        return _sqlalchemy(pool)
    if callable(getattr(pool, "connection", None)) and callable(getattr(pool, "state", None)):
        return _sqlite(pool)
    raise TypeError(
        f"postgres_check takes a pool of asyncpg or psycopg, a SQLAlchemy engine or a SQLitePool, "
        f"not {type(pool).__name__}"
    )


def _counts(total: int, idle: int, maximum: int | None) -> Result:
    counts = {"total_connections": total, "idle_connections": idle}
    return counts if not maximum else {**counts, "max_connections": maximum}


def _asyncpg(pool: Any) -> Callable[[], Awaitable[Result]]:
    def counts() -> Result:
        return _counts(pool.get_size(), pool.get_idle_size(), pool.get_max_size())

    async def check() -> Result:
        async with pool.acquire() as connection:
            await connection.fetchval(_PING)
        return counts()

    return counting(check, counts)


def _psycopg(pool: Any) -> Callable[[], Awaitable[Result]] | Callable[[], Result]:
    def counts() -> Result:
        stats = pool.get_stats()
        return _counts(stats.get("pool_size", 0), stats.get("pool_available", 0), stats.get("pool_max"))

    if asyncio.iscoroutinefunction(pool.getconn):

        async def check_async() -> Result:
            async with pool.connection() as connection:
                await connection.execute(_PING)
            return counts()

        return counting(check_async, counts)

    def check() -> Result:
        with pool.connection() as connection:
            connection.execute(_PING)
        return counts()

    return counting(check, counts)


def _sqlalchemy(engine: Any) -> Callable[[], Awaitable[Result]] | Callable[[], Result]:
    from sqlalchemy import text

    statement = text(_PING)

    def counts() -> Result:
        pool = getattr(engine, "sync_engine", engine).pool
        if not callable(getattr(pool, "checkedout", None)):
            return {}  # NullPool and StaticPool keep no count
        idle, overflow = pool.checkedin(), getattr(pool, "_max_overflow", 0)
        unlimited = overflow < 0 or pool.size() == 0
        return _counts(pool.checkedout() + idle, idle, None if unlimited else pool.size() + overflow)

    if hasattr(engine, "sync_engine"):

        async def check_async() -> Result:
            async with engine.connect() as connection:
                await connection.execute(statement)
            return counts()

        return counting(check_async, counts)

    def check() -> Result:
        with engine.connect() as connection:
            connection.execute(statement)
        return counts()

    return counting(check, counts)


def _sqlite(pool: Any) -> Callable[[], Result]:
    def counts() -> Result:
        state = pool.state()
        return _counts(state.active + state.idle, state.idle, state.maximum)

    def check() -> Result:
        with pool.connection() as connection:
            connection.execute(_PING)
        return counts()

    return counting(check, counts)


__all__ = ["postgres_check"]
