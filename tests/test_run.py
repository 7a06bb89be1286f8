"""Checks that hang, crowd or go wrong: one run each, and none holds up the rest."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from ferrometer.health import CheckResult, HealthChecks

pytestmark = pytest.mark.anyio

FOREVER = 3600.0
SOON = 0.05
LONG = 60.0  # what a healthy check has on a busy machine


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event that hanging checks wait for; set at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


async def one(check: Any, **options: Any) -> CheckResult:
    health = HealthChecks(**{"timeout": LONG, **options})
    health.register("it", check)
    report = await health.run()
    return report.checks["it"]


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - threads and tasks that end set no event
            await anyio.sleep(0.001)


@pytest.mark.parametrize("error", [SystemExit("bye"), KeyboardInterrupt(), GeneratorExit()])
async def test_an_exit_inside_a_thread_stays_there(error: BaseException) -> None:
    def leaves() -> None:
        raise error

    assert (await one(leaves)).error == type(error).__name__


async def test_an_exit_inside_a_coroutine_does_not_end_the_event_loop() -> None:
    async def leaves() -> None:
        raise SystemExit

    assert (await one(leaves)).error == "SystemExit"


async def test_plain_checks_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3)
    health = HealthChecks({str(n): lambda: bool(barrier.wait(LONG) + 1) for n in range(3)}, timeout=LONG)
    assert (await health.run()).status == "ok"


async def test_coroutine_checks_run_at_the_same_time() -> None:
    arrived: list[int] = []
    together = anyio.Event()

    async def meet() -> None:
        arrived.append(1)
        if len(arrived) == 3:
            together.set()
        await together.wait()

    health = HealthChecks(dict.fromkeys("abc", meet), timeout=LONG)
    assert (await health.run()).status == "ok"


async def test_a_hanging_thread_is_one_thread_and_only_its_component(release: threading.Event) -> None:
    calls: list[int] = []

    def hang() -> None:
        calls.append(1)
        release.wait()

    health = HealthChecks(timeout=LONG, cache_seconds=0)
    health.register("hang", hang, timeout=SOON)
    health.register("fine", lambda: True)
    for _ in range(50):
        report = await health.run()
        assert {name: result.healthy for name, result in report.checks.items()} == {
            "hang": False,
            "fine": True,
        }
        assert report.checks["hang"].error == "TimeoutError"
    assert len(calls) == 1
    assert len(threads_named("ferrometer-health-hang")) == 1
    assert report.checks["hang"].response_time_ms >= SOON * 1000

    release.set()
    await until(lambda: not threads_named("ferrometer-health-hang"))
    assert (await health.run()).status == "ok"
    assert len(calls) == 2


async def test_while_a_check_hangs_nobody_waits_for_it_again(release: threading.Event) -> None:
    health = HealthChecks(timeout=LONG, cache_seconds=0)
    health.register("hang", release.wait, timeout=SOON)
    await health.run()
    # Far beyond any deadline of ours, were each run to wait for its own.
    with anyio.fail_after(SOON * 100):
        for _ in range(1000):
            assert not (await health.run()).checks["hang"].healthy


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # under trio a cancelled scope wakes every checkpoint
async def test_a_coroutine_that_swallows_its_cancellation_is_one_task() -> None:
    calls: list[int] = []
    let_go = asyncio.Event()

    async def stubborn() -> None:
        calls.append(1)
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    health = HealthChecks(timeout=LONG, cache_seconds=0)
    health.register("stubborn", stubborn, timeout=SOON)
    for _ in range(50):
        assert (await health.run()).checks["stubborn"].error == "TimeoutError"
    assert len(calls) == 1
    let_go.set()
    await until(lambda: all(task.get_name() != "ferrometer-health-stubborn" for task in asyncio.all_tasks()))
    assert health.last_status() == "unhealthy"  # it did come back with an answer, but too late to count
    assert (await health.run()).status == "ok"
    assert len(calls) == 2


async def test_a_coroutine_that_waits_for_ever_is_cancelled() -> None:
    ended: list[int] = []

    async def forever() -> None:
        try:
            await anyio.sleep(FOREVER)
        finally:
            ended.append(1)

    assert (await one(forever, timeout=SOON)).error == "TimeoutError"
    await until(lambda: ended)


async def test_a_result_is_kept_and_a_crowd_is_one_run() -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)

    fresh = HealthChecks({"it": check}, cache_seconds=FOREVER, timeout=LONG)
    async with anyio.create_task_group() as crowd:
        for _ in range(50):
            crowd.start_soon(fresh.run)
    assert len(calls) == 1
    await fresh.run()
    assert len(calls) == 1

    stale = HealthChecks({"it": check}, cache_seconds=0, timeout=LONG)
    for n in range(2, 5):
        await stale.run()
        assert len(calls) == n


async def test_a_caller_that_goes_away_does_not_take_the_check_with_it() -> None:
    entered, go_on = anyio.Event(), anyio.Event()
    calls: list[int] = []

    async def check() -> None:
        calls.append(1)
        entered.set()
        await go_on.wait()

    health = HealthChecks({"it": check}, timeout=LONG)
    async with anyio.create_task_group() as callers:
        callers.start_soon(health.run)
        await entered.wait()
        callers.cancel_scope.cancel()
    go_on.set()
    assert (await health.run()).status == "ok"
    assert len(calls) == 1


def test_a_check_cut_off_by_the_end_of_its_event_loop_says_nothing() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    health = HealthChecks(cache_seconds=FOREVER)
    health.register("it", never, timeout=LONG)

    async def leave_early() -> None:
        me = asyncio.current_task()
        assert me is not None
        asyncio.get_running_loop().call_later(SOON, me.cancel)
        await health.run()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave_early())
    health._components["it"].check = lambda: True
    assert asyncio.run(health.run()).status == "ok"


def test_a_hanging_check_does_not_keep_the_process_from_ending() -> None:
    program = """
        import asyncio, threading
        from ferrometer.health import HealthChecks
        health = HealthChecks({"hang": threading.Event().wait}, timeout=0.05)
        print(asyncio.run(health.run()).status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == "unhealthy"


async def test_threads_that_cannot_be_had_make_the_component_unhealthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    health = HealthChecks({"it": lambda: True}, timeout=LONG, cache_seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        assert (await health.run()).checks["it"].error == "RuntimeError"
    assert (await health.run()).status == "ok"
