"""What the background costs: CPU time of all default collectors, and of a queue that is tracked.

Ten seconds of an application are lived through in a tenth of a second: every interval is a hundredth of
what it is by default, the event loop's probe included. So one sample is the CPU time of some hundred
runs, with threads, wake-ups and file reads as they are, and not the time of one function in a warm cache.

    python -m benches.collectors 2.0 100    # for so many seconds, so many times faster than life
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import queue
import sys
import time
from functools import partial
from typing import Any

from benches.footprint import run
from benches.loop import blank, generate
from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave, progress

FASTER = 100
CACHES, QUEUES = 10, 5


def measure_background(effort: Effort) -> Samples:
    """CPU seconds in ten seconds of an application's life, each sample in a process of its own."""
    samples: Samples = {OURS: [], CONTROL: []}
    rounds, seconds = effort.rounds(7, 2), effort.seconds(2.0, 0.5)
    for number in range(rounds):
        progress("background", number + 1, rounds)
        for name, faster in ((OURS, FASTER), (CONTROL, 2 * FASTER)):
            cpu = float(run("-m", "benches.collectors", str(seconds), str(faster)))
            samples[name].append(cpu / (seconds * FASTER / 10))
    return samples


async def background(seconds: float, faster: float) -> float:
    """CPU seconds that the default collectors use while an application does nothing else."""
    from ferrometer import CollectorRegistry, track_cache, track_queue
    from ferrometer.background.scheduler import CollectorScheduler
    from ferrometer.collectors.defaults import default_collectors
    from ferrometer.collectors.host.loop_lag import PERIOD
    from ferrometer.collectors.host.runtime import RuntimeCollector
    from ferrometer.testing import value

    registry = CollectorRegistry()
    kept: list[Any] = [functools.lru_cache(100)(lambda key: key) for _ in range(CACHES)]
    for number, cache in enumerate(kept):
        track_cache(f"cache {number}", cache, registry=registry)
    kept += [track_queue(f"queue {n}", queue.SimpleQueue(), registry=registry) for n in range(QUEUES)]
    runtime = RuntimeCollector(registry=registry, lag_period=PERIOD / faster)
    collectors = [runtime, *default_collectors(registry, exclude=["runtime"])]
    runs = dict.fromkeys((collector.name for collector in collectors), 0)
    for collector in collectors:
        collector.interval /= faster
        collector.collect = _counted(collector.name, collector.collect, runs)  # type: ignore[method-assign]
        collector.idle_interval = lambda: 0.0  # type: ignore[method-assign]  # as where there are pools
    application = f"bench {time.monotonic_ns()}"
    async with CollectorScheduler(collectors, registry=registry, application=application) as scheduler:
        await asyncio.sleep(0.2)  # the first runs import what they need
        began, done = time.process_time(), dict(runs)
        await asyncio.sleep(seconds)
        used = time.process_time() - began
        # Whatever the time was: every collector ran as often as it should, and succeeded.
        for collector in collectors:
            expected = seconds / collector.interval
            runs_done = runs[collector.name] - done[collector.name]
            assert 0.5 * expected <= runs_done <= 1.2 * expected + 1, (collector.name, runs_done, expected)
            assert scheduler.status()[collector.name].state == "ok", scheduler.status()[collector.name]
        assert value(registry, "asyncio_loop_lag_seconds_count") >= 0.1 * seconds / runtime._lag._period
        assert value(registry, "process_cpu_seconds_total") >= used / 2
        assert value(registry, "cache_max_entries", cache_type="cache 9") == 100
    return used


def _counted(name: str, collect: Any, runs: dict[str, int]) -> Any:
    def counting() -> None:
        runs[name] += 1
        collect()

    async def counting_on_the_loop() -> None:
        runs[name] += 1
        await collect()

    return counting_on_the_loop if inspect.iscoroutinefunction(collect) else counting


def measure_queue(effort: Effort) -> Samples:
    """Seconds of a put and a get: as they are, and of a queue that is tracked."""

    def subjects() -> list[Subject]:
        from ferrometer import CollectorRegistry, track_queue
        from ferrometer.testing import value

        registry = CollectorRegistry()
        plain: queue.Queue[int] = queue.Queue()
        twice: queue.Queue[int] = track_queue("twice", queue.Queue(), service="twice", registry=registry)
        tracked: queue.Queue[int] = track_queue("jobs", queue.Queue(), registry=registry)

        def check(name: str, done: int) -> None:
            assert value(registry, "queue_wait_seconds_count", queue=name) == done
            assert value(registry, "queue_depth", queue=name) == 0

        def subject(name: str, subject: queue.Queue[int], **more: Any) -> Subject:
            inner = generate("put(1); get()", {"put": subject.put_nowait, "get": subject.get_nowait})
            return Subject(name, lambda n: inner(blank(n)), step=25, **more)

        return [
            subject(FLOOR, plain),
            subject(OURS, tracked, check=partial(check, "jobs")),
            subject("  and under a second name", twice, check=partial(check, "twice")),
        ]

    return interleave(
        subjects, rounds=effort.rounds(61), seconds=effort.seconds(0.005), title="queue", builds=3
    )


ROWS = (
    Row(
        "collectors",
        "all default collectors, 10 s",
        "ms",
        measure_background,
        (Aim(OURS, at_most=20.0),),
        faster_than_control=OURS,
        note="CPU time; 20 ms are 0.2 % of a core; control: every 5 s",
    ),
    Row("queue", "queue, put and get", "ns", measure_queue, note="floor: a queue.Queue that is not tracked"),
)

if __name__ == "__main__":
    print(asyncio.run(background(float(sys.argv[1]), float(sys.argv[2]))))
