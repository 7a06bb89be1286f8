"""The PgBouncer collector against a real PgBouncer in front of a real PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import ExitStack

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ferrometer import generate_latest
from ferrometer.background.collector import CollectError
from ferrometer.collectors import CollectorScheduler
from ferrometer.collectors.postgres import PgBouncerCollector, PostgresCollector
from ferrometer.testing import PedanticRegistry, collect, examine, samples, value
from tests.collectors.support import until
from tests.real.pgbouncer import PgBouncer
from tests.real.postgres import PASSWORD


def console(bouncer: PgBouncer, **options: str) -> str:
    return bouncer.dsn("watcher", dbname="pgbouncer", **options)


def test_pools_and_limits(bouncer: PgBouncer, registry: PedanticRegistry) -> None:
    where = {"server": "pgbouncer", "database": "app", "user": "postgres"}
    with ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(bouncer.dsn(), autocommit=False)) for _ in range(4)]
        for client in clients[:2]:
            client.execute("SELECT 1")  # both server connections of the pool are taken
        waiter = threading.Thread(target=lambda: clients[2].execute("SELECT 1"))
        waiter.start()
        stack.callback(waiter.join)
        stack.callback(clients[0].rollback)
        with psycopg.connect(console(bouncer), autocommit=True) as asked:
            until(
                lambda: any(row[3] == 1 for row in asked.execute("SHOW POOLS").fetchall() if row[0] == "app")
            )
        collector = examine(lambda: PgBouncerCollector(console(bouncer), registry=registry), registry)
        asyncio.run(collector.close())
        assert value(registry, "pgbouncer_client_connections", **where, state="waiting") == 1
        # A client is active while it is linked to a server, and when it is idle.
        assert value(registry, "pgbouncer_client_connections", **where, state="active") == 3
        assert value(registry, "pgbouncer_server_connections", **where, state="active") == 2
        assert value(registry, "pgbouncer_longest_wait_seconds", **where) >= 0
        assert value(registry, "pgbouncer_pool_size", server="pgbouncer", database="app") == 2
        assert value(registry, "pgbouncer_connections", server="pgbouncer", database="app") == 2
        assert value(registry, "pgbouncer_clients_max", server="pgbouncer") == 100


def test_totals(bouncer: PgBouncer, registry: PedanticRegistry) -> None:
    collector = PgBouncerCollector(console(bouncer), registry=registry)
    where = {"server": "pgbouncer", "database": "app"}
    with psycopg.connect(bouncer.dsn(), autocommit=True) as client:
        for _ in range(10):
            client.execute("SELECT pg_sleep(0.001)")
    seconds = {}

    def counted() -> bool:
        collect(collector)
        seconds.update(samples(registry))
        return value(registry, "pgbouncer_queries_total", **where) >= 10

    until(counted)  # PgBouncer adds up its statistics now and then
    asyncio.run(collector.close())
    assert value(registry, "pgbouncer_query_seconds_total", **where) >= 0.01
    assert value(registry, "pgbouncer_network_bytes_total", **where, direction="received") > 100


def test_the_databases_behind_it_can_be_watched_through_it(
    bouncer: PgBouncer, registry: PedanticRegistry
) -> None:
    collector = PostgresCollector(bouncer.dsn(), registry=registry)
    for _ in range(7):  # psycopg prepares a statement that comes often, which a pool of transactions forbids
        collect(collector)
    asyncio.run(collector.close())
    assert value(registry, "postgres_connections_max", server="postgres") == 20


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_startup_parameter_that_it_refuses_is_named(
    driver: str, bouncer: PgBouncer, registry: PedanticRegistry
) -> None:
    def connect() -> object:
        return asyncpg.connect(
            host="127.0.0.1",
            port=bouncer.port,
            user="postgres",
            password=PASSWORD,
            database="app",
            ssl="disable",
            server_settings={"wal_sender_timeout": "4711"},
        )

    option = make_conninfo(console(bouncer), options="-c wal_sender_timeout=4711")
    collector: PgBouncerCollector | PostgresCollector
    if driver == "psycopg":
        collector = PgBouncerCollector(option, registry=registry)
    else:
        collector = PostgresCollector(connect=connect, registry=registry)
    with pytest.raises(CollectError) as raised:
        asyncio.run(collector.collect())
    assert raised.value.reason == "startup_parameter"
    assert "ignore_startup_parameters" in str(raised.value)
    assert ("'wal_sender_timeout'" in str(raised.value)) or ("'options'" in str(raised.value))
    assert "4711" not in str(raised.value)


def test_faults(bouncer: PgBouncer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ferrometer")
    wrong = PgBouncerCollector(
        console(bouncer, password="wrong"), name="wrong", interval=0.1, registry=registry
    )
    right = PgBouncerCollector(console(bouncer), name="right", interval=0.1, timeout=0.5, registry=registry)

    def success(name: str) -> float | None:
        return samples(registry).get(("ferrometer_collector_success", (("collector", name),)))

    with CollectorScheduler([wrong, right], registry=registry):
        until(lambda: success("wrong") == 0 and success("right") == 1)
        bouncer.freeze()
        until(lambda: success("right") == 0)
        bouncer.thaw()
        until(lambda: success("right") == 1)
    assert sorted(record.message for record in caplog.records) == [
        "collector 'right' failing: TimeoutError: no answer within 0.5 s",
        "collector 'right' recovered",
        "collector 'wrong' failing: the server does not accept the user or password",
    ]
    assert PASSWORD not in caplog.text + generate_latest(registry).decode() + repr(right)
