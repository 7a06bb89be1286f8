"""The service's own numbers: recording, reading, and what they refuse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from ferrometer import CollectorRegistry, Counter, Gauge, generate_latest
from ferrometer.stats import ServiceStats


def made(**options: Any) -> ServiceStats:
    return ServiceStats("gpuproxy", CollectorRegistry(), **options)


def test_cache_hit_rate_is_percent_of_lookups() -> None:
    cache = made().cache
    assert math.isnan(cache.hit_rate())
    cache.miss()
    assert cache.hit_rate() == 0.0
    cache.hit()
    assert cache.hit_rate() == 50.0
    cache.hit(2)
    assert cache.hit_rate() == 75.0
    cache.hit(0)
    assert cache.as_dict() == {"hits": 3, "misses": 1, "hit_rate": 75.0}


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), -0.5])
def test_a_count_never_shrinks(amount: Any) -> None:
    cache = made().cache
    for count in (cache.hit, cache.miss):
        with pytest.raises(ValueError, match="a count grows"):
            count(amount)
    assert cache.as_dict() == {"hits": 0, "misses": 0, "hit_rate": None}


def test_a_gpu_request_with_a_wrong_cost_is_not_half_counted() -> None:
    gpu = made().gpu
    for cost in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"."):
            gpu.request(failed=True, cost_usd=cost)
    assert gpu.as_dict() == {
        "active_instances": 0,
        "total_cost_usd": 0.0,
        "requests_total": 0,
        "requests_failed": 0,
    }
    gpu.cost(0.75)
    assert gpu.as_dict()["total_cost_usd"] == 0.75


def test_a_timed_query_counts_and_lets_errors_through() -> None:
    db = made().db
    with db.time():
        pass
    with pytest.raises(ZeroDivisionError), db.time():
        _ = 1 / 0
    assert db.as_dict() | {"connections_active": 0} == {
        "connections_active": 0,
        "connections_idle": 0,
        "queries_total": 2,
        "errors": 1,
    }
    assert db.query_duration._count.get() == 2

    async def query() -> None:
        with db.time():
            await asyncio.sleep(0.01)

    asyncio.run(query())
    assert db.query_duration._sum.get() >= 10  # milliseconds


def test_the_same_namespace_twice_is_the_same_metrics() -> None:
    registry = CollectorRegistry()
    first, second = ServiceStats("ns", registry), ServiceStats("ns", registry)
    first.cache.hit()
    second.cache.hit()
    assert first.cache.as_dict() == second.cache.as_dict() == {"hits": 2, "misses": 0, "hit_rate": 100.0}
    assert generate_latest(registry).count(b"\nns_cache_hits ") == 1


def test_namespaces_do_not_share() -> None:
    registry = CollectorRegistry()
    ServiceStats("one", registry).cache.hit()
    assert ServiceStats("two", registry).cache.as_dict()["hits"] == 0


def test_without_a_namespace_two_services_do_not_share() -> None:
    registry = CollectorRegistry()
    ServiceStats(registry=registry).cache.hit()
    assert ServiceStats(registry=registry).cache.as_dict()["hits"] == 0
    assert b"cache" not in generate_latest(registry)


@pytest.mark.parametrize("namespace", ["gpu-proxy", "1st", "a b", "ü", "a\nb"])
def test_a_malformed_namespace_fails(namespace: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ServiceStats(namespace, CollectorRegistry())


def test_polling_asks_for_no_snapshot_field_but_one() -> None:
    asked: list[str] = []

    class Watched(dict[str, float]):
        def __getitem__(self, key: str) -> float:
            asked.append(key)
            return super().__getitem__(key)

    class Requests:
        def snapshot(self) -> Mapping[str, float]:
            return Watched(in_flight=5)

    assert made(requests=Requests()).polling()["requests_in_flight"] == 5
    assert asked == ["in_flight"]


def test_system_readings() -> None:
    system = made().system
    system.read()
    before = system.as_dict()
    assert before["goroutines"] == 0
    assert before["heap_alloc_mb"] > 1
    gc.collect()
    system.read()
    assert system.as_dict()["gc_runs"] > before["gc_runs"]
    assert system.as_dict()["gc_runs"] == sum(generation["collections"] for generation in gc.get_stats())


def test_the_heap_grows_with_what_is_allocated() -> None:
    system = made().system
    system.read()
    before = system.as_dict()["heap_alloc_mb"]
    ballast = b"x" * (64 * 1024 * 1024)
    system.read()
    assert 60 <= system.as_dict()["heap_alloc_mb"] - before <= 80
    del ballast


def test_two_readers_do_not_count_a_collection_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    system = made().system
    both_are_between_reading_and_adding = threading.Barrier(2)

    def value(metric: Counter | Gauge) -> float:
        read = float(metric._get())
        with contextlib.suppress(threading.BrokenBarrierError):
            both_are_between_reading_and_adding.wait(0.2)  # which they must never be
        return read

    monkeypatch.setattr("ferrometer.stats.service.gc_runs", lambda: 100)
    with monkeypatch.context() as patch:
        patch.setattr("ferrometer.stats.service._own", value)
        readers = [threading.Thread(target=system.read) for _ in range(2)]
        for thread in readers:
            thread.start()
        for thread in readers:
            thread.join()
    assert system.as_dict()["gc_runs"] == 100


def test_tasks_are_counted_from_another_thread_and_gone_with_their_loop() -> None:
    system = made().system

    async def busy() -> int:
        system.watch()
        sleepers = [asyncio.create_task(asyncio.Event().wait()) for _ in range(3)]
        await asyncio.to_thread(system.read)
        for sleeper in sleepers:
            sleeper.cancel()
        return int(system.as_dict()["goroutines"])

    assert asyncio.run(busy()) == 4
    system.read()
    assert system.as_dict()["goroutines"] == 0
