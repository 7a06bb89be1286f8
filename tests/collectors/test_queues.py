"""Queues in use: depth at every moment, and waiting times of the right items in every order."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import queue
import random
import threading
import time
from typing import Any

import pytest

from ferrometer.collectors.app.queues import QueueCollector, track_queue
from ferrometer.testing import PedanticRegistry, collect, lint, samples, value

KINDS: tuple[type, ...] = (
    queue.Queue,
    queue.LifoQueue,
    queue.PriorityQueue,
    asyncio.Queue,
    asyncio.LifoQueue,
    asyncio.PriorityQueue,
)


def kind_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}.{kind.__name__}"


def depth(registry: PedanticRegistry, name: str = "jobs") -> float:
    return value(registry, "queue_depth", queue=name)


def waited(registry: PedanticRegistry, name: str = "jobs") -> tuple[float, float]:
    return (
        value(registry, "queue_wait_seconds_count", queue=name),
        value(registry, "queue_wait_seconds_sum", queue=name),
    )


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
def test_depth_and_wait(registry: PedanticRegistry, kind: type) -> None:
    jobs: Any = kind(9)
    track_queue("jobs", jobs, service="gateway", registry=registry)
    assert kind in type(jobs).__mro__
    measured = type(jobs)
    track_queue("jobs", jobs, registry=registry)  # twice is once
    assert type(jobs) is measured
    assert value(registry, "queue_capacity", queue="jobs") == 9
    jobs.put_nowait(3)
    time.sleep(0.2)
    jobs.put_nowait(1)
    assert depth(registry) == jobs.qsize() == 2
    first = jobs.get_nowait()
    assert first == {"LifoQueue": 1, "PriorityQueue": 1}.get(kind.__name__, 3)
    count, seconds = waited(registry)
    assert count == 1
    assert (seconds >= 0.2) == (first == 3)
    jobs.get_nowait()
    count, seconds = waited(registry)
    assert count == 2
    assert 0.2 <= seconds < 2
    assert depth(registry) == 0
    assert value(registry, "request_queue_depth", service="gateway") == 0
    assert value(registry, "request_queue_wait_seconds_count", service="gateway") == 2
    assert lint(registry) == []


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
def test_what_waited_before_is_counted_but_not_timed(registry: PedanticRegistry, kind: type) -> None:
    jobs: Any = kind()
    for number in (5, 6):
        jobs.put_nowait(number)
    track_queue("jobs", jobs, registry=registry)
    assert depth(registry) == 2
    jobs.put_nowait(7)
    taken = [jobs.get_nowait() for _ in range(3)]
    assert sorted(taken) == [5, 6, 7]
    assert waited(registry)[0] == 1
    assert depth(registry) == 0


@pytest.mark.parametrize("kind", [queue.PriorityQueue, asyncio.PriorityQueue], ids=kind_name)
def test_equal_items_in_a_priority_queue(registry: PedanticRegistry, kind: type) -> None:
    jobs: Any = track_queue("jobs", kind(), registry=registry)
    item = 1
    for _ in range(50):
        jobs.put_nowait(item)
    assert [jobs.get_nowait() for _ in range(50)] == [1] * 50
    assert waited(registry)[0] == 50


def test_many_threads(registry: PedanticRegistry) -> None:
    jobs: queue.Queue[int] = track_queue("jobs", queue.Queue(20), registry=registry)
    each, workers = 2_000, 4

    def produce() -> None:
        for number in range(each):
            jobs.put(number)

    def consume() -> None:
        for _ in range(each):
            jobs.get()
            jobs.task_done()

    threads = [threading.Thread(target=work) for work in (produce, consume) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    jobs.join()
    assert waited(registry)[0] == each * workers
    assert depth(registry) == 0


def test_asyncio_with_waiting_getters_and_cancellation(registry: PedanticRegistry) -> None:
    async def application() -> None:
        jobs: asyncio.Queue[int] = track_queue("jobs", asyncio.Queue(2), registry=registry)
        getters = [asyncio.create_task(jobs.get()) for _ in range(3)]
        await asyncio.sleep(0)
        getters[0].cancel()
        for number in range(2):
            await jobs.put(number)
        assert await asyncio.gather(*getters[1:]) == [0, 1]
        putters = [asyncio.create_task(jobs.put(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert depth(registry) == 2  # the other two wait outside
        assert [await jobs.get() for _ in range(4)] == [0, 1, 2, 3]
        await asyncio.gather(*putters)

    asyncio.run(application())
    assert waited(registry)[0] == 6
    assert depth(registry) == 0


def test_a_subclass_with_an_order_of_its_own(registry: PedanticRegistry) -> None:
    class Shuffled(queue.Queue[str]):
        def _get(self) -> str:
            place = random.randrange(len(self.queue))
            item: str = self.queue[place]
            del self.queue[place]
            return item

    jobs = track_queue("jobs", Shuffled(), registry=registry)
    jobs.put("early")
    time.sleep(0.15)
    jobs.put("late")
    for _ in range(2):
        before = waited(registry)[1]
        item = jobs.get()
        assert (waited(registry)[1] - before >= 0.15) == (item == "early")


def test_a_queue_that_dies_full_leaves_no_depth_behind(registry: PedanticRegistry) -> None:
    one: queue.Queue[int] = track_queue("jobs", queue.Queue(), registry=registry)
    two: queue.Queue[int] = track_queue("jobs", queue.Queue(), registry=registry)
    for number in range(3):
        one.put(number)
        two.put(number)
    assert depth(registry) == 6
    del two
    gc.collect()
    assert depth(registry) == 3


@pytest.mark.parametrize("make", [queue.SimpleQueue, multiprocessing.Queue])
def test_other_queues_are_asked_for_their_depth(registry: PedanticRegistry, make: Any) -> None:
    jobs = track_queue("jobs", make(), registry=registry)
    collector = QueueCollector(registry=registry)
    for number in range(4):
        jobs.put(number)
    collect(collector)
    assert depth(registry) == 4
    jobs.get()
    collect(collector)
    assert depth(registry) == 3
    assert not any(name.startswith("queue_wait") for name, _ in samples(registry)), "a wait nobody measures"
    while jobs.qsize():
        jobs.get()
    del jobs
    gc.collect()
    collect(collector)
    assert depth(registry) == 0


def test_what_is_no_queue_is_refused(registry: PedanticRegistry) -> None:
    with pytest.raises(TypeError, match=r"cannot track list: it has no qsize\(\)"):
        track_queue("jobs", [], registry=registry)
    with pytest.raises(ValueError, match="a queue's name must be a string"):
        track_queue("", queue.Queue(), registry=registry)


@pytest.mark.parametrize("how", ["clear", "remove"])
def test_what_comes_after_a_removal_is_shown(registry: PedanticRegistry, how: str) -> None:
    class Polled:
        def __init__(self) -> None:
            self.items = 3

        def qsize(self) -> int:
            return self.items

    jobs: queue.Queue[int] = track_queue("jobs", queue.Queue(9), service="gateway", registry=registry)
    polled = track_queue("polled", Polled(), registry=registry)
    collector = QueueCollector(registry=registry)
    jobs.put(1)
    jobs.put(2)
    for name in ("queue_depth", "request_queue_depth", "queue_wait_seconds", "queue_capacity"):
        family: Any = registry._names_to_collectors[name]
        if how == "clear":
            family.clear()
        else:
            for labels in list(family._metrics):
                family.remove(*labels)
    jobs.put(3)
    assert depth(registry) == 3  # all that wait, not only what came since
    assert value(registry, "request_queue_depth", service="gateway") == 3
    assert jobs.get() == 1
    assert depth(registry) == 2
    assert waited(registry)[0] == 1
    polled.items = 4
    collect(collector)
    assert depth(registry, "polled") == 4
    assert value(registry, "queue_capacity", queue="jobs") == 9
    family = registry._names_to_collectors["queue_depth"]
    family.clear()
    collect(collector)  # without a single put or get
    assert depth(registry) == 2
    assert depth(registry, "polled") == 4


def test_the_capacity_of_a_name_is_that_of_all_its_queues(registry: PedanticRegistry) -> None:
    queues: list[queue.Queue[int]] = [queue.Queue(3), queue.Queue(4)]
    for one in queues:
        track_queue("jobs", one, registry=registry)
    assert value(registry, "queue_capacity", queue="jobs") == 7
    queues.pop()
    del one
    gc.collect()
    assert value(registry, "queue_capacity", queue="jobs") == 3
