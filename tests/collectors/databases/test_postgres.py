"""The PostgreSQL collector against real servers of two generations."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from ferrometer import generate_latest
from ferrometer.collectors.postgres import PostgresCollector
from ferrometer.testing import PedanticRegistry, collect, collect_async, examine, samples, value
from tests.collectors.support import until
from tests.real.postgres import PASSWORD, Postgres, postgres


@contextmanager
def flying(collector: PostgresCollector) -> Iterator[PostgresCollector]:
    """Closes it at the end, as the scheduler would."""
    try:
        yield collector
    finally:
        asyncio.run(collector.close())


def test_it_passes_the_examination(database: Postgres, registry: PedanticRegistry) -> None:
    collector = examine(lambda: PostgresCollector(database.dsn(), registry=registry), registry)
    with flying(collector):
        assert value(registry, "postgres_connections_max", server="postgres") == 20
        assert value(registry, "postgres_in_recovery", server="postgres") == 0
        (version,) = [dict(labels) for name, labels in samples(registry) if name == "postgres_info"]
        assert version["version"].startswith("1")
        parts = {
            dict(labels)["part"]: runs_done
            for (name, labels), runs_done in samples(registry).items()
            if name == "ferrometer_collector_part_success"
        }
        assert parts == dict.fromkeys(
            ("activity", "databases", "locks", "replication", "slots", "statements", "sizes"), 1
        )


def test_connections_and_locks_are_those_of_the_server(
    own_database: Postgres, registry: PedanticRegistry
) -> None:
    own_database.sql("CREATE TABLE things (id int)")
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(own_database.dsn())) for _ in range(3)]
        connections[0].execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")  # idle in transaction
        waiter = threading.Thread(target=lambda: connections[1].execute("SELECT * FROM things"))
        waiter.start()
        stack.callback(waiter.join)
        stack.callback(connections[0].rollback)
        until(lambda: bool(own_database.sql("SELECT 1 FROM pg_locks WHERE NOT granted")))
        with flying(PostgresCollector(own_database.dsn(), registry=registry)) as collector:
            collect(collector)
        where = {"server": "postgres", "database": "postgres"}
        assert value(registry, "postgres_connections", **where, state="idle in transaction") == 1
        assert value(registry, "postgres_connections", **where, state="active") == 2  # the waiter, and we
        assert value(registry, "postgres_connections", **where, state="idle") == 1
        assert value(registry, "postgres_connections_waiting", server="postgres", wait="Lock") == 1
        assert value(registry, "postgres_locks", **where, mode="AccessExclusiveLock", granted="true") == 1
        assert value(registry, "postgres_locks", **where, mode="AccessShareLock", granted="false") == 1
        assert 0 < value(registry, "postgres_longest_transaction_seconds", **where) < 60


def test_totals_are_the_server_s_and_series_go_with_their_database(
    database: Postgres, registry: PedanticRegistry
) -> None:
    database.sql("CREATE DATABASE passing")
    where = {"server": "postgres", "database": "passing"}
    with flying(PostgresCollector(database.dsn(), sizes_every=0, registry=registry)) as collector:
        collect(collector)
        assert value(registry, "postgres_database_size_bytes", **where) > 1_000_000
        before = value(registry, "postgres_rows_total", **where, kind="inserted")
        database.sql("CREATE TABLE t AS SELECT generate_series(1, 500)", dbname="passing")
        # A session hands its counts in at its end at the latest.
        until(lambda: _inserted(database) >= 500)
        collect(collector)
        assert value(registry, "postgres_rows_total", **where, kind="inserted") - before >= 500
        database.sql("DROP DATABASE passing")
        collect(collector)
    assert not [labels for _, labels in samples(registry) if ("database", "passing") in labels]


def _inserted(database: Postgres) -> int:
    ((count,),) = database.sql("SELECT tup_inserted FROM pg_stat_database WHERE datname = 'passing'")
    return int(count)


def test_statements_are_bounded_and_have_no_text(database: Postgres, registry: PedanticRegistry) -> None:
    database.sql("SELECT pg_stat_statements_reset()")
    for number in range(12):
        columns = ", ".join(["1"] * (number + 1))  # twelve statements of different shape
        database.sql(f"SELECT 'a secret literal', {columns}")
    database.sql("SELECT pg_sleep(0.05)")
    with flying(PostgresCollector(database.dsn(), statements=5, registry=registry)) as collector:
        collect(collector)
        collect(collector)
    seconds = {
        dict(labels)["queryid"]: v
        for (name, labels), v in samples(registry).items()
        if name == "postgres_statement_seconds_total"
    }
    assert len(seconds) == 5
    assert max(seconds.values()) >= 0.05
    text = generate_latest(registry).decode()
    assert "secret" not in text
    assert "SELECT" not in text


def test_a_standby_and_a_slot(blank: Path, registry: PedanticRegistry) -> None:
    with postgres(copy_of=blank) as primary, postgres(copy_of=blank) as standby:
        primary.start()
        primary.sql("SELECT pg_create_physical_replication_slot('forgotten', true)")
        (standby.data / "standby.signal").touch()
        (standby.data / "postgresql.auto.conf").write_text(
            f"primary_conninfo = '{primary.dsn()} application_name=second'\n"
        )
        standby.start()
        until(lambda: bool(primary.sql("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")))
        with (
            flying(PostgresCollector(primary.dsn(), name="first", registry=registry)) as ours,
            flying(PostgresCollector(standby.dsn(), name="second", registry=registry)) as theirs,
        ):
            collect(ours)
            collect(theirs)
            assert value(registry, "postgres_replay_last_message_age_seconds", server="second") < 60
            primary.sql("CREATE TABLE told (n int)")

            def replayed() -> bool:
                return bool(standby.sql("SELECT 1 FROM pg_class WHERE relname = 'told'"))

            until(replayed)
            time.sleep(1.5)  # nothing is written meanwhile, which is no delay
            collect(theirs)
            assert value(registry, "postgres_replay_delay_seconds", server="second") == 0
            standby.sql("SELECT pg_wal_replay_pause()")
            primary.sql("INSERT INTO told VALUES (1)")

            def delayed() -> bool:
                collect(theirs)
                return value(registry, "postgres_replay_delay_seconds", server="second") > 1

            until(delayed)
            standby.sql("SELECT pg_wal_replay_resume()")
            until(lambda: not delayed())
            assert value(registry, "postgres_replay_delay_seconds", server="second") == 0
            primary.stop()
            until(lambda: not standby.sql("SELECT 1 FROM pg_stat_wal_receiver"))
            until(delayed)  # whether anything is missing cannot be known: the age of what there is
            names = {name for name, labels in samples(registry) if ("server", "second") in labels}
            assert "postgres_replay_last_message_age_seconds" not in names
    assert value(registry, "postgres_replication_standbys", server="first", state="streaming") == 1
    assert value(registry, "postgres_replication_lag_bytes", server="first", standby="second") >= 0
    slot = {"server": "first", "slot": "forgotten"}
    assert value(registry, "postgres_replication_slot_active", **slot) == 0
    assert value(registry, "postgres_replication_slot_retained_bytes", **slot) >= 0
    assert value(registry, "postgres_in_recovery", server="first") == 0
    assert value(registry, "postgres_in_recovery", server="second") == 1


def test_an_older_server_lacks_columns_and_serves_the_rest(
    old_database: Postgres, registry: PedanticRegistry
) -> None:
    collector = examine(
        lambda: PostgresCollector(old_database.dsn(), name="old", registry=registry), registry
    )
    with flying(collector):
        found = samples(registry)
        names = {name for name, _ in found}
        assert "postgres_transactions_total" in names
        assert "postgres_statement_seconds_total" in names  # its column has another name there
        assert "postgres_session_seconds_total" not in names  # PostgreSQL 14
        assert {v for (name, _), v in found.items() if name == "ferrometer_collector_part_success"} == {1}


def test_an_extension_that_is_missing_is_no_error(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ferrometer.collectors")
    with flying(PostgresCollector(own_database.dsn(), registry=registry)) as collector:
        collect(collector)
        collect(collector)
        assert [r.message for r in caplog.records] == [
            "collector 'postgres' goes without statements: "
            "the extension pg_stat_statements is not installed in this database"
        ]
        part = {"collector": "postgres", "part": "statements"}
        assert value(registry, "ferrometer_collector_part_success", **part) == 0
        assert "ferrometer_collector_errors_total" not in {name for name, _ in samples(registry)}
        # In another schema than those that are searched, it is found all the same.
        own_database.sql("CREATE SCHEMA extras; CREATE EXTENSION pg_stat_statements SCHEMA extras")
        collect(collector)
        assert value(registry, "ferrometer_collector_part_success", **part) == 1
        assert caplog.records[-1].message == "collector 'postgres' has statements again"


def test_a_view_without_permission_is_counted_and_the_rest_is_served(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    own_database.sql(f"CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}'")
    own_database.sql("REVOKE SELECT ON pg_locks, pg_stat_database FROM PUBLIC")
    dsn = own_database.dsn("watcher")
    with flying(PostgresCollector(dsn, statements=0, registry=registry)) as collector:
        for _ in range(3):
            collect(collector)
        errors = {"collector": "postgres", "reason": "permission_denied"}
        assert value(registry, "ferrometer_collector_errors_total", **errors) == 6
        assert value(registry, "ferrometer_collector_part_success", collector="postgres", part="locks") == 0
        assert (
            value(registry, "ferrometer_collector_part_success", collector="postgres", part="activity") == 1
        )
        assert sorted(r.message for r in caplog.records) == [
            "collector 'postgres' goes without databases: permission denied",
            "collector 'postgres' goes without locks: permission denied",
        ]
        assert not any(
            name in ("postgres_locks", "postgres_transactions_total") for name, _ in samples(registry)
        )
        own_database.sql("GRANT SELECT ON pg_locks, pg_stat_database TO watcher")
        caplog.set_level("INFO", "ferrometer.collectors")
        collect(collector)
        assert value(registry, "ferrometer_collector_errors_total", **errors) == 6
        assert [r.message for r in caplog.records[-2:]] == [
            "collector 'postgres' has databases again",
            "collector 'postgres' has locks again",
        ]
        assert any(name == "postgres_transactions_total" for name, _ in samples(registry))


def test_a_connection_of_asyncpg_serves_as_well(database: Postgres, registry: PedanticRegistry) -> None:
    import asyncpg

    async def both() -> None:
        collector = PostgresCollector(connect=lambda: asyncpg.connect(database.url()), registry=registry)
        await collect_async(collector)
        await collect_async(collector)
        await collector.close()

    asyncio.run(both())
    assert value(registry, "postgres_connections_max", server="postgres") == 20
    assert {
        v for (name, _), v in samples(registry).items() if name == "ferrometer_collector_part_success"
    } == {1}


def test_what_it_takes(database: Postgres) -> None:
    with pytest.raises(ValueError, match="either dsn or connect"):
        PostgresCollector()
    with pytest.raises(ValueError, match="from 0 to 1000"):
        PostgresCollector(database.dsn(), statements=-1)
    assert PASSWORD not in repr(PostgresCollector(database.dsn(), registry=PedanticRegistry()))
