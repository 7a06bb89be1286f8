"""redis-py's clients, sync, asyncio and of a cluster, against a real Valkey."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from redis.backoff import NoBackoff
from redis.retry import Retry

import ferrometer
from ferrometer.collectors.redis import instrument_redis, redis_check
from ferrometer.collectors.redis.commands import operation
from ferrometer.testing import PedanticRegistry, samples, value
from tests.collectors.support import until, until_async
from tests.real.redis import RedisServer, cluster

# Its annotations say neither that a pipeline returns itself nor what asyncio's answers are.
lib: Any = redis


@pytest.fixture
def client(store: RedisServer) -> Iterator[Any]:
    with lib.Redis(port=store.port, decode_responses=True) as made:
        made.flushall()
        yield made


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Two Valkeys that share the slots of a cluster."""
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


def operations(registry: PedanticRegistry) -> dict[str, float]:
    """Commands counted: the name alone for those that succeeded, ``name!`` for errors."""
    return {
        dict(labels)["operation"] + {"success": "", "error": "!"}[dict(labels)["status"]]: number
        for (name, labels), number in samples(registry).items()
        if name == "redis_operations_total" and number
    }


def round_trips(registry: PedanticRegistry) -> dict[str, float]:
    return {
        dict(labels)["operation"]: number
        for (name, labels), number in samples(registry).items()
        if name == "redis_operation_duration_seconds_count" and number
    }


def errors(registry: PedanticRegistry) -> dict[tuple[str, str], float]:
    return {
        (dict(labels)["operation"], dict(labels)["error"]): number
        for (name, labels), number in samples(registry).items()
        if name == "redis_errors_total"
    }


def connections(registry: PedanticRegistry) -> dict[str, float]:
    return {
        dict(labels)["state"]: number
        for (name, labels), number in samples(registry).items()
        if name == "redis_pool_connections"
    }


def test_commands(client: Any, registry: PedanticRegistry) -> None:
    with instrument_redis(client, registry=registry) as instrument:
        assert instrument_redis(client, registry=registry) is instrument
        assert client.set("a", 1) is True
        assert client.get("a") == "1"
        assert client.get("nothing") is None
        assert client.execute_command("get", "a") == "1"
        assert client.config_get("maxclients")["maxclients"]
        with pytest.raises(redis.ResponseError, match="wrong kind"):
            client.lpush("a", 1)
        with pytest.raises(redis.ResponseError):
            client.execute_command("FROBNICATE-" + "x" * 100, 1)
        with client.lock("lock", timeout=5):
            pass
    client.get("a")
    assert vars(client).keys().isdisjoint({"execute_command", "pipeline", "_ferrometer"})
    assert "get_connection" not in vars(client.connection_pool)
    counted = operations(registry)
    assert {name: counted[name] for name in ("set", "get", "config get", "lpush!", "other!")} == {
        "set": 2,  # one is the lock's
        "get": 3,
        "config get": 1,
        "lpush!": 1,
        "other!": 1,
    }
    names = {name.rstrip("!") for name in counted}
    both = {name: counted.get(name, 0) + counted.get(f"{name}!", 0) for name in names}
    assert both == round_trips(registry)
    assert errors(registry)["lpush", "ResponseError"] == 1
    assert connections(registry) == {}


def test_pipelines(client: Any, registry: PedanticRegistry) -> None:
    instrument_redis(client, registry=registry)
    with client.pipeline(transaction=False) as pipe:
        assert pipe.set("a", 1).incr("a").get("a").execute() == [True, 2, "2"]
        assert pipe.execute() == []
        pipe.get("a").lpush("a", 1).incr("a").hget("a", "field")
        with pytest.raises(redis.ResponseError, match="Command # 2"):
            pipe.execute()
    assert operations(registry) == {"set": 1, "incrby": 2, "get": 2, "lpush!": 1, "hget!": 1}
    assert round_trips(registry) == {"pipeline": 2}
    with client.pipeline() as pipe:  # a transaction
        answers = pipe.incr("a").lpush("a", 1).execute(raise_on_error=False)
        assert answers[0] == 4
        assert isinstance(answers[1], redis.ResponseError)
    assert client.transaction(_double, "a") == [True]
    assert client.get("a") == "8"
    assert operations(registry) == {
        "set": 2,
        "incrby": 3,
        "get": 4,  # one while watching, at once
        "lpush!": 2,
        "hget!": 1,
        "watch": 1,
    }
    assert round_trips(registry) == {"pipeline": 4, "watch": 1, "get": 2}


def _double(pipe: Any) -> None:
    number = int(pipe.get("a"))
    pipe.multi()
    pipe.set("a", 2 * number)


def test_a_transaction_that_is_refused_fails_for_all(
    client: Any, registry: PedanticRegistry, store: RedisServer
) -> None:
    instrument_redis(client, registry=registry)
    with client.pipeline() as pipe, lib.Redis(port=store.port) as other:
        pipe.watch("a")
        pipe.multi()
        pipe.set("a", 1).set("b", 1)
        other.set("a", 2)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert operations(registry) == {"watch": 1, "set!": 2}
    assert errors(registry) == {("set", "WatchError"): 2}


def test_no_argument_of_a_command_becomes_a_label(client: Any, registry: PedanticRegistry) -> None:
    instrument_redis(client, registry=registry)
    for command in ("AUTH hunter2", "auth  hunter2 hunter3", b"AUTH hunter2"):
        with pytest.raises(redis.RedisError):
            client.execute_command(command)
    client.execute_command("SET customer-4711 hunter2")
    client.execute_command("get customer-4711")
    client.execute_command("CONFIG GET maxmemory")
    client.execute_command("config", "get", "maxmemory")
    with pytest.raises(redis.RedisError):
        client.execute_command("CONFIG HUNTER2")
    for number in range(600):
        with pytest.raises(redis.ResponseError):
            client.execute_command(f"customer{number}")
    with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("SET customer-4711 hunter2")
        pipe.execute_command("hunter2")
        pipe.execute(raise_on_error=False)
    assert operations(registry) == {
        "auth!": 3,
        "set": 2,
        "get": 1,
        "config get": 1,
        "config": 1,
        "config!": 1,
        "other!": 601,
    }
    text = ferrometer.generate_latest(registry).decode()
    assert "customer" not in text
    assert "hunter" not in text.lower()


def test_every_command_of_the_servers_has_its_name(store: RedisServer, redis_7: RedisServer) -> None:
    for server in (store, redis_7):
        with lib.Redis(port=server.port, decode_responses=True) as asked:
            # Modules that a test loaded are not part of the list.
            names = [name for name in asked.execute_command("COMMAND LIST") if name.isalpha()]
        assert len(names) > 200
        assert {name for name in names if operation(name) != name} == set()


def test_a_client_made_by_client_is_watched(client: Any, registry: PedanticRegistry) -> None:
    with instrument_redis(client, registry=registry):
        with client.client() as one:
            one.set("a", 1)
            with one.client() as another, another.pipeline() as pipe:
                pipe.get("a").execute()
        assert operations(registry) == {"set": 1, "get": 1}
        kept = client.client()
    kept.set("a", 2)  # undone
    client.set("a", 3)
    assert vars(kept).keys() & {"execute_command", "pipeline", "client"} == set()
    assert operations(registry) == {"set": 1, "get": 1}
    kept.close()


def test_a_client_made_by_client_is_watched_under_asyncio(
    store: RedisServer, registry: PedanticRegistry
) -> None:
    async def main() -> None:
        asked = redis.asyncio.Redis(port=store.port)
        instrument_redis(asked, registry=registry)
        async with asked.client() as one:
            await one.set("a", 1)
        await asked.aclose()

    asyncio.run(main())
    assert operations(registry)["set"] == 1


def test_the_pool(store: RedisServer, registry: PedanticRegistry) -> None:
    pool = lib.BlockingConnectionPool(port=store.port, max_connections=2, timeout=5)
    with lib.Redis(connection_pool=pool) as client:
        instrument = instrument_redis(client, registry=registry)
        client.ping()
        assert connections(registry) == {"active": 0, "idle": 1}
        assert value(registry, "redis_pool_connections_max", pool="redis") == 2
        held = [pool.get_connection(), pool.get_connection()]
        assert connections(registry) == {"active": 2, "idle": 0}
        waiting = threading.Thread(target=client.ping)
        waiting.start()
        until(lambda: value(registry, "redis_pool_waiting", pool="redis") == 1)
        pool.release(held.pop())
        waiting.join()
        pool.timeout = 0.01
        pool.get_connection()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert value(registry, "redis_pool_acquire_duration_seconds_count", pool="redis") == 5
        assert value(registry, "redis_pool_acquire_errors_total", pool="redis", error="ConnectionError") >= 1
        instrument.undo()
    pool.disconnect()


def test_two_clients_of_one_pool(store: RedisServer, registry: PedanticRegistry) -> None:
    pool = lib.ConnectionPool(port=store.port, max_connections=2)
    one, two = lib.Redis(connection_pool=pool), lib.Redis(connection_pool=pool)
    first = instrument_redis(one, name="one", registry=registry)
    second = instrument_redis(two, name="two", registry=registry)
    one.ping()
    two.ping()
    assert operations(registry) == {"ping": 2}
    assert value(registry, "redis_pool_acquire_duration_seconds_count", pool="one") == 2
    first.undo()
    second.undo()
    two.ping()
    assert operations(registry) == {"ping": 2}
    pool.disconnect()


def test_asyncio(store: RedisServer, registry: PedanticRegistry) -> None:
    async def use() -> None:
        async with lib.asyncio.Redis(port=store.port, max_connections=3) as client:
            await client.flushall()
            instrument = instrument_redis(client, registry=registry)
            await client.set("a", 1)
            assert await client.get("a") == b"1"
            with pytest.raises(redis.ResponseError):
                await client.lpush("a", 1)
            async with client.pipeline(transaction=False) as pipe:
                assert await pipe.incr("a").get("a").execute() == [2, b"2"]
                pipe.lpush("a", 1).get("a")
                with pytest.raises(redis.ResponseError):
                    await pipe.execute()
            async with client.pipeline() as pipe:
                await pipe.watch("a")
                assert await pipe.get("a") == b"2"
                pipe.multi()
                assert await pipe.set("a", 7).execute() == [True]
            blocked = asyncio.create_task(client.blpop(["queue"], timeout=0))
            await until_async(lambda: connections(registry)["active"] == 1)
            blocked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await blocked
            assert connections(registry)["idle"] >= 1
            assert value(registry, "redis_pool_connections_max", pool="redis") == 3
            instrument.undo()
            await client.get("a")

    asyncio.run(use())
    assert operations(registry) == {
        "set": 2,
        "get": 4,
        "incrby": 1,
        "watch": 1,
        "lpush!": 2,
        "blpop!": 1,
    }
    assert errors(registry) == {("lpush", "ResponseError"): 2, ("blpop", "CancelledError"): 1}
    assert round_trips(registry) == {"set": 1, "get": 2, "lpush": 1, "pipeline": 3, "watch": 1, "blpop": 1}


def test_a_cluster(nodes: list[RedisServer], registry: PedanticRegistry) -> None:
    with lib.cluster.RedisCluster(host="127.0.0.1", port=nodes[0].port) as client:
        instrument = instrument_redis(client, registry=registry)
        for number in range(20):
            client.set(f"key {number}", number)
        with client.pipeline() as pipe:
            for number in range(20):
                pipe.get(f"key {number}")
            assert pipe.execute() == [str(number).encode() for number in range(20)]
            pipe.get("key 1").lpush("key 2", 1).lpush("key 3", 1)
            with pytest.raises(redis.ResponseError):
                pipe.execute()
        assert operations(registry) == {"set": 20, "get": 21, "lpush!": 2}
        assert round_trips(registry) == {"set": 20, "pipeline": 2}
        assert connections(registry) == {"active": 0, "idle": 2}  # one of each node
        assert dict(redis_check(client)())["total_connections"] == 2  # type: ignore[arg-type]
        instrument.undo()
        client.get("key 1")
        assert operations(registry)["get"] == 21


def test_an_asyncio_cluster(nodes: list[RedisServer], registry: PedanticRegistry) -> None:
    async def use() -> None:
        async with lib.asyncio.cluster.RedisCluster(host="127.0.0.1", port=nodes[0].port) as client:
            instrument_redis(client, registry=registry)
            for number in range(20):
                await client.set(f"key {number}", number)
            async with client.pipeline() as pipe:
                for number in range(20):
                    pipe.get(f"key {number}")
                assert await pipe.execute() == [str(number).encode() for number in range(20)]
            async with client.pipeline() as pipe:
                pipe.get("key 1").lpush("key 2", 1).lpush("key 3", 1)
                with pytest.raises(redis.ResponseError):
                    await pipe.execute()
            assert connections(registry)["idle"] >= 2

    asyncio.run(use())
    assert operations(registry) == {"set": 20, "get": 21, "lpush!": 2}
    assert round_trips(registry) == {"set": 20, "pipeline": 2}


def test_killed_in_mid_command_and_restarted(own_store: RedisServer, registry: PedanticRegistry) -> None:
    with lib.Redis(port=own_store.port, retry=Retry(NoBackoff(), 0)) as client:
        instrument_redis(client, registry=registry)
        failures: list[Exception] = []

        def wait() -> None:
            try:
                client.blpop(["queue"], timeout=0)
            except redis.ConnectionError as error:
                failures.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        until(lambda: connections(registry)["active"] == 1)
        own_store.stop()
        waiter.join()
        with pytest.raises(redis.ConnectionError):
            client.get("a")
        own_store.start()
        assert client.get("a") is None
    assert len(failures) == 1
    assert operations(registry) == {"blpop!": 1, "get!": 1, "get": 1}


def test_valkey_s_own_client(store: RedisServer, registry: PedanticRegistry) -> None:
    library = pytest.importorskip("valkey")
    with library.Valkey(port=store.port) as client:
        instrument_redis(client, registry=registry)
        client.set("a", 1)
        with client.pipeline() as pipe, pytest.raises(library.ResponseError):
            pipe.incr("a").lpush("a", 1).lpush("a", 2).execute()
        assert connections(registry) == {"active": 0, "idle": 1}
    assert operations(registry) == {"set": 1, "incrby": 1, "lpush!": 2}


def test_what_it_takes(registry: PedanticRegistry) -> None:
    with pytest.raises(TypeError, match="not str"):
        instrument_redis("redis://localhost", registry=registry)
