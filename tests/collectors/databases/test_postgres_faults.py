"""A PostgreSQL that refuses, hangs, dies or comes back under the scheduler: what is said, and recovery."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from ferrometer import generate_latest
from ferrometer.collectors import CollectorScheduler
from ferrometer.collectors.postgres import PostgresCollector
from ferrometer.testing import PedanticRegistry, samples
from tests.collectors.support import own_threads, until
from tests.real.postgres import PASSWORD, Postgres


@contextmanager
def watching(
    dsn: str, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture, *, timeout: float = 1.0
) -> Iterator[None]:
    """The collector under a scheduler; nothing that is logged or shown may hold the password."""
    caplog.set_level(logging.INFO, "ferrometer")
    collector = PostgresCollector(dsn, interval=0.1, timeout=timeout, registry=registry)
    with CollectorScheduler([collector], registry=registry):
        yield
    assert own_threads() == []
    assert PASSWORD not in caplog.text
    assert PASSWORD not in generate_latest(registry).decode()


def success(registry: PedanticRegistry) -> float | None:
    return samples(registry).get(("ferrometer_collector_success", (("collector", "postgres"),)))


def reasons(registry: PedanticRegistry) -> set[str]:
    return {
        dict(labels)["reason"]
        for name, labels in samples(registry)
        if name == "ferrometer_collector_errors_total"
    }


def shows_values(registry: PedanticRegistry) -> bool:
    return any(name.startswith("postgres_") for name, _ in samples(registry))


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the scheduler said, but for the extension that this cluster lacks."""
    return [r.message for r in caplog.records if "pg_stat_statements" not in r.message]


def test_refused_then_started_then_restarted(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    own_database.stop()
    with watching(own_database.dsn(), registry, caplog):
        until(lambda: success(registry) == 0)
        assert reasons(registry) == {"refused"}
        own_database.start()
        until(lambda: success(registry) == 1)
        assert shows_values(registry)
        own_database.stop()
        until(lambda: success(registry) == 0)
        assert not shows_values(registry)
        own_database.start()
        until(lambda: success(registry) == 1)
    said = messages(caplog)
    # On its ways up and down it may say several things, each once: that it is starting, or shutting down.
    assert said[0] == "collector 'postgres' failing: connection refused"
    assert said.count("collector 'postgres' recovered") == 2
    down, up = said.index("collector 'postgres' recovered"), len(said) - 1
    for spell in (said[:down], said[down + 1 : up]):
        assert len(spell) == len(set(spell)) <= 4
        assert set(spell) <= {
            f"collector 'postgres' failing: {words}"
            for words in (
                "connection refused",
                "the server is starting up",
                "the server is shutting down",
                "the connection broke",
            )
        }


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (
            {"password": "another-" + PASSWORD[:5]},
            "authentication",
            "the server does not accept the user or password",
        ),
        ({"user": "nobody"}, "authentication", "the server does not accept the user or password"),
        ({"dbname": "nowhere"}, "no_database", "there is no such database"),
    ],
)
def test_a_wrong_name_or_password(
    database: Postgres,
    registry: PedanticRegistry,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, str],
    reason: str,
    words: str,
) -> None:
    with watching(database.dsn(**change), registry, caplog):
        until(lambda: success(registry) == 0)
        until(lambda: _errors(registry) >= 2)
    assert reasons(registry) == {reason}
    assert messages(caplog) == [f"collector 'postgres' failing: {words}"]
    assert change.get("password", PASSWORD) not in caplog.text
    assert not shows_values(registry)


def _errors(registry: PedanticRegistry) -> float:
    return sum(v for (name, _), v in samples(registry).items() if name == "ferrometer_collector_errors_total")


def test_a_connection_string_that_is_none(
    registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(f"postgresql//postgres:{PASSWORD}@nowhere", registry, caplog):
        until(lambda: success(registry) == 0)
    assert messages(caplog) == ["collector 'postgres' failing: no connection"]


def test_too_many_connections(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    own_database.sql(f"CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}'")
    with ExitStack() as stack:
        for _ in range(17):  # of twenty, three are the superuser's
            stack.enter_context(psycopg.connect(own_database.dsn("watcher")))
        with watching(own_database.dsn("watcher"), registry, caplog):
            until(lambda: success(registry) == 0)
            assert reasons(registry) == {"too_many_connections"}
            stack.close()
            until(lambda: success(registry) == 1)
    assert messages(caplog) == [
        "collector 'postgres' failing: the server has no connection free",
        "collector 'postgres' recovered",
    ]


def test_frozen_and_thawed(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(own_database.dsn(), registry, caplog, timeout=0.5):
        until(lambda: success(registry) == 1)
        own_database.freeze()
        until(lambda: success(registry) == 0)
        assert reasons(registry) == {"timeout"}
        assert not shows_values(registry)
        until(lambda: _errors(registry) >= 3)
        assert reasons(registry) == {"timeout"}  # each run ends: none is left hanging on the server
        own_database.thaw()
        until(lambda: success(registry) == 1)
        assert shows_values(registry)
        own_database.freeze()  # and a stop does not wait for it either, which `watching` checks
    own_database.thaw()
    assert messages(caplog)[1:2] == ["collector 'postgres' recovered"]
    assert len([m for m in messages(caplog) if "failing" in m]) <= 2


def test_killed_in_mid_query(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    # A view in the server's place that takes its time, so that there is a query to be killed in.
    slow = "SELECT l.* FROM pg_catalog.pg_locks l, pg_sleep(0.3)"
    own_database.sql(f"CREATE SCHEMA slow; CREATE VIEW slow.pg_locks AS {slow}")
    own_database.sql("ALTER ROLE postgres SET search_path = slow, pg_catalog")
    with watching(own_database.dsn(), registry, caplog, timeout=5):
        until(lambda: success(registry) == 1)
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'ferrometer' AND wait_event = 'PgSleep'"
        )
        until(lambda: bool(own_database.sql(kill)))
        until(lambda: bool(reasons(registry)))
        assert reasons(registry) == {"shutdown"}
        until(lambda: success(registry) == 1)
    assert messages(caplog) == [
        "collector 'postgres' failing: the server is shutting down",
        "collector 'postgres' recovered",
    ]


def test_a_connection_closed_between_runs_is_no_failure(
    own_database: Postgres, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(own_database.dsn(), registry, caplog):
        until(lambda: success(registry) == 1)
        idle = "state = 'idle' AND state_change < now() - interval '20 ms'"
        where = f"application_name = 'ferrometer' AND {idle}"
        kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}"
        until(lambda: bool(own_database.sql(kill)))
        pid = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ferrometer'"
        until(lambda: bool(own_database.sql(pid)))
        until(lambda: success(registry) == 1)
    assert reasons(registry) == set()
    assert messages(caplog) == []


_FORK = """
import asyncio, os, sys
from ferrometer import CollectorRegistry
from ferrometer.collectors.postgres import PostgresCollector

async def run_once():
    await collector.collect()
    ((pid,),) = [row.values() for row in await collector._session.rows("SELECT pg_backend_pid()")]
    return pid

collector = PostgresCollector(sys.argv[1], registry=CollectorRegistry())
before = asyncio.run(run_once())
child = os.fork()
if child == 0:
    status = 0 if asyncio.run(run_once()) != before else 3  # a connection of its own
    asyncio.run(collector.close())
    os._exit(status)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert asyncio.run(run_once()) == before  # and the parent's lives on
asyncio.run(collector.close())
"""


def test_a_forked_child_leaves_the_parent_s_connection_alone(database: Postgres) -> None:
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", _FORK, database.dsn()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
