"""The scheduler: rhythm, failures, time limits, back-off, what becomes of stale values, what it says."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import threading
import time
from itertools import pairwise

import pytest

from ferrometer import CollectorRegistry, Gauge
from ferrometer.collectors import (
    CollectError,
    Collector,
    CollectorScheduler,
    FunctionCollector,
    UnavailableError,
)
from ferrometer.testing import samples, value
from tests.collectors.support import Counting, Switch, own_threads, until


def test_it_flies_again_and_again_and_says_so(registry: CollectorRegistry) -> None:
    collector = Counting(registry)
    began = time.time()
    with CollectorScheduler([collector], registry=registry) as scheduler:
        until(lambda: collector.runs >= 5)
        until(lambda: scheduler.status()["counting"].state == "ok")
        assert value(registry, "counting_things") >= 4
        assert value(registry, "ferrometer_collector_success", collector="counting") == 1
        assert 0 <= value(registry, "ferrometer_collector_duration_seconds", collector="counting") < 1
        last = value(registry, "ferrometer_collector_last_success_timestamp_seconds", collector="counting")
        assert began <= last <= time.time()
        assert not any(name == "ferrometer_collector_errors_total" for name, _ in samples(registry))
    until(lambda: own_threads() == [], seconds=1)


def test_the_rhythm_is_from_start_to_start_with_jitter(registry: CollectorRegistry) -> None:
    starts: list[float] = []

    def act() -> None:
        starts.append(time.monotonic())
        time.sleep(0.06)

    with CollectorScheduler([Counting(registry, act, interval=0.1)], registry=registry):
        until(lambda: len(starts) >= 21)
    gaps = sorted(b - a for a, b in pairwise(starts[:21]))
    # From end to start it would be 0.16 s. A busy machine delays single starts, not the rhythm.
    assert 0.09 < gaps[10] < 0.14
    assert starts[20] - starts[0] >= 20 * 0.095 - 0.05
    assert len({round(gap, 4) for gap in gaps}) > 5, "no jitter"


def test_async_collectors_fly_on_the_schedulers_loop(registry: CollectorRegistry) -> None:
    seen: set[tuple[str, int]] = set()

    async def collect() -> None:
        await asyncio.sleep(0)
        seen.add((threading.current_thread().name, id(asyncio.get_running_loop())))

    names = ("one", "two")
    with CollectorScheduler([FunctionCollector(n, collect, interval=0.01) for n in names], registry=registry):
        until(lambda: value_or_zero(registry, "two") == 1)
    assert {thread for thread, _ in seen} == {"ferrometer-collectors"}
    assert len({loop for _, loop in seen}) == 1


def value_or_zero(registry: CollectorRegistry, collector: str) -> float:
    return samples(registry).get(("ferrometer_collector_success", (("collector", collector),)), 0.0)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_slow_collector_times_out_and_holds_up_nobody(registry: CollectorRegistry, kind: str) -> None:
    release = threading.Event()
    flying = 0
    most = 0

    def slow() -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        release.wait(20)
        flying -= 1

    async def slow_async() -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            await asyncio.sleep(20)
        finally:
            flying -= 1

    other = Counting(registry, name="other")
    bad = FunctionCollector("bad", slow if kind == "sync" else slow_async, interval=0.05, timeout=0.1)
    with CollectorScheduler([bad, other], registry=registry) as scheduler:
        until(lambda: scheduler.status()["bad"].state == "failing")
        before = other.runs
        until(lambda: other.runs > before + 10)
        assert value(registry, "ferrometer_collector_errors_total", collector="bad", reason="timeout") >= 1
        assert value(registry, "ferrometer_collector_success", collector="bad") == 0
        if kind == "sync":  # a thread cannot be stopped: no second run starts beside it
            hung = {"collector": "bad", "reason": "hung"}
            until(
                lambda: (
                    samples(registry).get(
                        ("ferrometer_collector_errors_total", tuple(sorted(hung.items()))), 0
                    )
                    > 1
                )
            )
            assert sum(thread.name == "ferrometer-collector-bad" for thread in own_threads()) == 1
        assert most == 1
        release.set()
    until(lambda: own_threads() == [])
    assert flying == 0


@pytest.mark.parametrize("stopped", [False, True])
def test_a_late_answer_does_not_bring_back_stale_values(registry: CollectorRegistry, stopped: bool) -> None:
    release, done = threading.Event(), threading.Event()

    class Late(Counting):
        def collect(self) -> None:
            release.wait(20)
            super().collect()
            assert value(registry, "counting_things") == 1
            done.set()

    # After the time is out, the next start is half a minute away: nothing but the run itself can act.
    scheduler = CollectorScheduler([Late(registry, interval=30, timeout=0.05)], registry=registry, grace=0.1)
    scheduler.start()
    until(lambda: scheduler.status()["counting"].state == "failing")
    if stopped:
        scheduler.stop()
    release.set()
    until(done.is_set)
    until(lambda: own_threads() == [] if stopped else len(own_threads()) == 1)
    assert math.isnan(value(registry, "counting_things"))
    assert not any(name == "counting_labelled_things" for name, _ in samples(registry))
    scheduler.stop()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("x"), "KeyError"),
        (CollectError("refused by 10.0.0.1", reason="refused"), "refused"),
        (TimeoutError(), "timeout"),
        (SystemExit(3), "SystemExit"),
    ],
)
def test_a_failure_is_counted_by_its_reason_and_recovers(
    registry: CollectorRegistry, error: BaseException, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ferrometer.collectors")
    switch = Switch(error)
    collector = Counting(registry, switch)
    with CollectorScheduler([collector], registry=registry) as scheduler:
        until(lambda: collector.runs >= 3)
        status = scheduler.status()["counting"]
        assert (status.state, status.reason) == ("failing", reason)
        assert value(registry, "ferrometer_collector_success", collector="counting") == 0
        errors = value(registry, "ferrometer_collector_errors_total", collector="counting", reason=reason)
        assert errors >= 2
        switch.error = None
        until(lambda: scheduler.status()["counting"].state == "ok")
        assert value(registry, "ferrometer_collector_success", collector="counting") == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, said
    assert said[0].startswith("collector 'counting' failing: ")
    assert said[1] == "collector 'counting' recovered"


def test_the_log_holds_the_collectors_words_but_never_a_foreign_message(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ferrometer.collectors")
    switch = Switch(ConnectionError("postgres://user:hunter2@db/x refused"))
    collector = Counting(registry, switch)
    with CollectorScheduler([collector], registry=registry) as scheduler:
        until(lambda: scheduler.status()["counting"].state == "failing")
        switch.error = CollectError("db:5432 refused the connection", reason="refused")
        until(lambda: scheduler.status()["counting"].reason == "refused")
        switch.error = ConnectionError("hunter2 again")
        until(lambda: scheduler.status()["counting"].reason == "ConnectionError")
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "hunter2" not in text
    assert re.search(r"failing: ConnectionError \(support\.py:\d+\)", text)
    assert "failing: db:5432 refused the connection" in text
    assert text.count("ConnectionError") == 1, "a reason is said once per outage"


def test_what_is_not_there_is_said_once_and_is_no_error(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ferrometer.collectors")
    collector = Counting(registry, Switch(UnavailableError("no driver")))
    with CollectorScheduler([collector], registry=registry) as scheduler:
        until(lambda: collector.runs >= 3)
        assert scheduler.status()["counting"].state == "unavailable"
        assert value(registry, "ferrometer_collector_success", collector="counting") == 0
        assert not any(name == "ferrometer_collector_errors_total" for name, _ in samples(registry))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "collector 'counting' unavailable: no driver")
    ]


def test_back_off_doubles_up_to_eight_intervals(registry: CollectorRegistry) -> None:
    starts: list[float] = []

    def act() -> None:
        starts.append(time.monotonic())
        raise OSError

    with CollectorScheduler([Counting(registry, act, interval=0.05)], registry=registry):
        until(lambda: len(starts) >= 6)
    gaps = [b - a for a, b in pairwise(starts)]
    for gap, expected in zip(gaps, (0.05, 0.1, 0.2, 0.4, 0.4), strict=False):
        # A thread that starts late on a busy machine has less of its gap left.
        assert gap >= expected * 0.75 - 0.1
    assert sum(gaps[:5]) >= 1.15 * 0.75 - 0.1
    assert gaps[4] < 0.4 * 1.25 + 0.3


@pytest.mark.parametrize(
    ("stale", "plain", "labelled"), [("drop", "nan", None), ("nan", "nan", "nan"), ("keep", 3.0, 3.0)]
)
def test_stale_values(
    registry: CollectorRegistry, stale: str, plain: float | str, labelled: float | str | None
) -> None:
    switch = Switch()
    collector = Counting(registry, switch, stale=stale)  # type: ignore[arg-type]
    failed = threading.Event()

    def three_then_fail() -> None:
        if collector.runs > 3:
            failed.set()
            raise OSError

    collector.act = three_then_fail
    with CollectorScheduler([collector], registry=registry) as scheduler:
        until(failed.is_set)
        until(lambda: scheduler.status()["counting"].state == "failing")
        found = samples(registry)
    assert str(found["counting_things", ()]) == str(plain)
    assert str(found.get(("counting_labelled_things", (("kind", "a"),)))) == str(labelled)


def test_before_the_first_success_there_is_no_value(registry: CollectorRegistry) -> None:
    collector = Counting(registry, Switch(OSError()))
    with CollectorScheduler([collector], registry=registry):
        until(lambda: collector.runs >= 1)
        assert math.isnan(value(registry, "counting_things"))


def test_stopped_collectors_show_nothing_and_may_start_again(registry: CollectorRegistry) -> None:
    collector = Counting(registry)
    scheduler = CollectorScheduler([collector], registry=registry)
    for _ in range(3):
        before = collector.runs
        scheduler.start()
        scheduler.start()  # a second start is none
        until(lambda before=before: collector.runs > before + 1)  # type: ignore[misc]
        assert len([thread for thread in own_threads() if thread.name == "ferrometer-collectors"]) == 1
        scheduler.stop()
        scheduler.stop()
        until(lambda: own_threads() == [], seconds=1)
        assert scheduler.status()["counting"].state == "stopped"
        assert math.isnan(value(registry, "counting_things"))
        assert not any(name == "ferrometer_collector_success" for name, _ in samples(registry))


def test_collectors_come_and_go_while_it_runs(registry: CollectorRegistry) -> None:
    first, second = Counting(registry, name="first"), Counting(registry, name="second")
    with CollectorScheduler([first], registry=registry) as scheduler:
        until(lambda: first.runs > 1)
        scheduler.add(second)
        until(lambda: second.runs > 1)
        with pytest.raises(ValueError, match="there is a collector 'second' already"):
            scheduler.add(Counting(registry, name="second"))
        scheduler.remove("first")
        scheduler.remove("never there")
        until(lambda: math.isnan(value(registry, "first_things")))
        gone, there = first.runs, second.runs
        until(lambda: second.runs > there + 3)
        assert first.runs <= gone + 1
        assert list(scheduler.status()) == ["second"]


def test_open_and_close_surround_the_runs(registry: CollectorRegistry) -> None:
    events: list[str] = []

    class Holder(Collector):
        name = "holder"
        interval = 0.01

        def open(self) -> None:
            events.append(f"open in {threading.current_thread().name}")

        async def collect(self) -> None:
            events.append("collect")

        async def close(self) -> None:
            await asyncio.sleep(0)
            events.append(f"close in {threading.current_thread().name}")

    with CollectorScheduler([Holder()], registry=registry):
        until(lambda: "collect" in events)
    assert events[0] == f"open in {threading.current_thread().name}"
    assert events[-1] == "close in ferrometer-collectors"


def test_hooks_that_fail_stop_nothing(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Counting):
        def open(self) -> None:
            raise OSError("secret")

        def close(self) -> None:
            raise OSError("secret")

        def clear(self) -> None:
            raise OSError("secret")

    collector = Clumsy(registry)
    with CollectorScheduler([collector], registry=registry) as scheduler:
        until(lambda: scheduler.status()["counting"].state == "ok")
        assert (
            value(registry, "ferrometer_collector_errors_total", collector="counting", reason="OSError") == 1
        )
    assert "could not close: OSError (test_frame.py" in caplog.text
    assert "secret" not in caplog.text


def test_an_object_that_only_looks_like_a_collector_will_do(registry: CollectorRegistry) -> None:
    class Duck:
        name = "duck"

        def __init__(self) -> None:
            self.quacks = Gauge("duck_quacks", "Quacks", registry=registry)

        def collect(self) -> None:
            self.quacks.set(1)

    with CollectorScheduler([Duck()], registry=registry):  # type: ignore[list-item]
        until(lambda: samples(registry).get(("duck_quacks", ())) == 1)
    assert math.isnan(value(registry, "duck_quacks"))
