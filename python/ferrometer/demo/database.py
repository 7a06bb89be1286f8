"""What the gateway writes down, its models and who used them: in PostgreSQL, else in SQLite."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

import ferrometer
from ferrometer.collectors.sql import SQLitePool, instrument_psycopg, instrument_sqlite
from ferrometer.stats.service import ServiceStats

_TABLES = (
    "CREATE TABLE models (name TEXT PRIMARY KEY, context INTEGER NOT NULL)",
    "CREATE TABLE usage (model TEXT NOT NULL, tokens INTEGER NOT NULL)",
)
_CONTEXT = 8192
_CONNECTIONS = 4

POOL = "ledger"
"""The label of its figures."""


class Ledger(Protocol):
    """A database with two tables, and the pool of connections to it."""

    pool: Any

    async def open(self) -> None:
        """Connects, and makes the tables."""

    async def close(self) -> None:
        """Lets go of all connections."""

    async def context(self, name: str) -> int | None:
        """The longest prompt of a model, in tokens; None where there is no such model."""

    async def write(self, model: str, tokens: int) -> None:
        """Notes what a prompt got."""

    def watch(self, stats: ServiceStats, registry: ferrometer.CollectorRegistry) -> None:
        """Has its queries and connections counted; before `open`."""


class SQLiteLedger:
    """A database in memory: nothing is left of it when the demo ends.

    With a registry, models are remembered in this process, and that is counted there.
    """

    def __init__(
        self, models: tuple[str, ...], remembering: ferrometer.CollectorRegistry | None = None
    ) -> None:
        self._models = models
        self._find = self._select
        if remembering is not None:
            cached = functools.lru_cache(maxsize=16)(self._select)
            self._find = ferrometer.track_cache("models", cached, registry=remembering)
        address = f"file:ferrometer-demo-{uuid4().hex}?mode=memory&cache=shared"
        self.pool: SQLitePool = SQLitePool(address, uri=True, size=_CONNECTIONS)

    async def open(self) -> None:
        """Makes the tables."""
        with self.pool.connection() as connection:
            connection.executescript(";".join(_TABLES))
            rows = [(name, _CONTEXT) for name in self._models]
            connection.executemany("INSERT INTO models VALUES (?, ?)", rows)

    async def close(self) -> None:
        """Gives the memory back."""
        self.pool.close()

    async def context(self, name: str) -> int | None:
        """The longest prompt of a model, in tokens; None where there is no such model."""
        return self._find(name)

    async def write(self, model: str, tokens: int) -> None:
        """Notes what a prompt got."""
        with self.pool.connection() as connection:
            connection.execute("INSERT INTO usage VALUES (?, ?)", (model, tokens))

    def watch(self, stats: ServiceStats, registry: ferrometer.CollectorRegistry) -> None:
        """Has its queries and connections counted."""
        instrument_sqlite(self.pool, name=POOL, database=stats.database, registry=registry)

    def _select(self, name: str) -> int | None:
        with self.pool.connection() as connection:
            found = connection.execute("SELECT context FROM models WHERE name = ?", (name,)).fetchone()
        return None if found is None else int(found[0])


class PostgresLedger:
    """A database of the demo's own PostgreSQL, asked over a pool of psycopg's."""

    def __init__(self, address: str, models: tuple[str, ...]) -> None:
        import psycopg_pool

        self._models = models
        self.pool: Any = psycopg_pool.AsyncConnectionPool(
            address, min_size=1, max_size=_CONNECTIONS, open=False, kwargs={"autocommit": True}
        )

    async def open(self) -> None:
        """Connects, and makes the tables."""
        await self.pool.open(wait=True)
        async with self.pool.connection() as connection:
            for table in _TABLES:
                await connection.execute(table)
            for name in self._models:
                await connection.execute("INSERT INTO models VALUES (%s, %s)", (name, _CONTEXT))
            await self._have_statements(connection)

    async def close(self) -> None:
        """Lets go of all connections."""
        await self.pool.close()

    async def context(self, name: str) -> int | None:
        """The longest prompt of a model, in tokens; None where there is no such model."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT context FROM models WHERE name = %s", (name,))
            found = await cursor.fetchone()
        return None if found is None else int(found[0])

    async def write(self, model: str, tokens: int) -> None:
        """Notes what a prompt got."""
        async with self.pool.connection() as connection:
            await connection.execute("INSERT INTO usage VALUES (%s, %s)", (model, tokens))

    def watch(self, stats: ServiceStats, registry: ferrometer.CollectorRegistry) -> None:
        """Has its queries and connections counted."""
        instrument_psycopg(self.pool, name=POOL, database=stats.database, registry=registry)

    async def _have_statements(self, connection: Any) -> None:
        import psycopg

        with suppress(psycopg.Error):  # where it is not installed, its figures are left out
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


class Writer:
    """Notes prompts one after the other, behind the answers' back."""

    def __init__(self, write: Callable[[str, int], Any], registry: ferrometer.CollectorRegistry) -> None:
        self._write = write
        self._notes: asyncio.Queue[tuple[str, int]] = ferrometer.track_queue(
            "usage", asyncio.Queue(), registry=registry
        )
        self._task: asyncio.Task[None] | None = None

    def note(self, model: str, tokens: int) -> None:
        """Has it written soon."""
        self._notes.put_nowait((model, tokens))

    async def settled(self) -> None:
        """Returns when all is written."""
        await self._notes.join()

    def start(self) -> None:
        """Begins to write, in this event loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self, seconds: float = 5.0) -> None:
        """Ends, when all is written or time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.settled(), seconds)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while True:
            model, tokens = await self._notes.get()
            try:
                await self._write(model, tokens)
            except Exception:  # it is counted as an error already; the next one may do
                pass
            finally:
                self._notes.task_done()
