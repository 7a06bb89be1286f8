"""What is asked of a PostgreSQL server, part by part, and the families that hold the answers.

Each part is one question. Views are asked for all their columns and those that are there are used,
or the columns that differ between versions are looked up first: PostgreSQL 10 and later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from ferrometer.collectors.postgres.session import Row, Session, unavailable
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Info


class Part(Protocol):
    """One question, and the families it fills."""

    name: str
    table: Table

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""


class Server:
    """Version, limit of connections, start, whether it is a standby."""

    name = "server"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        gauge = _gauges(registry, ["server"])
        self.table: Table = Table(
            server,
            [
                gauge("postgres_connections_max", "Connections the server allows"),
                gauge("postgres_start_time_seconds", "When the server started, in seconds since 1970"),
                gauge("postgres_in_recovery", "1 on a standby, 0 on a primary"),
                gauge(
                    "postgres_replay_delay_seconds",
                    "On a standby: age of the last transaction replayed, 0 while nothing waits for it",
                ),
                gauge(
                    "postgres_replay_last_message_age_seconds",
                    "On a standby: time since the primary last sent anything",
                ),
            ],
        )
        self.info: Info = Info("postgres", "The server's version", ["server"], registry=registry)
        self._server = server

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        (row,) = await session.rows(
            """
            SELECT current_setting('server_version') AS version,
                   current_setting('max_connections')::int AS max_connections,
                   extract(epoch FROM pg_postmaster_start_time()) AS started,
                   pg_is_in_recovery()::int AS standby,
                   CASE WHEN NOT pg_is_in_recovery() THEN NULL
                        WHEN EXISTS (SELECT FROM pg_stat_wal_receiver)
                             AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END
                        AS delay,
                   (SELECT greatest(0, extract(epoch FROM clock_timestamp() - last_msg_receipt_time))
                    FROM pg_stat_wal_receiver) AS message_age
            """,
            first=True,
        )
        self.info.labels(self._server).info({"version": str(row["version"])})
        self.table["postgres_connections_max"].set(row["max_connections"])
        self.table["postgres_start_time_seconds"].set(row["started"])
        self.table["postgres_in_recovery"].set(row["standby"])
        self.table["postgres_replay_delay_seconds"].set(row["delay"])
        self.table["postgres_replay_last_message_age_seconds"].set(row["message_age"])


class Activity:
    """pg_stat_activity: client connections by database and state, what they wait for, the longest."""

    name = "activity"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        gauge = _gauges(registry, ["server", "database"])
        self.table: Table = Table(
            server,
            [
                _gauges(registry, ["server", "database", "state"])(
                    "postgres_connections", "Client connections, by state"
                ),
                _gauges(registry, ["server", "wait"])(
                    "postgres_connections_waiting",
                    "Active client connections that wait, by what they wait for",
                ),
                gauge("postgres_longest_transaction_seconds", "Age of the oldest open transaction"),
                gauge("postgres_longest_query_seconds", "Age of the longest running query"),
            ],
        )

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        rows = await session.rows(
            """
            SELECT coalesce(datname, '') AS database, coalesce(state, 'unknown') AS state,
                   CASE WHEN state = 'active' THEN wait_event_type END AS wait, count(*) AS connections,
                   max(extract(epoch FROM clock_timestamp() - xact_start)) AS transaction,
                   max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state = 'active')
                       AS query
            FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2, 3
            """
        )
        for keys, count in _sums(rows, ("database", "state"), "connections"):
            self.table["postgres_connections"].set(count, *keys)
        waiting = [row for row in rows if row["wait"] is not None]
        for keys, count in _sums(waiting, ("wait",), "connections"):
            self.table["postgres_connections_waiting"].set(count, *keys)
        for what in ("transaction", "query"):
            longest = self.table[f"postgres_longest_{what}_seconds"]
            for database in {row["database"] for row in rows}:
                ages = [float(row[what] or 0) for row in rows if row["database"] == database]
                longest.set(max(0.0, *ages), database)


# Of pg_stat_database: column, family, further label value, factor to base units.
_DATABASE: tuple[tuple[str, str, str | None, float], ...] = (
    ("xact_commit", "postgres_transactions", "commit", 1),
    ("xact_rollback", "postgres_transactions", "rollback", 1),
    ("blks_hit", "postgres_blocks", "hit", 1),
    ("blks_read", "postgres_blocks", "read", 1),
    ("tup_returned", "postgres_rows", "returned", 1),
    ("tup_fetched", "postgres_rows", "fetched", 1),
    ("tup_inserted", "postgres_rows", "inserted", 1),
    ("tup_updated", "postgres_rows", "updated", 1),
    ("tup_deleted", "postgres_rows", "deleted", 1),
    ("conflicts", "postgres_conflicts", None, 1),
    ("deadlocks", "postgres_deadlocks", None, 1),
    ("temp_files", "postgres_temp_files", None, 1),
    ("temp_bytes", "postgres_temp_bytes", None, 1),
    ("blk_read_time", "postgres_block_seconds", "read", 0.001),
    ("blk_write_time", "postgres_block_seconds", "write", 0.001),
    ("checksum_failures", "postgres_checksum_failures", None, 1),  # 12
    ("session_time", "postgres_session_seconds", "all", 0.001),  # 14
    ("active_time", "postgres_session_seconds", "active", 0.001),
    ("idle_in_transaction_time", "postgres_session_seconds", "idle in transaction", 0.001),
    ("sessions", "postgres_sessions", "all", 1),
    ("sessions_abandoned", "postgres_sessions", "abandoned", 1),
    ("sessions_fatal", "postgres_sessions", "fatal", 1),
    ("sessions_killed", "postgres_sessions", "killed", 1),
)
_DATABASE_HELP: dict[str, tuple[str, list[str]]] = {
    "postgres_transactions": ("Transactions, by outcome", ["outcome"]),
    "postgres_blocks": ("Blocks found in the buffer cache (hit) or read", ["source"]),
    "postgres_rows": ("Rows, by what was done with them", ["kind"]),
    "postgres_conflicts": ("Queries cancelled by a conflict with recovery", []),
    "postgres_deadlocks": ("Deadlocks", []),
    "postgres_temp_files": ("Temporary files written by queries", []),
    "postgres_temp_bytes": ("Bytes written to temporary files", []),
    "postgres_block_seconds": ("Time spent on data files, where track_io_timing is on", ["direction"]),
    "postgres_checksum_failures": ("Data pages whose checksum was wrong", []),
    "postgres_session_seconds": ("Time spent by sessions, by state", ["state"]),
    "postgres_sessions": ("Sessions, by how they ended", ["kind"]),
}


class Databases:
    """pg_stat_database: what happened since the statistics were reset."""

    name = "databases"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        self.table: Table = Table(
            server,
            [
                Counter(name, words, ["server", "database", *further], registry=registry)
                for name, (words, further) in _DATABASE_HELP.items()
            ],
        )

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        for row in await session.rows("SELECT * FROM pg_stat_database"):
            database = row["datname"] or ""  # no name: objects shared by all databases
            for column, family, further, factor in _DATABASE:
                value = row.get(column)
                if value is not None:
                    labels = (database,) if further is None else (database, further)
                    self.table[family].set(float(value) * factor, *labels)


class Sizes:
    """pg_database_size, of databases one may connect to. It walks their files: asked more seldom."""

    name = "sizes"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        gauge = _gauges(registry, ["server", "database"])
        self.table: Table = Table(
            server, [gauge("postgres_database_size_bytes", "Size of the database on disk")]
        )

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        rows = await session.rows(
            """
            SELECT datname, pg_database_size(oid) AS size FROM pg_database
            WHERE datallowconn AND (has_database_privilege(oid, 'CONNECT'))
            """
        )
        for row in rows:
            self.table["postgres_database_size_bytes"].set(row["size"], row["datname"])


class Locks:
    """pg_locks: held and waited for."""

    name = "locks"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        gauge = _gauges(registry, ["server", "database", "mode", "granted"])
        self.table: Table = Table(server, [gauge("postgres_locks", "Locks held or waited for, by mode")])

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        rows = await session.rows(
            """
            SELECT coalesce(d.datname, '') AS database, l.mode, l.granted, count(*) AS locks
            FROM pg_locks l LEFT JOIN pg_database d ON d.oid = l.database
            WHERE l.pid <> pg_backend_pid() GROUP BY 1, 2, 3
            """
        )
        for row in rows:
            granted = "true" if row["granted"] else "false"
            self.table["postgres_locks"].set(row["locks"], row["database"], row["mode"], granted)


class Replication:
    """pg_stat_replication: standbys, and how far behind they are."""

    name = "replication"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        gauge = _gauges(registry, ["server", "standby"])
        self.table: Table = Table(
            server,
            [
                gauge("postgres_replication_lag_bytes", "Write-ahead log the standby has yet to replay"),
                gauge("postgres_replication_lag_seconds", "Time until the standby confirmed its replay"),
                _gauges(registry, ["server", "state"])(
                    "postgres_replication_standbys", "Standbys connected, by state"
                ),
            ],
        )

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        rows = await session.rows(
            """
            SELECT application_name AS standby, coalesce(state, 'unknown') AS state, count(*) AS standbys,
                   max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                            ELSE pg_current_wal_lsn() END, replay_lsn)) AS bytes,
                   max(extract(epoch FROM replay_lag)) AS seconds
            FROM pg_stat_replication GROUP BY 1, 2
            """
        )
        for keys, count in _sums(rows, ("state",), "standbys"):
            self.table["postgres_replication_standbys"].set(count, *keys)
        for row in rows:
            self.table["postgres_replication_lag_bytes"].set(row["bytes"], row["standby"])
            self.table["postgres_replication_lag_seconds"].set(row["seconds"], row["standby"])


class Slots:
    """pg_replication_slots: what a slot that nobody reads keeps from being recycled."""

    name = "slots"

    def __init__(self, server: str, registry: CollectorRegistry) -> None:
        gauge = _gauges(registry, ["server", "slot"])
        self.table: Table = Table(
            server,
            [
                gauge("postgres_replication_slot_retained_bytes", "Write-ahead log kept for the slot"),
                gauge("postgres_replication_slot_active", "Whether somebody reads from the slot"),
            ],
        )

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        rows = await session.rows(
            """
            SELECT slot_name::text AS slot, active::int AS active,
                   pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                        ELSE pg_current_wal_lsn() END, restart_lsn) AS bytes
            FROM pg_replication_slots
            """
        )
        for row in rows:
            self.table["postgres_replication_slot_retained_bytes"].set(row["bytes"], row["slot"])
            self.table["postgres_replication_slot_active"].set(row["active"], row["slot"])


class Statements:
    """pg_stat_statements: the statements that took most time, by queryid. Their text stays on the server."""

    name = "statements"

    def __init__(self, server: str, registry: CollectorRegistry, top: int) -> None:
        labels = ["server", "database", "queryid"]
        self.table: Table = Table(
            server,
            [
                Counter("postgres_statement_calls", "Executions", labels, registry=registry),
                Counter("postgres_statement_seconds", "Time spent executing", labels, registry=registry),
                Counter("postgres_statement_rows", "Rows returned or changed", labels, registry=registry),
            ],
        )
        self._top = int(top)

    async def read(self, session: Session) -> None:
        """Ask, and set the series."""
        found = await session.rows(
            """
            SELECT quote_ident(n.nspname) AS schema, v.viewdef AS columns FROM pg_extension e
            JOIN pg_namespace n ON n.oid = e.extnamespace
            CROSS JOIN LATERAL (
                SELECT string_agg(attname, ' ') AS viewdef FROM pg_attribute
                WHERE attrelid = to_regclass(quote_ident(n.nspname) || '.pg_stat_statements')
            ) v WHERE e.extname = 'pg_stat_statements'
            """
        )
        if not found:
            raise unavailable("the extension pg_stat_statements is not installed in this database")
        # 1.8 (PostgreSQL 13) calls it total_exec_time; before, it was total_time.
        columns = (found[0]["columns"] or "").split()
        time = "total_exec_time" if "total_exec_time" in columns else "total_time"
        # The function with `false` leaves the texts in their file; the view would read them all.
        rows = await session.rows(
            f"""
            SELECT coalesce(d.datname, '') AS database, s.queryid::text AS queryid, sum(s.calls) AS calls,
                   sum(s.{time}) / 1000 AS seconds, sum(s.rows) AS rows
            FROM {found[0]["schema"]}.pg_stat_statements(false) s LEFT JOIN pg_database d ON d.oid = s.dbid
            WHERE s.queryid IS NOT NULL GROUP BY 1, 2 ORDER BY 4 DESC LIMIT {self._top}
            """
        )
        for row in rows:
            for what in ("calls", "seconds", "rows"):
                self.table[f"postgres_statement_{what}"].set(row[what], row["database"], row["queryid"])


def _gauges(registry: CollectorRegistry, labels: list[str]) -> Any:
    def gauge(name: str, words: str) -> Gauge:
        return Gauge(name, words, labels, registry=registry, multiprocess_mode="livemostrecent")

    return gauge


def _sums(rows: Iterable[Row], keys: tuple[str, ...], what: str) -> Iterable[tuple[tuple[str, ...], float]]:
    sums: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = tuple(str(row[name]) for name in keys)
        sums[key] = sums.get(key, 0) + row[what]
    return sums.items()
