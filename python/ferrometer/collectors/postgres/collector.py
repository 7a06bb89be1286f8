"""The collector that watches a PostgreSQL server from inside: its statistics views."""

from __future__ import annotations

import time

from ferrometer.background.collector import CollectError, Collector, Scope
from ferrometer.background.partial import Parts
from ferrometer.collectors.postgres import queries
from ferrometer.collectors.postgres.session import LOST, Connect, Session, dsn_connect
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry


class PostgresCollector(Collector):
    """Connections, transactions, sizes, locks, replication and the costliest statements of a server.

    ``dsn``: a libpq connection string, for psycopg or asyncpg, whichever is installed. ``connect``
    instead: a function without arguments that returns (a coroutine of) an asyncio connection of
    either. One connection is held, in the database that it names; a member of the role ``pg_monitor``
    sees all. ``name``: label ``server``, and ``collector`` of the self-metrics.

    ``statements``: how many statements are shown, 0 for none; ``sizes_every``: seconds between
    readings of database sizes, for which the server walks its files. A part that cannot be read (no
    permission, no such view) is counted and left out; the others are served.

    Raises ValueError unless exactly one of ``dsn`` and ``connect`` is given, ImportError without a driver.
    """

    scope: Scope = "machine"

    def __init__(
        self,
        dsn: str | None = None,
        *,
        connect: Connect | None = None,
        name: str = "postgres",
        statements: int = 20,
        sizes_every: float = 60.0,
        interval: float = 10.0,
        timeout: float = 5.0,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if (dsn is None) == (connect is None):
            raise ValueError("give either dsn or connect")
        if isinstance(statements, bool) or not isinstance(statements, int) or not 0 <= statements <= 1000:
            raise ValueError(f"statements must be a whole number from 0 to 1000, not {statements!r}")
        self.name = name
        self.interval = interval
        self.timeout = timeout
        self._session = Session(connect or dsn_connect(dsn or "", timeout))
        self._sizes = queries.Sizes(name, registry)
        self._sizes_every = sizes_every
        self._sizes_due = 0.0
        self._server = queries.Server(name, registry)
        self._others: list[queries.Part] = [
            queries.Activity(name, registry),
            queries.Databases(name, registry),
            queries.Locks(name, registry),
            queries.Replication(name, registry),
            queries.Slots(name, registry),
        ]
        if statements:
            self._others.append(queries.Statements(name, registry, statements))
        self._parts = Parts(name, registry, fatal=_fatal)

    def __repr__(self) -> str:
        return f"PostgresCollector(name={self.name!r})"  # never the connection string

    async def collect(self) -> None:
        """Ask for every part. Raises CollectError when there is no connection."""
        # The first question finds out about the connection. It is no part: without it there is nothing.
        await self._server.read(self._session)
        self._server.table.sweep()
        for part in self._others:
            await self._read(part)
        if time.monotonic() >= self._sizes_due:
            await self._read(self._sizes)
            self._sizes_due = time.monotonic() + self._sizes_every

    def clear(self) -> None:
        """Drop all values: nothing is known of the server any more."""
        self._server.table.clear()
        self._sizes.table.clear()
        for part in self._others:
            part.table.clear()
        self._server.info.remove(self.name)
        self._parts.clear()
        self._sizes_due = 0.0

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def _read(self, part: queries.Part) -> None:
        with self._parts(part.name, part.table.clear):
            await part.read(self._session)
            part.table.sweep()


def _fatal(error: CollectError) -> bool:
    return error.reason in LOST


__all__ = ["PostgresCollector"]
