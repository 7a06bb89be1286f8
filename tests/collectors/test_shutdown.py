"""Stopping: in bounded time, on both kinds of loop, and nothing left but what truly cannot be stopped."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time

import pytest

from ferrometer import CollectorRegistry
from ferrometer.collectors import CollectorScheduler, FunctionCollector
from ferrometer.testing import value
from tests.collectors.support import Counting, own_threads, until, until_async


def test_a_hung_thread_does_not_hold_up_the_stop(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    hung = FunctionCollector("hung", lambda: release.wait(30), interval=0.05, timeout=0.05)
    scheduler = CollectorScheduler([hung], registry=registry, grace=0.2)
    for _ in range(2):  # a second life does not add a second hung thread
        scheduler.start()
        until(lambda: scheduler.status()["hung"].state != "stopped")
        until(lambda: any(thread.name == "ferrometer-collector-hung" for thread in own_threads()))
        began = time.monotonic()
        scheduler.stop()
        assert time.monotonic() - began < 2
        assert "left behind, still running: hung" in caplog.text
        (left,) = own_threads()
        assert (left.name, left.daemon) == ("ferrometer-collector-hung", True)
    release.set()
    until(lambda: own_threads() == [])


def test_a_run_in_the_air_is_waited_for(registry: CollectorRegistry) -> None:
    events: list[str] = []

    class Careful(Counting):
        def close(self) -> None:
            events.append("close")

    def act() -> None:
        events.append("take off")
        time.sleep(0.3)
        events.append("land")

    scheduler = CollectorScheduler([Careful(registry, act)], registry=registry)
    scheduler.start()
    until(lambda: "take off" in events)
    scheduler.stop()
    assert events[-2:] == ["land", "close"], "closed under a run"
    until(lambda: own_threads() == [], seconds=1)


def test_a_coroutine_that_will_not_be_cancelled_is_left_behind_in_silence(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    flying = threading.Event()

    async def stubborn() -> None:
        flying.set()
        while True:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                continue

    scheduler = CollectorScheduler(
        [FunctionCollector("stubborn", stubborn, timeout=20)], registry=registry, grace=0.2
    )
    scheduler.start()
    until(flying.is_set)
    scheduler.stop()
    until(lambda: own_threads() == [])
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == ["left behind, still running: stubborn"]


def test_on_the_applications_loop_it_leaves_no_task(registry: CollectorRegistry) -> None:
    async def application() -> None:
        async def tick() -> None:
            await asyncio.sleep(0)
            loops.add(id(asyncio.get_running_loop()))

        loops: set[int] = set()
        collector = Counting(registry)
        loop = asyncio.get_running_loop()
        ticking = FunctionCollector("tick", tick, interval=0.01)
        async with CollectorScheduler([collector, ticking], registry=registry, loop=loop):
            await until_async(lambda: collector.runs > 3 and bool(loops))
            assert value(registry, "ferrometer_collector_success", collector="tick") == 1
            assert not any(thread.name == "ferrometer-collectors" for thread in own_threads())
        assert loops == {id(loop)}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(application(), debug=True)
    until(lambda: own_threads() == [], seconds=1)


def test_a_hung_run_does_not_hold_up_the_applications_loop(registry: CollectorRegistry) -> None:
    release = threading.Event()

    async def application() -> float:
        hung = FunctionCollector("hung", lambda: release.wait(30), interval=0.05)
        worst = 0.0
        scheduler = CollectorScheduler([hung], registry=registry, loop=asyncio.get_running_loop(), grace=0.2)
        async with scheduler:
            before = time.monotonic()
            for _ in range(50):
                await asyncio.sleep(0.005)
                worst, before = max(worst, time.monotonic() - before), time.monotonic()
        return worst

    assert asyncio.run(application()) < 1
    release.set()
    until(lambda: own_threads() == [])


def test_astop_does_not_block_the_loop_it_is_awaited_on(registry: CollectorRegistry) -> None:
    async def application() -> int:
        ticks = 0

        async def ticking() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        scheduler = CollectorScheduler([Counting(registry, lambda: time.sleep(0.4))], registry=registry)
        scheduler.start()
        await until_async(lambda: len(own_threads()) == 2)
        task = asyncio.create_task(ticking())
        await scheduler.astop()
        task.cancel()
        return ticks

    assert asyncio.run(application()) >= 5
    until(lambda: own_threads() == [], seconds=1)


def test_a_scheduler_that_is_forgotten_ends(registry: CollectorRegistry) -> None:
    collector = Counting(registry)
    scheduler = CollectorScheduler([collector], registry=registry)
    scheduler.start()
    until(lambda: collector.runs > 1)
    del scheduler
    gc.collect()
    until(lambda: own_threads() == [])


def test_a_program_that_never_stops_it_still_ends() -> None:
    program = """
import time, threading
from ferrometer.collectors import CollectorScheduler, FunctionCollector
flying = threading.Event()
scheduler = CollectorScheduler([
    FunctionCollector("hung", lambda: (flying.set(), threading.Event().wait())[0]),
    FunctionCollector("quick", lambda: None, interval=0.001),
])
scheduler.start()
flying.wait(10)
time.sleep(0.1)
print("end of the program")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end of the program\n", "")
