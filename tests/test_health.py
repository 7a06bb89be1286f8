"""Health checks: what they may answer, and that none of them can hold up the rest."""

import asyncio
import contextlib
import json
import logging
import re
import subprocess
import sys
import textwrap
import threading

import anyio
import pytest
from ferrometer.health import HealthChecks

pytestmark = pytest.mark.anyio

FOREVER = 3600.0
SOON = 0.05


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def release():
    """An event that hanging checks wait for; set at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


async def one(check, **options):
    health = HealthChecks(**options)
    health.register("it", check)
    report = await health.run()
    return report.checks["it"]


def threads_named(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


async def until(condition):
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.001)


@pytest.mark.parametrize(
    ("answer", "healthy", "shown"),
    [
        (True, True, {}),
        (None, True, {}),
        (False, False, {}),
        ({}, True, {}),
        ({"healthy": False}, False, {}),
        ({"total_connections": 45, "idle_connections": 20}, True, {"total_connections": 45, "idle_connections": 20}),
        ({"healthy": True, "nested": {"a": [1, 2.5, None, "x"]}}, True, {"nested": {"a": [1, 2.5, None, "x"]}}),
        ({"rate": float("nan"), "top": float("inf")}, True, {"rate": None, "top": None}),
        ({"text": "a\ud800b"}, True, {"text": "a?b"}),
        ({"response_time_ms": "mine"}, True, {}),
    ],
)
async def test_what_a_check_may_answer(answer, healthy, shown):
    async def asynchronous():
        return answer

    for check in (lambda: answer, asynchronous):
        result = (await one(check)).as_dict()
        assert result.pop("healthy") is healthy
        assert type(result.pop("response_time_ms")) is int
        assert result == shown


@pytest.mark.parametrize(
    "answer", [1, 0, "ok", [True], {"healthy": 1}, {1: 2}, {"x": object()}, {"x": {"y": {1, 2}}}, {"x": b"bytes"}]
)
async def test_any_other_answer_is_unhealthy(answer):
    result = await one(lambda: answer)
    assert (result.healthy, result.error) == (False, "TypeError")


async def test_a_recursive_answer_is_unhealthy():
    loop = {}
    loop["loop"] = loop
    assert (await one(lambda: loop)).error == "TypeError"


async def test_an_exception_shows_its_type_and_only_on_request_its_message(caplog):
    def broken():
        raise ConnectionRefusedError("postgres://app:hunter2@db/prod")

    async def asynchronous():
        broken()

    for check in (broken, asynchronous):
        caplog.clear()
        result = await one(check)
        assert result.as_dict() == {
            "healthy": False,
            "response_time_ms": result.response_time_ms,
            "error": "ConnectionRefusedError",
        }
        assert "hunter2" not in caplog.text
        shown = await one(check, expose_errors=True)
        assert shown.error == "ConnectionRefusedError: postgres://app:hunter2@db/prod"


@pytest.mark.parametrize("error", [SystemExit("bye"), KeyboardInterrupt(), GeneratorExit()])
async def test_an_exit_inside_a_thread_stays_there(error):
    def leaves():
        raise error

    assert (await one(leaves)).error == type(error).__name__


async def test_an_exit_inside_a_coroutine_does_not_end_the_event_loop():
    async def leaves():
        raise SystemExit

    assert (await one(leaves)).error == "SystemExit"


async def test_a_plain_function_may_return_an_awaitable():
    async def ping():
        return {"pong": True}

    assert (await one(lambda: ping())).fields == {"pong": True}


async def test_the_worst_component_decides_and_uncritical_ones_only_degrade():
    health = HealthChecks()
    assert (await health.run()).as_dict().keys() == {"status", "timestamp", "checks"}
    assert ((await health.run()).status, (await health.run()).http_status) == ("ok", 200)
    health.register("good", lambda: True)
    health.register("extra", lambda: False, critical=False)
    report = await health.run()
    assert (report.status, report.http_status) == ("degraded", 200)
    assert report.as_flat(12.9) == {
        "status": "degraded",
        "good": "connected",
        "extra": "disconnected",
        "uptime_seconds": 12,
    }
    health.register("bad", lambda: False)
    report = await health.run()
    assert (report.status, report.http_status) == ("unhealthy", 503)


async def test_plain_checks_run_at_the_same_time():
    barrier = threading.Barrier(3)
    health = HealthChecks({str(n): lambda: bool(barrier.wait(10) + 1) for n in range(3)}, timeout=10)
    assert (await health.run()).status == "ok"


async def test_coroutine_checks_run_at_the_same_time():
    arrived = []
    together = anyio.Event()

    async def meet():
        arrived.append(1)
        if len(arrived) == 3:
            together.set()
        await together.wait()

    health = HealthChecks(dict.fromkeys("abc", meet), timeout=10)
    assert (await health.run()).status == "ok"


async def test_a_hanging_thread_is_one_thread_and_only_its_component(release):
    calls = []

    def hang():
        calls.append(1)
        release.wait()

    health = HealthChecks(cache_seconds=0)
    health.register("hang", hang, timeout=SOON)
    health.register("fine", lambda: True)
    for _ in range(50):
        report = await health.run()
        assert {name: result.healthy for name, result in report.checks.items()} == {"hang": False, "fine": True}
        assert report.checks["hang"].error == "TimeoutError"
    assert len(calls) == 1
    assert len(threads_named("ferrometer-health-hang")) == 1
    assert report.checks["hang"].response_time_ms >= SOON * 1000

    release.set()
    await until(lambda: not threads_named("ferrometer-health-hang"))
    assert (await health.run()).status == "ok"
    assert len(calls) == 2


async def test_while_a_check_hangs_nobody_waits_for_it_again(release):
    health = HealthChecks(cache_seconds=0)
    health.register("hang", release.wait, timeout=SOON)
    await health.run()
    # Far beyond any deadline of ours, were each run to wait for its own.
    with anyio.fail_after(SOON * 100):
        for _ in range(1000):
            assert not (await health.run()).checks["hang"].healthy


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # under trio a cancelled scope wakes every checkpoint
async def test_a_coroutine_that_swallows_its_cancellation_is_one_task():
    calls = []
    let_go = asyncio.Event()

    async def stubborn():
        calls.append(1)
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    health = HealthChecks(cache_seconds=0)
    health.register("stubborn", stubborn, timeout=SOON)
    for _ in range(50):
        assert (await health.run()).checks["stubborn"].error == "TimeoutError"
    assert len(calls) == 1
    let_go.set()
    await until(lambda: all(task.get_name() != "ferrometer-health-stubborn" for task in asyncio.all_tasks()))
    # It came back in the end, but too late to count; the next run is a fresh one.
    assert (await health.run()).status == "ok"
    assert len(calls) == 2


async def test_a_coroutine_that_waits_for_ever_is_cancelled():
    ended = []

    async def forever():
        try:
            await anyio.sleep(FOREVER)
        finally:
            ended.append(1)

    assert (await one(forever, timeout=SOON)).error == "TimeoutError"
    await until(lambda: ended)


async def test_a_result_is_kept_and_a_crowd_is_one_run():
    calls = []

    def check():
        calls.append(1)

    fresh = HealthChecks({"it": check}, cache_seconds=FOREVER, timeout=10)
    async with anyio.create_task_group() as crowd:
        for _ in range(50):
            crowd.start_soon(fresh.run)
    assert len(calls) == 1
    await fresh.run()
    assert len(calls) == 1

    stale = HealthChecks({"it": check}, cache_seconds=0, timeout=10)
    for n in range(2, 5):
        await stale.run()
        assert len(calls) == n


async def test_a_caller_that_goes_away_does_not_take_the_check_with_it():
    entered, go_on = anyio.Event(), anyio.Event()
    calls = []

    async def check():
        calls.append(1)
        entered.set()
        await go_on.wait()

    health = HealthChecks({"it": check}, timeout=10)
    async with anyio.create_task_group() as callers:
        callers.start_soon(health.run)
        await entered.wait()
        callers.cancel_scope.cancel()
    go_on.set()
    assert (await health.run()).status == "ok"
    assert len(calls) == 1


def test_a_check_cut_off_by_the_end_of_its_event_loop_says_nothing():
    async def never():
        await asyncio.Event().wait()

    health = HealthChecks(cache_seconds=FOREVER)
    health.register("it", never, timeout=10)

    async def leave_early():
        asyncio.get_running_loop().call_later(SOON, asyncio.current_task().cancel)
        await health.run()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave_early())
    health._components["it"]._check = lambda: True
    assert asyncio.run(health.run()).status == "ok"


def test_a_hanging_check_does_not_keep_the_process_from_ending():
    program = """
        import asyncio, threading
        from ferrometer.health import HealthChecks
        health = HealthChecks({"hang": threading.Event().wait}, timeout=0.05)
        print(asyncio.run(health.run()).status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "unhealthy"


async def test_threads_that_cannot_be_had_make_the_component_unhealthy(monkeypatch):
    def no_more(thread):
        raise RuntimeError("can't start new thread")

    health = HealthChecks({"it": lambda: True}, cache_seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        assert (await health.run()).checks["it"].error == "RuntimeError"
    assert (await health.run()).status == "ok"


async def test_last_status_runs_nothing(release):
    calls = []
    health = HealthChecks(timeout=SOON)
    health.register("it", lambda: bool(calls.append(1)))
    assert (health.last_status(), calls) == ("ok", [])
    await health.run()
    assert (health.last_status(), calls) == ("unhealthy", [1])
    health.unregister("it")
    assert health.last_status() == "ok"
    health.register("hang", release.wait)
    await health.run()
    assert health.last_status() == "unhealthy"


async def test_an_old_result_is_not_known_any_more(monkeypatch):
    health = HealthChecks({"it": lambda: False})
    await health.run()
    monkeypatch.setattr("ferrometer.health.KNOWN_FOR", 0.0)
    assert health.last_status() == "ok"


async def test_changes_are_logged_once(caplog):
    caplog.set_level(logging.INFO, "ferrometer")
    state = {"up": False}
    health = HealthChecks({"db": lambda: state["up"]}, cache_seconds=0)
    for up in (False, False, True, True, False):
        state["up"] = up
        await health.run()
    assert [record.message for record in caplog.records] == [
        "health check 'db' is unhealthy: returned False",
        "health check 'db' recovered",
        "health check 'db' is unhealthy: returned False",
    ]


async def test_registering_again_replaces_and_the_decorator_returns_the_function():
    health = HealthChecks()

    @health.register("db", timeout=0.5, critical=False)
    def check():
        return False

    assert check() is False
    assert (await health.run()).status == "degraded"
    health.register("db", lambda: True)
    assert (await health.run()).status == "ok"
    assert repr(health) == "HealthChecks(db)"
    health.unregister("nobody")


async def test_the_report_is_json():
    health = HealthChecks({"a": lambda: {"x": 1}, "b": lambda: 1 / 0})
    report = await health.run()
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["checks"]["b"]["error"] == "ZeroDivisionError"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", report.timestamp)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("", bool), ValueError, "printable and not empty"),
        (("a\nb", bool), ValueError, "printable"),
        (("a\ud800", bool), ValueError, "printable"),
        (("status", bool), ValueError, "flat form"),
        (("uptime_seconds", bool), ValueError, "flat form"),
        ((3, bool), TypeError, "must be a str, not int"),
        (("db", 3), TypeError, "must be a callable"),
        (("db", True), TypeError, "must be a callable"),
    ],
)
async def test_a_wrong_check_fails_at_registration(arguments, error, words):
    with pytest.raises(error) as caught:
        HealthChecks().register(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), -0.0])
async def test_a_wrong_timeout_fails_at_registration(seconds):
    with pytest.raises(ValueError, match="timeout"):
        HealthChecks(timeout=seconds)
    with pytest.raises(ValueError, match="timeout of 'db'"):
        HealthChecks().register("db", bool, timeout=seconds)


@pytest.mark.parametrize("seconds", ["1", True, [1]])
async def test_a_timeout_that_is_no_number_fails(seconds):
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        HealthChecks(timeout=seconds)
    with pytest.raises(TypeError, match="cache_seconds"):
        HealthChecks(cache_seconds=seconds)


async def test_a_cache_of_zero_seconds_is_allowed_and_a_negative_one_is_not():
    HealthChecks(cache_seconds=0)
    with pytest.raises(ValueError, match="cache_seconds"):
        HealthChecks(cache_seconds=-1)
