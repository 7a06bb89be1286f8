"""Caches of every make: the counts are exactly what the code did, and the cache does what it did before."""

from __future__ import annotations

import functools
import gc
import math
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import cachetools
import pytest

from ferrometer.collectors.app.caches import CacheCollector, TrackedCache, track_cache
from ferrometer.stats import ServiceStats
from ferrometer.testing import PedanticRegistry, collect, lint, samples, value


def counts(registry: PedanticRegistry, name: str) -> tuple[float, float]:
    return (
        value(registry, "cache_hits_total", cache_type=name),
        value(registry, "cache_misses_total", cache_type=name),
    )


def decorated(kind: str) -> Any:
    def double(number: int) -> int:
        return 2 * number

    if kind == "functools":
        return functools.lru_cache(maxsize=2)(double)
    return cachetools.cached(cachetools.LRUCache(2), info=True)(double)


@pytest.mark.parametrize("kind", ["functools", "cachetools"])
def test_a_decorated_function_is_read(registry: PedanticRegistry, kind: str) -> None:
    function = track_cache("double", decorated(kind), registry=registry)
    collector = CacheCollector(registry=registry)
    for number in (1, 1, 2, 3, 1):  # a miss, a hit, two misses, and 1 has gone
        assert function(number) == 2 * number
    collect(collector)
    assert counts(registry, "double") == (1, 4)
    assert value(registry, "cache_entries", cache_type="double") == 2
    assert value(registry, "cache_max_entries", cache_type="double") == 2
    assert value(registry, "cache_hit_ratio", cache_type="double") == 0.2
    function.cache_clear()
    function(1)
    collect(collector)
    collect(collector)
    assert counts(registry, "double") == (1, 5)
    assert value(registry, "cache_entries", cache_type="double") == 1
    assert lint(registry) == []


MAPPINGS: dict[str, Callable[[], Any]] = {
    "Cache": lambda: cachetools.Cache(3),
    "FIFO": lambda: cachetools.FIFOCache(3),
    "LFU": lambda: cachetools.LFUCache(3),
    "LRU": lambda: cachetools.LRUCache(3),
    "RR": lambda: cachetools.RRCache(3),
    "TTL": lambda: cachetools.TTLCache(3, 60),
    "sized": lambda: cachetools.LRUCache(6, getsizeof=lambda value: 2),
}


@pytest.mark.parametrize("make", MAPPINGS.values(), ids=MAPPINGS.keys())
def test_a_mapping_counts_its_lookups(registry: PedanticRegistry, make: Callable[[], Any]) -> None:
    cache = make()
    plain = type(cache)
    assert track_cache("users", cache, registry=registry) is cache
    assert track_cache("users", cache, registry=registry) is cache, "twice is once"
    assert isinstance(cache, plain)
    assert repr(cache).startswith(f"{plain.__name__}(")
    for key in (1, 2, 3):
        cache[key] = -key
    assert [cache[1], cache[2], cache.get(3), cache.get(4, "none")] == [-1, -2, -3, "none"]
    with pytest.raises(KeyError):
        cache[5]
    assert counts(registry, "users") == (3, 2)
    # None of these is a lookup.
    assert 1 in cache
    assert cache.setdefault(1, "new") == -1
    assert cache.pop(1) == -1
    assert cache.pop(1, None) is None
    assert cache.setdefault(1, "new") == "new"
    with pytest.raises(KeyError):
        cache.pop("never there")
    assert counts(registry, "users") == (3, 2)
    assert value(registry, "cache_evictions_total", cache_type="users") == 0
    cache[9] = 9
    assert len(cache) == 3
    assert value(registry, "cache_evictions_total", cache_type="users") == 1
    collect(CacheCollector(registry=registry))
    assert value(registry, "cache_entries", cache_type="users") == 3
    cache.clear()
    assert len(cache) == 0
    assert value(registry, "cache_evictions_total", cache_type="users") == 1
    assert counts(registry, "users") == (3, 2)


@pytest.mark.parametrize("lock", [False, True])
def test_the_decorator_that_holds_the_mapping_is_counted(registry: PedanticRegistry, lock: bool) -> None:
    cache: cachetools.LRUCache[Any, int] = cachetools.LRUCache(10)
    calls = 0

    @cachetools.cached(cache, lock=threading.Lock() if lock else None)
    def double(number: int) -> int:
        nonlocal calls
        calls += 1
        return 2 * number

    track_cache("double", cache, registry=registry)
    assert [double(n) for n in (1, 2, 1, 1)] == [2, 4, 2, 2]
    assert calls == 2
    assert counts(registry, "double") == (2, 2)


def test_a_value_that_missing_finds_is_a_miss(registry: PedanticRegistry) -> None:
    class Filling(cachetools.LRUCache[int, int]):
        def __missing__(self, key: int) -> int:
            if key < 0:
                raise KeyError(key)
            self[key] = 2 * key
            return self[key]

    cache = track_cache("filling", Filling(10), registry=registry)
    assert [cache[4], cache[4], cache[5]] == [8, 8, 10]
    with pytest.raises(KeyError):
        cache[-1]
    assert counts(registry, "filling") == (1, 3)  # the second cache[4]; what __missing__ reads is its own


def test_a_mapping_of_ones_own(registry: PedanticRegistry) -> None:
    class Own(MutableMapping[str, int]):
        def __init__(self) -> None:
            self.inner: dict[str, int] = {}

        def __getitem__(self, key: str) -> int:
            return self.inner[key]

        def __setitem__(self, key: str, value: int) -> None:
            self.inner[key] = value

        def __delitem__(self, key: str) -> None:
            del self.inner[key]

        def __iter__(self) -> Any:
            return iter(self.inner)

        def __len__(self) -> int:
            return len(self.inner)

    own = track_cache("own", Own(), registry=registry)
    own["a"] = 1
    assert own["a"] == 1
    assert own.get("b") is None
    assert "a" in own
    assert "b" not in own
    assert counts(registry, "own") == (1, 1)
    own["b"] = 2
    own.popitem()
    assert value(registry, "cache_evictions_total", cache_type="own") == 1
    own.clear()
    assert value(registry, "cache_evictions_total", cache_type="own") == 1
    assert counts(registry, "own") == (1, 1)
    collect(CacheCollector(registry=registry))
    assert value(registry, "cache_entries", cache_type="own") == 0
    assert not any(name == "cache_max_entries" for name, _ in samples(registry))


@pytest.mark.parametrize("cache", [{}, [], object(), lambda: 1])
def test_what_cannot_be_tracked_is_refused_in_words(registry: PedanticRegistry, cache: object) -> None:
    with pytest.raises(TypeError, match=r"count by hand"):
        track_cache("x", cache, registry=registry)


@pytest.mark.parametrize("name", ["", 3, None])
def test_names_are_strings(registry: PedanticRegistry, name: Any) -> None:
    with pytest.raises(ValueError, match="a cache's name must be a string"):
        track_cache(name, registry=registry)


def test_threads_without_a_lock_do_not_silence_it(registry: PedanticRegistry) -> None:
    cache: Any = track_cache("shared", cachetools.Cache(100_000), registry=registry)

    def work(number: int) -> None:
        for key in range(2_000):
            cache.setdefault((number, key), 0)
            cache.pop((number, key))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    cache["x"] = 1
    hits, _ = counts(registry, "shared")
    for _ in range(100):
        assert cache["x"] == 1
    assert counts(registry, "shared")[0] == hits + 100


def test_by_hand(registry: PedanticRegistry) -> None:
    cache = track_cache("sessions", registry=registry)
    assert isinstance(cache, TrackedCache)
    assert track_cache("sessions", registry=registry) is cache
    assert math.isnan(cache.hit_ratio())  # nobody knows before the first lookup
    cache.hit()
    cache.hit(2)
    cache.miss()
    collect(CacheCollector(registry=registry))
    assert counts(registry, "sessions") == (3, 1)
    assert value(registry, "cache_hit_ratio", cache_type="sessions") == 0.75
    assert not any(name == "cache_entries" for name, _ in samples(registry))
    assert repr(cache) == "TrackedCache('sessions', 3 hits, 1 misses)"


def test_caches_of_one_name_add_up_and_the_dead_leave(registry: PedanticRegistry) -> None:
    one: Any = track_cache("tenant", cachetools.LRUCache(5), registry=registry)
    two: Any = track_cache("tenant", cachetools.LRUCache(7), registry=registry)
    one[1] = two[1] = two[2] = 0
    assert one[1] == two[1] == 0
    collector = CacheCollector(registry=registry)
    collect(collector)
    assert counts(registry, "tenant") == (2, 0)
    assert value(registry, "cache_entries", cache_type="tenant") == 3
    assert value(registry, "cache_max_entries", cache_type="tenant") == 12
    del two
    gc.collect()
    collect(collector)
    assert value(registry, "cache_entries", cache_type="tenant") == 1
    assert counts(registry, "tenant") == (2, 0)
    del one
    gc.collect()
    collect(collector)
    assert not any(name == "cache_entries" for name, _ in samples(registry))


def test_the_services_own_numbers_are_fed() -> None:
    registry = PedanticRegistry(
        allow={"gpuproxy_memory_heap_alloc_mb", "gpuproxy_db_query_duration_milliseconds"}
    )
    stats = ServiceStats("gpuproxy", registry)
    function = track_cache("double", decorated("functools"), registry=registry)
    by_hand = track_cache("sessions", registry=registry)
    collector = CacheCollector(registry=registry, stats=stats.cache)
    for number in (1, 1, 1, 2):
        function(number)
    collect(collector)
    collect(collector)
    assert (value(registry, "gpuproxy_cache_hits"), value(registry, "gpuproxy_cache_misses")) == (2, 2)
    by_hand.hit(4)
    collect(collector)
    assert value(registry, "gpuproxy_cache_hits") == 6
    assert value(registry, "gpuproxy_cache_hit_rate") == 75
    assert stats.cache.as_dict() == {"hits": 6, "misses": 2, "hit_rate": 75.0}


def test_what_comes_after_a_clear_is_counted() -> None:
    registry = PedanticRegistry(allow={"app_memory_heap_alloc_mb", "app_db_query_duration_milliseconds"})
    stats = ServiceStats("app", registry)
    collector = CacheCollector(registry=registry, stats=stats.cache)
    mapping: cachetools.LRUCache[int, int] = track_cache("users", cachetools.LRUCache(1), registry=registry)
    by_hand = track_cache("pages", registry=registry)
    function = track_cache("double", decorated("functools"), registry=registry)
    for turn in range(2):
        mapping[turn] = turn
        assert mapping[turn] == turn
        assert mapping.get(-1) is None
        by_hand.hit(2)
        by_hand.miss()
        function(turn)
        if not turn:
            collect(collector)
            for name in ("cache_hits", "cache_misses", "cache_evictions"):
                family: Any = registry._names_to_collectors[name]
                family.clear()
    collect(collector)
    assert counts(registry, "users") == (1, 1)
    assert value(registry, "cache_evictions_total", cache_type="users") == 1
    assert counts(registry, "pages") == (2, 1)
    assert value(registry, "cache_misses_total", cache_type="double") == 1
    assert (value(registry, "app_cache_hits"), value(registry, "app_cache_misses")) == (6, 6)  # all, ever
    assert by_hand.hit_ratio() == 2 / 3
