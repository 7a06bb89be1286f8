"""A Valkey that refuses, hangs, dies or comes back under the scheduler: what is said, and recovery."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis

from ferrometer import generate_latest
from ferrometer.collectors import CollectorScheduler
from ferrometer.collectors.redis import RedisCollector
from ferrometer.testing import PedanticRegistry, samples
from tests.collectors.support import own_threads, until
from tests.real.redis import RedisServer

SECRET = "a-secret-of-the-tests"


@contextmanager
def watching(
    url: str, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture, *, timeout: float = 1.0
) -> Iterator[None]:
    """The collector under a scheduler; nothing that is logged or shown may hold the password."""
    caplog.set_level(logging.INFO, "ferrometer")
    collector = RedisCollector(url, interval=0.1, timeout=timeout, registry=registry)
    with CollectorScheduler([collector], registry=registry):
        yield
    until(lambda: own_threads() == [], seconds=2 * timeout)
    assert SECRET not in caplog.text
    assert SECRET not in generate_latest(registry).decode()


def success(registry: PedanticRegistry) -> float | None:
    return samples(registry).get(("ferrometer_collector_success", (("collector", "redis"),)))


def reasons(registry: PedanticRegistry) -> set[str]:
    return {
        dict(labels)["reason"]
        for name, labels in samples(registry)
        if name == "ferrometer_collector_errors_total"
    }


def shows_values(registry: PedanticRegistry) -> bool:
    return any(name.startswith("redis_") for name, _ in samples(registry))


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_refused_then_started_then_restarted(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    own_store.stop()
    with watching(own_store.url, registry, caplog):
        until(lambda: success(registry) == 0)
        assert reasons(registry) == {"refused"}
        own_store.start()
        until(lambda: success(registry) == 1)
        assert shows_values(registry)
        own_store.stop()
        until(lambda: success(registry) == 0)
        assert not shows_values(registry)
        own_store.start()
        until(lambda: success(registry) == 1)
    assert messages(caplog)[:2] == [
        "collector 'redis' failing: connection refused",
        "collector 'redis' recovered",
    ]
    assert messages(caplog).count("collector 'redis' recovered") == 2
    assert len(messages(caplog)) <= 5


def test_a_restart_between_runs_is_no_failure_and_counts_anew(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ferrometer")
    collector = RedisCollector(own_store.url, interval=3600, registry=registry)
    with redis.Redis(port=own_store.port) as client:
        for _ in range(50):
            client.get("nothing")
    collector.collect()
    key = ("redis_keyspace_misses_total", (("server", "redis"),))
    assert samples(registry)[key] == 50
    own_store.stop()
    own_store.start()
    collector.collect()
    assert samples(registry)[key] == 0
    collector.close()
    assert messages(caplog) == []


@pytest.mark.parametrize("given", ["", f":{SECRET}-not@", f"nobody:{SECRET}-not@"])
def test_a_wrong_password(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    with redis.Redis(port=own_store.port) as client:
        client.config_set("requirepass", SECRET)
    with watching(f"redis://{given}127.0.0.1:{own_store.port}/0", registry, caplog):
        until(lambda: success(registry) == 0)
    assert reasons(registry) == {"authentication"}
    assert messages(caplog) == ["collector 'redis' failing: the server does not accept the user or password"]


def test_too_many_connections(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(redis.Redis(port=own_store.port))
        first.config_set("maxclients", 3)
        for _ in range(2):
            stack.enter_context(redis.Redis(port=own_store.port)).ping()
        with watching(own_store.url, registry, caplog):
            until(lambda: success(registry) == 0)
            assert reasons(registry) == {"too_many_connections"}
            first.config_set("maxclients", 100)
            until(lambda: success(registry) == 1)
    assert messages(caplog) == [
        "collector 'redis' failing: the server has no connection free",
        "collector 'redis' recovered",
    ]


def test_frozen_and_thawed(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(own_store.url, registry, caplog, timeout=0.5):
        until(lambda: success(registry) == 1)
        own_store.freeze()
        until(lambda: success(registry) == 0)
        # On a busy machine a run can be taken for hung before its thread sees that its socket timed out.
        assert {"timeout"} <= reasons(registry) <= {"timeout", "hung"}
        assert not shows_values(registry)
        own_store.thaw()
        until(lambda: success(registry) == 1)
        own_store.freeze()
    own_store.thaw()
    assert len(messages(caplog)) <= 4
    assert messages(caplog)[1] == "collector 'redis' recovered"


def test_the_client_killed_by_the_server(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(own_store.url, registry, caplog), redis.Redis(port=own_store.port) as client:
        until(lambda: success(registry) == 1)
        for _ in range(3):
            until(lambda: client.client_kill_filter(_type="normal", skipme=True) > 0)
            before = samples(registry)[_LAST]
            until(lambda before=before: samples(registry)[_LAST] > before)  # type: ignore[misc]
        assert success(registry) == 1
    assert messages(caplog) == []  # a connection closed between runs is opened again


_LAST = ("ferrometer_collector_last_success_timestamp_seconds", (("collector", "redis"),))
