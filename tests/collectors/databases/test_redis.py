"""The Redis collectors and health check against real servers: Valkey, Redis, RQ's and Celery's queues."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.cluster
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferrometer.collectors.redis import CeleryCollector, RedisCollector, RQCollector, redis_check
from ferrometer.health import HealthChecks
from ferrometer.testing import PedanticRegistry, collect, examine, samples, value
from tests.collectors.support import until
from tests.real.redis import RedisServer, cluster, valkey


@pytest.mark.parametrize("which", ["store", "redis_7"])
def test_info(which: str, request: pytest.FixtureRequest, registry: PedanticRegistry) -> None:
    server: RedisServer = request.getfixturevalue(which)
    with redis.Redis(port=server.port) as client:
        client.flushall()
        client.set("there", 1, ex=1000)
        client.set("for ever", 1)
        collector = examine(lambda: RedisCollector(server.url, registry=registry), registry)
        hits = value(registry, "redis_keyspace_hits_total", server="redis")
        misses = value(registry, "redis_keyspace_misses_total", server="redis")
        for _ in range(3):
            client.get("there")
        client.get("not there")
        collect(collector)
        assert value(registry, "redis_keyspace_hits_total", server="redis") == hits + 3
        assert value(registry, "redis_keyspace_misses_total", server="redis") == misses + 1
        assert value(registry, "redis_db_keys", server="redis", db="db0") == 2
        assert value(registry, "redis_db_keys_expiring", server="redis", db="db0") == 1
        assert (
            value(registry, "redis_connected_clients", server="redis") == 2
        )  # this one, and the collector's
        assert value(registry, "redis_connected_clients_max", server="redis") >= 1000
        assert value(registry, "redis_memory_used_bytes", server="redis") > 100_000
        (info,) = [dict(labels) for name, labels in samples(registry) if name == "redis_instance_info"]
        assert info["role"] == "master"
        assert info["server_name"] == {"store": "valkey", "redis_7": "redis"}[which]
        client.flushall()
        collect(collector)
        assert not any(name == "redis_db_keys" for name, _ in samples(registry))
        collector.close()


def test_evictions_and_a_limit_of_memory(own_store: RedisServer, registry: PedanticRegistry) -> None:
    with redis.Redis(port=own_store.port) as client:
        client.config_set("maxmemory", "2mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        for number in range(3000):
            client.set(f"key {number}", "x" * 1000)
    collector = RedisCollector(own_store.url, registry=registry)
    collect(collector)
    collector.close()
    assert value(registry, "redis_memory_max_bytes", server="redis") == 2 * 1024 * 1024
    assert value(registry, "redis_evicted_keys_total", server="redis") > 500


def test_lengths_of_queues(store: RedisServer, registry: PedanticRegistry) -> None:
    with redis.Redis(port=store.port) as client:
        client.flushall()
        client.rpush("jobs", *range(5))
        client.zadd("later", {"a": 1, "b": 2})
        for number in range(10):
            client.xadd("events", {"n": number})
        client.xgroup_create("events", "readers", id="0")
        client.xreadgroup("readers", "one", {"events": ">"}, count=4)
        keys = ("jobs", "later", "events", "nothing")
        collector = RedisCollector(client=client, queues=keys, registry=registry)
        collect(collector)
        lengths = {key: value(registry, "redis_queue_length", server="redis", queue=key) for key in keys}
        assert lengths == {"jobs": 5, "later": 2, "events": 10, "nothing": 0}
        group = {"server": "redis", "queue": "events", "group": "readers"}
        assert value(registry, "redis_stream_group_pending", **group) == 4
        assert value(registry, "redis_stream_group_lag", **group) == 6
        client.delete("events")
        collector.close()  # not ours to close
        collect(collector)
        assert not any(name == "redis_stream_group_lag" for name, _ in samples(registry))


def test_a_user_without_permission_for_info_is_served_the_rest(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis(port=own_store.port) as client:
        client.execute_command("ACL SETUSER watcher on >secret ~* +type +llen")
        client.rpush("jobs", 1, 2)
    url = f"redis://watcher:secret@127.0.0.1:{own_store.port}/0"
    collector = RedisCollector(url, queues=["jobs"], registry=registry)
    collect(collector)
    collect(collector)
    collector.close()
    assert value(registry, "redis_queue_length", server="redis", queue="jobs") == 2
    errors = {"collector": "redis", "reason": "permission_denied"}
    assert value(registry, "ferrometer_collector_errors_total", **errors) == 2
    assert value(registry, "ferrometer_collector_part_success", collector="redis", part="info") == 0
    assert [r.message for r in caplog.records] == ["collector 'redis' goes without info: permission denied"]


@pytest.mark.parametrize("which", ["store", "redis_7"])
@pytest.mark.parametrize("protocol", ["", "?protocol=2", "?protocol=3"])
def test_the_least_that_a_user_must_be_allowed(
    which: str, protocol: str, request: pytest.FixtureRequest, registry: PedanticRegistry
) -> None:
    server: RedisServer = request.getfixturevalue(which)
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL SETUSER reader reset on >secret +info")  # no PING, no CLIENT SETNAME
        collector = RedisCollector(
            f"redis://reader:secret@127.0.0.1:{server.port}/0{protocol}", registry=registry
        )
        collect(collector)
        collector.close()
        client.execute_command("ACL DELUSER reader")
    assert value(registry, "redis_memory_used_bytes", server="redis") > 100_000


def test_a_forbidden_or_foreign_queue_hides_no_other(
    own_store: RedisServer, registry: PedanticRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ("jobs", "payroll", "members", "profile", "events", "nothing")
    with redis.Redis(port=own_store.port) as client:
        client.execute_command(
            "ACL SETUSER watcher on >secret ~jobs ~members ~profile ~events ~nothing +info +type +llen +xlen"
        )
        client.rpush("jobs", 1, 2)
        client.rpush("payroll", 1)
        client.sadd("members", 1, 2, 3)
        client.hset("profile", "a", 1)
        client.xadd("events", {"n": 1})
        client.xgroup_create("events", "readers", id="0")
        url = f"redis://watcher:secret@127.0.0.1:{own_store.port}/0"
        collector = RedisCollector(url, queues=keys, registry=registry)
        collect(collector)
        assert lengths(registry) == {"jobs": 2, "events": 1, "nothing": 0}
        assert reasons(registry, "redis") == {"permission_denied": 2, "wrong_type": 2}
        assert parts(registry) == {
            "info": 1,
            "queue:jobs": 1,
            "queue:payroll": 0,
            "queue:members": 0,
            "queue:profile": 0,
            "queue:events": 0,  # its length is known, its groups are not
            "queue:nothing": 1,
        }
        client.delete("members", "jobs")
        client.rpush("members", 1)
        client.set("jobs", "no queue any more")
        collect(collector)
    collector.close()
    assert lengths(registry) == {"members": 1, "events": 1, "nothing": 0}
    said = {r.message for r in caplog.records}
    assert "collector 'redis' goes without queue:payroll: permission denied" in said
    assert "collector 'redis' has queue:members again" not in said  # said at INFO


def test_a_queue_on_another_node_of_a_cluster(
    tmp_path_factory: pytest.TempPathFactory, registry: PedanticRegistry
) -> None:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        whole = redis.cluster.RedisCluster(host="127.0.0.1", port=nodes[0].port)
        names = [f"queue {number}" for number in range(30)]
        for name in names:
            whole.rpush(name, 1)
        whole.close()
        collector = RedisCollector(nodes[0].url, queues=names, registry=registry)
        collect(collector)
        collector.close()
    here = lengths(registry)
    assert 0 < len(here) < 30
    assert set(here.values()) == {1}
    assert reasons(registry, "redis") == {"moved": 30 - len(here)}


def test_a_server_that_loads_its_data_says_so(tmp_path: Path, registry: PedanticRegistry) -> None:
    with valkey(tmp_path, "--enable-debug-command", "yes") as own_store:
        _loads_its_data(own_store, registry)


def _loads_its_data(own_store: RedisServer, registry: PedanticRegistry) -> None:
    with redis.Redis(port=own_store.port) as client:
        client.execute_command("DEBUG POPULATE 2000 key 100")
        client.config_set("loading-process-events-interval-bytes", 1024)
        client.rpush("jobs", 1)
        client.config_set("key-load-delay", 3000)  # microseconds for each key
        client.save()
    collector = RedisCollector(own_store.url, queues=["jobs"], registry=registry)
    answers: list[float] = []

    def reload() -> None:
        with redis.Redis(port=own_store.port) as other:
            other.execute_command("DEBUG RELOAD NOSAVE")

    thread = threading.Thread(target=reload)
    thread.start()

    def loading() -> bool:
        collect(collector)
        answers.append(value(registry, "redis_loading", server="redis"))
        return answers[-1] == 1

    until(loading)
    assert reasons(registry, "redis")["starting"] >= 1
    assert parts(registry) == {"info": 1, "queue:jobs": 0}
    with redis.Redis(port=own_store.port) as client:
        client.config_set("key-load-delay", 0)
    thread.join()
    collect(collector)
    collector.close()
    assert lengths(registry) == {"jobs": 1}


def test_the_time_of_the_start_is_steady(own_store: RedisServer, registry: PedanticRegistry) -> None:
    collector = RedisCollector(own_store.url, registry=registry)
    seen = set()
    for _ in range(25):  # more than two seconds: an uptime in whole seconds turns meanwhile
        collect(collector)
        seen.add(value(registry, "redis_start_time_seconds", server="redis"))
        time.sleep(0.1)
    # A server that does not tell its clock: the first look at one run of it counts.
    old = [{"uptime_in_seconds": 5 + n, "run_id": "a"} for n in range(3)] + [
        {"uptime_in_seconds": 1, "run_id": "b"}
    ]
    starts = [collector._start_time(info) for info in old]
    collector.close()
    assert len(seen) == 1
    assert abs(seen.pop() - time.time()) < 60
    assert starts[0] == starts[1] == starts[2] < starts[3]


def lengths(registry: PedanticRegistry) -> dict[str, float]:
    return {
        dict(labels)["queue"]: v
        for (name, labels), v in samples(registry).items()
        if name == "redis_queue_length"
    }


def reasons(registry: PedanticRegistry, collector: str) -> dict[str, float]:
    return {
        dict(labels)["reason"]: v
        for (name, labels), v in samples(registry).items()
        if name == "ferrometer_collector_errors_total" and dict(labels)["collector"] == collector and v
    }


def parts(registry: PedanticRegistry) -> dict[str, float]:
    return {
        dict(labels)["part"]: v
        for (name, labels), v in samples(registry).items()
        if name == "ferrometer_collector_part_success"
    }


def add(a: int, b: int) -> int:
    """A job for RQ."""
    return a + b


def test_rq(own_store: RedisServer, registry: PedanticRegistry) -> None:
    rq = pytest.importorskip("rq")
    with redis.Redis(port=own_store.port) as client:
        mails, reports = rq.Queue("mails", connection=client), rq.Queue("reports", connection=client)
        for number in range(3):
            mails.enqueue(add, number, 1)
        reports.enqueue(add, 1, "not a number")
        rq.SimpleWorker([reports], connection=client).work(burst=True)
        collector = examine(lambda: RQCollector(own_store.url, registry=registry), registry)
        jobs = {
            (dict(labels)["queue"], dict(labels)["state"]): v
            for (name, labels), v in samples(registry).items()
            if name == "rq_jobs" and v
        }
        assert jobs == {("mails", "queued"): 3, ("reports", "failed"): 1}
        assert value(registry, "rq_workers", server="rq") == 0
        collector.close()


def test_rq_counts_what_exists(own_store: RedisServer, registry: PedanticRegistry) -> None:
    rq = pytest.importorskip("rq")
    with redis.Redis(port=own_store.port) as client:
        mails = rq.Queue("mails", connection=client)
        kept, gone = mails.enqueue(add, 1, 1), mails.enqueue(add, 2, 2)
        done = rq.Queue("done", connection=client)
        results = [done.enqueue(add, n, n, result_ttl=ttl) for n, ttl in enumerate((1000, 1000, -1))]
        bad = [done.enqueue(add, 1, "x", failure_ttl=ttl) for ttl in (1000, -1)]
        rq.SimpleWorker([done], connection=client).work(burst=True)
        client.delete(f"rq:job:{gone.id}")  # as its time to live does
        now = int(time.time())
        client.zadd("rq:finished:done", {results[0].id: now - 1})  # over, and nobody has looked
        client.zadd(
            "rq:wip:mails", {f"{kept.id}:1": now + 1000, f"{kept.id}:2": now - 1, f"{gone.id}:3": now + 1000}
        )
        worker = rq.Worker([mails], connection=client)
        worker.register_birth()
        killed = rq.Worker([mails], connection=client)
        killed.register_birth()
        client.delete(killed.key)
        collector = RQCollector(own_store.url, registry=registry)
        collect(collector)
        expected = {("mails", "queued"): 1, ("mails", "started"): 1, ("done", "finished"): 2}
        assert rq_jobs(registry) == {**expected, ("done", "failed"): len(bad)}
        assert value(registry, "rq_workers", server="rq") == 1
        # RQ's own answer, after it has cleaned up.
        assert rq.registry.FinishedJobRegistry(queue=done).count == 2
        assert rq.registry.FailedJobRegistry(queue=done).count == 2
        assert rq.Worker.all(connection=client) == [worker]
        client.set("rq:queue:foreign", "no list")
        client.sadd("rq:queues", "rq:queue:foreign")
        collect(collector)
        assert {queue for queue, _ in rq_jobs(registry)} == {"mails", "done"}
        assert reasons(registry, "rq") == {"wrong_type": 1}
        collector.close()


def rq_jobs(registry: PedanticRegistry) -> dict[tuple[str, str], float]:
    return {
        (dict(labels)["queue"], dict(labels)["state"]): v
        for (name, labels), v in samples(registry).items()
        if name == "rq_jobs" and v
    }


def test_celery(own_store: RedisServer, registry: PedanticRegistry) -> None:
    celery, kombu = pytest.importorskip("celery"), pytest.importorskip("kombu")
    app = celery.Celery("app", broker=own_store.url)
    app.conf.task_queues = [kombu.Queue("fast"), kombu.Queue("slow")]
    app.conf.task_default_queue = "fast"
    for _ in range(4):
        app.send_task("work", queue="slow")
    collector = examine(lambda: CeleryCollector(app, registry=registry), registry)
    assert value(registry, "celery_queue_length", server="celery", queue="slow") == 4
    assert value(registry, "celery_queue_length", server="celery", queue="fast") == 0
    assert value(registry, "celery_unacked", server="celery") == 0
    with app.connection_for_read() as connection, connection.channel() as channel:
        held = channel.basic_get("slow")
        collect(collector)
        assert value(registry, "celery_queue_length", server="celery", queue="slow") == 3
        assert value(registry, "celery_unacked", server="celery") == 1
        channel.basic_ack(held.delivery_tag)
    collector.close()
    app.close()


def test_a_celery_broker_that_goes_and_comes_back(own_store: RedisServer, registry: PedanticRegistry) -> None:
    celery = pytest.importorskip("celery")
    from ferrometer.collectors import CollectError

    app = celery.Celery("app", broker=own_store.url)
    app.send_task("work", queue="celery")
    collector = CeleryCollector(app, timeout=2, registry=registry)
    collect(collector)
    assert value(registry, "celery_queue_length", server="celery", queue="celery") == 1
    own_store.stop()
    with pytest.raises(CollectError, match="connection refused") as raised:
        collect(collector)
    assert raised.value.reason == "refused"
    own_store.start()
    collect(collector)
    assert value(registry, "celery_queue_length", server="celery", queue="celery") == 0
    collector.close()
    app.close()


def test_the_health_check(store: RedisServer, tmp_path: Path) -> None:
    with redis.Redis(port=store.port, max_connections=7) as client:
        client.ping()
        assert _report(redis_check(client)) == {
            "total_connections": 1,
            "idle_connections": 1,
            "max_connections": 7,
        }

    async def asyncio_client() -> dict[str, Any]:
        async with redis.asyncio.Redis(port=store.port, max_connections=9) as client:
            health = HealthChecks({"redis": redis_check(client)})
            return dict((await health.run()).checks["redis"].fields)

    assert asyncio.run(asyncio_client())["max_connections"] == 9
    with valkey(tmp_path) as gone, redis.Redis(port=gone.port, retry=Retry(NoBackoff(), 0)) as client:
        gone.stop()
        health = HealthChecks({"redis": redis_check(client)}, timeout=5)
        result = asyncio.run(health.run()).checks["redis"]
        assert not result.healthy
        assert result.error == "ConnectionError"
    with pytest.raises(TypeError, match="not str"):
        redis_check("redis://localhost")


def _report(check: Any) -> dict[str, Any]:
    return dict(asyncio.run(HealthChecks({"redis": check}).run()).checks["redis"].fields)


def test_what_it_takes(store: RedisServer, registry: PedanticRegistry) -> None:
    with pytest.raises(ValueError, match="either url or client"):
        RedisCollector(registry=registry)
    with pytest.raises(TypeError, match="several keys"):
        RedisCollector(store.url, queues="jobs", registry=registry)
    with pytest.raises(TypeError, match="sync client"):
        RedisCollector(client=redis.asyncio.Redis(port=store.port), registry=registry)
    with pytest.raises(TypeError, match="Celery application"):
        CeleryCollector("amqp://", registry=registry)
    assert "secret" not in repr(RedisCollector("redis://user:secret@localhost/0", registry=registry))
