"""The runtime collector: real collections, a really blocked event loop, and callbacks at bad moments."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Iterator

import prometheus_client
import pytest

from ferrometer import CollectorRegistry, generate_latest
from ferrometer.collectors import CollectorScheduler
from ferrometer.collectors.host.gc_pauses import GcPauses
from ferrometer.collectors.host.runtime import RuntimeCollector
from ferrometer.testing import PedanticRegistry, collect, collect_async, examine, lint, samples, value
from tests.collectors.support import until, until_async


@pytest.fixture
def runtime(registry: PedanticRegistry) -> Iterator[RuntimeCollector]:
    collector = RuntimeCollector(registry=registry, lag_period=0.01)
    yield collector
    collector.close()


def test_it_keeps_the_rules(registry: PedanticRegistry) -> None:
    examine(lambda: RuntimeCollector(registry=registry, go_names=True), registry).close()
    assert lint(registry) == []


def test_names_texts_and_values_are_prometheus_clients(
    registry: PedanticRegistry, runtime: RuntimeCollector
) -> None:
    theirs = prometheus_client.CollectorRegistry()
    prometheus_client.GCCollector(registry=theirs)
    prometheus_client.PlatformCollector(registry=theirs)
    gc.collect()
    gc.disable()
    try:
        collect(runtime)
        text = prometheus_client.generate_latest(theirs).decode()
    finally:
        gc.enable()
    ours = generate_latest(registry).decode().splitlines()
    definitions = [line for line in text.splitlines() if line.startswith("#")]
    assert len(definitions) == 8
    assert set(definitions) <= set(ours)
    peer = {key: number for key, number in samples(text).items() if not key[0].endswith("_created")}
    assert len(peer) == 10
    assert peer.items() <= samples(registry).items()


def test_pauses_are_counted_and_timed_by_generation(
    registry: PedanticRegistry, runtime: RuntimeCollector
) -> None:
    gc.collect()
    gc.disable()
    try:
        runtime.open()
        runtime.open()  # a second time is once
        heap = [[] for _ in range(300_000)]  # type: ignore[var-annotated]  # something to walk through
        began = time.perf_counter()
        gc.collect(2)
        took = time.perf_counter() - began
        gc.collect(0)
        gc.collect(0)
        runtime.close()
        gc.collect(2)
    finally:
        gc.enable()
    assert len(heap) == 300_000
    count = [value(registry, "python_gc_pause_seconds_count", generation=str(g)) for g in range(3)]
    assert count == [2, 0, 1]
    pause = value(registry, "python_gc_pause_seconds_sum", generation="2")
    assert 0.5 * took < pause <= took


def test_the_callback_may_run_under_any_lock(registry: PedanticRegistry) -> None:
    """In the middle of making a child, of a scrape's Python half, of logging: wherever objects are made."""
    pauses = GcPauses(registry)
    pauses.start()

    class Collects(str):
        __slots__ = ()

        def __str__(self) -> str:
            gc.collect(0)
            return "1"

    done = threading.Event()

    def provoke() -> None:
        pauses.pauses.labels(Collects())
        with registry._lock:
            gc.collect(1)
        done.set()

    thread = threading.Thread(target=provoke, daemon=True)
    thread.start()
    assert done.wait(10), "the callback waits for a lock that its own thread holds"
    pauses.stop()
    assert value(registry, "python_gc_pause_seconds_count", generation="0") >= 1
    assert value(registry, "python_gc_pause_seconds_count", generation="1") >= 1


def test_the_callback_leaves_no_object_behind(registry: PedanticRegistry) -> None:
    pauses = GcPauses(registry)
    callback = pauses._listener.callback
    starting, stopping = {"generation": 0}, {"generation": 0}
    for _ in range(100):
        callback("start", starting)
        callback("stop", stopping)
    gc.collect()
    gc.disable()
    try:
        tracked, blocks = gc.get_count()[0], sys.getallocatedblocks()
        for _ in range(10_000):
            callback("start", starting)
            callback("stop", stopping)
        # What stays is the numbers of this test; nothing comes of ten thousand calls.
        assert gc.get_count()[0] - tracked < 10
        assert sys.getallocatedblocks() - blocks < 50
    finally:
        gc.enable()


def test_a_forgotten_collector_stops_listening(registry: PedanticRegistry) -> None:
    before = len(gc.callbacks)
    pauses = GcPauses(registry)
    pauses.start()
    assert len(gc.callbacks) == before + 1
    del pauses
    gc.collect()
    assert len(gc.callbacks) == before


def test_two_collectors_of_one_registry_count_a_pause_once(registry: PedanticRegistry) -> None:
    one, two = RuntimeCollector(registry=registry), RuntimeCollector(registry=registry)
    gc.disable()
    try:
        one.open()
        two.open()
        gc.collect(1)
        one.close()
        gc.collect(1)
        two.close()
        two.close()
        gc.collect(1)
    finally:
        gc.enable()
    assert value(registry, "python_gc_pause_seconds_count", generation="1") == 2


def test_pauses_can_be_left_out(registry: PedanticRegistry) -> None:
    before = list(gc.callbacks)
    runtime = RuntimeCollector(registry=registry, gc_pauses=False)
    runtime.open()
    assert gc.callbacks == before
    assert not any("pause" in name for name, _ in samples(registry))
    runtime.close()


def test_a_blocked_loop_shows_in_the_lag(registry: PedanticRegistry, runtime: RuntimeCollector) -> None:
    async def application() -> None:
        runtime.open()
        until_quiet = value(registry, "asyncio_loop_lag_seconds_count")
        await until_async(
            lambda: value(registry, "asyncio_loop_lag_seconds_count") >= until_quiet + 20, seconds=20
        )
        assert runtime._lag.lag.quantile(0.5) < 0.1
        time.sleep(0.5)  # noqa: ASYNC251  # the fault that this is about
        await asyncio.sleep(0.05)

    asyncio.run(application())
    assert runtime._lag.lag.quantile(1) == pytest.approx(0.5, abs=0.2)
    assert value(registry, "asyncio_loop_lag_seconds_bucket", le="+Inf") > value(
        registry, "asyncio_loop_lag_seconds_bucket", le="0.25"
    )


def test_a_loop_that_hangs_is_seen_from_outside(registry: PedanticRegistry) -> None:
    runtime = RuntimeCollector(registry=registry, interval=0.02, lag_period=0.01)

    async def application() -> float:
        async with CollectorScheduler([runtime], registry=registry) as scheduler:
            await until_async(lambda: scheduler.status()["runtime"].state == "ok")
            await asyncio.sleep(0.05)
            deadline = time.monotonic() + 10
            seen = 0.0
            while seen < 0.4 and time.monotonic() < deadline:
                time.sleep(0.01)  # noqa: ASYNC251  # never gives the loop a turn
                seen = value(registry, "asyncio_loop_unresponsive_seconds")
        return seen

    assert asyncio.run(application()) >= 0.4


def test_tasks_are_those_of_the_applications_loop(
    registry: PedanticRegistry, runtime: RuntimeCollector
) -> None:
    async def application() -> None:
        runtime.open()
        tasks = [asyncio.create_task(asyncio.sleep(30)) for _ in range(40)]
        await collect_async(runtime)
        # The forty, the application, and the run itself.
        assert value(registry, "asyncio_tasks") == 42
        for task in tasks:
            task.cancel()

    asyncio.run(application())
    collect(runtime)
    assert value(registry, "asyncio_tasks") == 0


def test_another_loop_can_be_named_from_another_thread(
    registry: PedanticRegistry, runtime: RuntimeCollector
) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        runtime.watch(loop)
        runtime.watch(loop)
        until(lambda: value(registry, "asyncio_loop_lag_seconds_count") > 5)
        runtime.close()
        time.sleep(0.05)
        stopped = value(registry, "asyncio_loop_lag_seconds_count")
        time.sleep(0.1)
        assert value(registry, "asyncio_loop_lag_seconds_count") == stopped
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_threads_are_counted(registry: PedanticRegistry, runtime: RuntimeCollector) -> None:
    runtime.collect()
    before, stop = value(registry, "python_threads"), threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(7)]
    for thread in threads:
        thread.start()
    runtime.collect()
    stop.set()
    assert value(registry, "python_threads") - before == 7
    for thread in threads:
        thread.join()


def test_memory_is_real(registry: PedanticRegistry, runtime: RuntimeCollector) -> None:
    collect(runtime)
    heap, blocks = value(registry, "python_heap_bytes"), value(registry, "python_allocated_blocks")
    ballast = [bytearray(1024) for _ in range(50_000)]
    for block in ballast:
        block[0] = block[512] = 1
    collect(runtime)
    assert value(registry, "python_heap_bytes") - heap > 40_000_000
    assert value(registry, "python_allocated_blocks") - blocks > 50_000


def test_go_names_say_the_same(registry: PedanticRegistry) -> None:
    runtime = RuntimeCollector(registry=registry, go_names=True)
    collect(runtime)
    assert value(registry, "go_memstats_alloc_bytes") == value(registry, "python_heap_bytes") > 1_000_000
    assert value(registry, "go_goroutines") == 0


def test_it_is_released_with_the_scheduler() -> None:
    registry = CollectorRegistry()
    before = len(gc.callbacks)
    runtime = RuntimeCollector(registry=registry, interval=0.01)
    with CollectorScheduler([runtime], registry=registry) as scheduler:
        until(lambda: scheduler.status()["runtime"].state == "ok")
        assert len(gc.callbacks) == before + 1
    assert len(gc.callbacks) == before
