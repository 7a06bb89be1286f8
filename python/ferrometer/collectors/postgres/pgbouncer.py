"""The collector that watches a PgBouncer by its own console: pools, limits, totals."""

from __future__ import annotations

from typing import Any

from ferrometer.background.collector import Collector, Scope
from ferrometer.background.partial import Parts
from ferrometer.collectors.postgres.session import LOST, Connect, Row, Session, dsn_connect
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

# Column of SHOW POOLS, family, label value.
_POOLS = (
    ("cl_active", "pgbouncer_client_connections", "active"),
    ("cl_waiting", "pgbouncer_client_connections", "waiting"),
    ("cl_cancel_req", "pgbouncer_client_connections", "cancelling"),  # before 1.18
    ("cl_active_cancel_req", "pgbouncer_client_connections", "cancelling"),
    ("cl_waiting_cancel_req", "pgbouncer_client_connections", "waiting to cancel"),
    ("sv_active", "pgbouncer_server_connections", "active"),
    ("sv_idle", "pgbouncer_server_connections", "idle"),
    ("sv_used", "pgbouncer_server_connections", "used"),
    ("sv_tested", "pgbouncer_server_connections", "tested"),
    ("sv_login", "pgbouncer_server_connections", "login"),
    ("sv_active_cancel", "pgbouncer_server_connections", "cancelling"),
    ("sv_being_canceled", "pgbouncer_server_connections", "being cancelled"),
)
# Column of SHOW STATS, family, label value, factor to base units.
_STATS = (
    ("total_xact_count", "pgbouncer_transactions", None, 1.0),
    ("total_query_count", "pgbouncer_queries", None, 1.0),
    ("total_received", "pgbouncer_network_bytes", "received", 1.0),
    ("total_sent", "pgbouncer_network_bytes", "sent", 1.0),
    ("total_xact_time", "pgbouncer_transaction_seconds", None, 1e-6),
    ("total_query_time", "pgbouncer_query_seconds", None, 1e-6),
    ("total_wait_time", "pgbouncer_wait_seconds", None, 1e-6),
)
_STATS_HELP = {
    "pgbouncer_transactions": "Transactions pooled",
    "pgbouncer_queries": "Queries pooled",
    "pgbouncer_network_bytes": "Bytes of client traffic, by direction",
    "pgbouncer_transaction_seconds": "Time spent in transactions, idle ones too",
    "pgbouncer_query_seconds": "Time spent on queries by the servers",
    "pgbouncer_wait_seconds": "Time clients waited for a server connection",
}


class PgBouncerCollector(Collector):
    """Client and server connections of every pool, who waits and for how long, limits and totals.

    ``dsn``: a libpq connection string to the database ``pgbouncer`` (the console), as a user of
    ``stats_users`` or ``admin_users``. ``connect`` instead: a function that returns (a coroutine of) a
    psycopg ``AsyncConnection`` in autocommit mode. The console knows no extended queries, so asyncpg
    cannot serve. ``name``: label ``server``, and ``collector`` of the self-metrics.

    Raises ValueError unless exactly one of ``dsn`` and ``connect`` is given, ImportError without psycopg.
    """

    scope: Scope = "machine"

    def __init__(
        self,
        dsn: str | None = None,
        *,
        connect: Connect | None = None,
        name: str = "pgbouncer",
        interval: float = 10.0,
        timeout: float = 5.0,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if (dsn is None) == (connect is None):
            raise ValueError("give either dsn or connect")
        self.name = name
        self.interval = interval
        self.timeout = timeout
        self._session = Session(connect or dsn_connect(dsn or "", timeout, asyncpg_too=False))

        def gauge(family: str, words: str, *further: str) -> Gauge:
            return Gauge(
                family,
                words,
                ["server", "database", *further],
                registry=registry,
                multiprocess_mode="livemostrecent",
            )

        self._pools = Table(
            name,
            [
                gauge("pgbouncer_client_connections", "Client connections, by state", "user", "state"),
                gauge("pgbouncer_server_connections", "Server connections, by state", "user", "state"),
                gauge("pgbouncer_longest_wait_seconds", "How long the first client waits already", "user"),
            ],
        )
        self._databases = Table(
            name,
            [
                gauge("pgbouncer_pool_size", "Server connections a pool may have"),
                gauge("pgbouncer_connections", "Server connections of the database"),
                gauge(
                    "pgbouncer_connections_max", "Server connections the database may have; absent: no limit"
                ),
                gauge("pgbouncer_paused", "Whether the database is paused"),
            ],
        )
        self._stats = Table(
            name,
            [
                Counter(
                    family,
                    words,
                    ["server", "database", *(["direction"] if family == "pgbouncer_network_bytes" else [])],
                    registry=registry,
                )
                for family, words in _STATS_HELP.items()
            ],
        )
        self._limits = Table(
            name,
            [
                Gauge(
                    "pgbouncer_clients_max",
                    "Client connections allowed in all",
                    ["server"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                )
            ],
        )
        self._parts = Parts(name, registry, fatal=lambda error: error.reason in LOST)

    def __repr__(self) -> str:
        return f"PgBouncerCollector(name={self.name!r})"  # never the connection string

    async def collect(self) -> None:
        """Ask the console. Raises CollectError when there is no connection."""
        for row in await self._session.rows("SHOW POOLS", first=True):
            self._pool(row)
        self._pools.sweep()
        with self._part("stats", self._stats):
            for row in await self._session.rows("SHOW STATS"):
                for column, family, further, factor in _STATS:
                    if column in row:
                        labels = (row["database"], further) if further else (row["database"],)
                        self._stats[family].set(float(row[column]) * factor, *labels)
            self._stats.sweep()
        with self._part("databases", self._databases):
            for row in await self._session.rows("SHOW DATABASES"):
                self._database(row)
            self._databases.sweep()
        with self._part("limits", self._limits):
            for row in await self._session.rows("SHOW CONFIG"):
                if row["key"] == "max_client_conn":
                    self._limits["pgbouncer_clients_max"].set(row["value"])
            self._limits.sweep()

    def clear(self) -> None:
        """Drop all values: nothing is known of the server any more."""
        for table in (self._pools, self._databases, self._stats, self._limits):
            table.clear()
        self._parts.clear()

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    def _part(self, name: str, table: Table) -> Any:
        return self._parts(name, table.clear)

    def _pool(self, row: Row) -> None:
        where = (row["database"], row["user"])
        for column, family, state in _POOLS:
            if column in row:
                self._pools[family].set(row[column], *where, state)
        waited = float(row.get("maxwait", 0)) + float(row.get("maxwait_us", 0)) / 1e6
        self._pools["pgbouncer_longest_wait_seconds"].set(waited, *where)

    def _database(self, row: Row) -> None:
        name = row["name"]
        self._databases["pgbouncer_pool_size"].set(row.get("pool_size"), name)
        self._databases["pgbouncer_connections"].set(row.get("current_connections"), name)
        # 0 stands for no limit.
        self._databases["pgbouncer_connections_max"].set(row.get("max_connections") or None, name)
        self._databases["pgbouncer_paused"].set(row.get("paused"), name)


__all__ = ["PgBouncerCollector"]
