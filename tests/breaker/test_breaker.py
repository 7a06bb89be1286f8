"""One process's breaker: contexts, decorators, what counts as a failure, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import time
import uuid
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, generate_latest
from ferrometer.breaker import CircuitBreaker, CircuitOpenError, Outcome, breaker, judge, judge_status
from ferrometer.breaker.feature import expose
from ferrometer.breaker.outcome import seconds_of


def made(**settings: Any) -> CircuitBreaker:
    """A breaker of a name that no other test has."""
    chosen = {"consecutive_failures": 3, "failure_rate": None, "open_seconds": 0.05, "jitter": 0, **settings}
    return CircuitBreaker(f"provider-{uuid.uuid4()}", **chosen)


def fail(one: CircuitBreaker, times: int = 3, error: BaseException | None = None) -> None:
    for _ in range(times):
        with pytest.raises(BaseException, match="down"), one.call():
            raise error or ConnectionError("down")


def wait_until_it_may_be_tried(one: CircuitBreaker) -> None:
    deadline = time.monotonic() + 30
    while one.state == "open" and time.monotonic() < deadline:
        try:
            one.begin().cancel()
        except CircuitOpenError as error:
            time.sleep(min(error.retry_after or 0.01, 0.05))
    assert one.state == "half_open"


def test_it_opens_refuses_tries_and_closes() -> None:
    one = made()
    fail(one, 2)
    assert one.state == "closed"
    fail(one, 1)
    assert one.state == "open"
    with pytest.raises(CircuitOpenError, match="lets no call through for") as refused, one.call():
        pytest.fail("a call was let through")
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 0.05
    wait_until_it_may_be_tried(one)
    with one.call() as call:
        assert call.is_trial
        assert one.trials == 1
        with pytest.raises(CircuitOpenError):
            one.begin()
    assert one.state == "closed"
    assert one.rejected >= 2


def test_a_success_between_failures_starts_the_row_anew() -> None:
    one = made()
    for _ in range(5):
        fail(one, 2)
        with one.call():
            pass
    assert one.state == "closed"


def test_a_failed_trial_opens_it_for_longer() -> None:
    one = made(backoff=100, longest_open_seconds=5, open_seconds=0.05)
    fail(one)
    wait_until_it_may_be_tried(one)
    fail(one, 1)
    with pytest.raises(CircuitOpenError) as refused:
        one.begin()
    assert refused.value.retry_after is not None
    assert 1 < refused.value.retry_after <= 5


def test_the_failure_rate_opens_it() -> None:
    one = made(consecutive_failures=0, failure_rate=0.5, minimum_calls=10)
    for _ in range(4):
        fail(one, 1)
        with one.call():
            pass
    fail(one, 1)
    assert one.state == "closed"
    with one.call():
        pass
    assert one.state == "open"


def test_slow_calls_open_it() -> None:
    one = made(slow_rate=1.0, slow_seconds=0.001, minimum_calls=2)
    for _ in range(2):
        with one.call():
            time.sleep(0.002)
    assert one.state == "open"
    fast = made(slow_rate=1.0, slow_seconds=3600, minimum_calls=2)
    for _ in range(5):
        with fast.call():
            pass
    assert fast.state == "closed"


def test_a_late_success_closes_nothing_and_a_late_failure_opens_nothing() -> None:
    one = made()
    early, late = one.begin(), one.begin()
    fail(one)
    wait_until_it_may_be_tried(one)
    early.success()
    assert one.state == "half_open"
    late.failure()
    assert one.state == "half_open"


def test_cancelled_calls_and_the_callers_faults_say_nothing() -> None:
    class BadRequestError(Exception):
        status_code = 422

    one = made(consecutive_failures=1)
    fail(one, 3, BadRequestError("down"))
    fail(one, 3, asyncio.CancelledError("down"))
    fail(one, 3, KeyboardInterrupt("down"))
    fail(one, 3, CircuitOpenError("down", 1.0))
    assert one.state == "closed"
    one.begin()  # forgotten: dropped without an end
    assert one.state == "closed"


def test_a_cancelled_trial_gives_its_lease_back() -> None:
    one = made(trial_seconds=3600)

    async def main() -> None:
        async def hang() -> None:
            async with one.call():
                await asyncio.sleep(3600)

        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        assert one.trials == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    fail(one)
    wait_until_it_may_be_tried(one)
    asyncio.run(main())
    assert (one.state, one.trials) == ("half_open", 0)
    held = one.begin()
    assert held.is_trial
    del held
    assert one.trials == 0
    with one.call():
        pass
    assert one.state == "closed"


def test_retry_after_lengthens_the_open_time() -> None:
    class Response:
        def __init__(self, header: str) -> None:
            self.status_code = 429
            self.headers = {"retry-after": header}

    class RateLimitError(Exception):
        def __init__(self, header: str) -> None:
            super().__init__("down")
            self.response = Response(header)

    for header in ("120", formatdate(time.time() + 120, usegmt=True)):
        one = made(consecutive_failures=1)
        fail(one, 1, RateLimitError(header))
        with pytest.raises(CircuitOpenError) as refused:
            one.begin()
        assert 100 < (refused.value.retry_after or 0) <= 120
    one = made(consecutive_failures=1)
    fail(one, 1, RateLimitError("soon"))
    with pytest.raises(CircuitOpenError) as refused:
        one.begin()
    assert (refused.value.retry_after or 0) <= 0.05


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Outcome.SUCCESS) for status in (200, 204, 302)),
        *((status, Outcome.NOTHING) for status in (400, 413, 422, 409)),
        *((status, Outcome.FAILURE) for status in (401, 403, 404, 408, 429, 500, 502, 503, 529)),
    ],
)
def test_statuses(status: int, outcome: Outcome) -> None:
    assert judge_status(status) is outcome


def test_a_callers_key_and_a_list_of_ones_own() -> None:
    assert judge_status(401, callers_key=True) is Outcome.NOTHING
    assert judge_status(429, callers_key=True) is Outcome.FAILURE
    assert judge_status(404, caller_statuses={404}) is Outcome.NOTHING
    assert judge_status(422, caller_statuses={404}) is Outcome.NOTHING  # no fault of the provider either way

    class KeyRefusedError(Exception):
        status = 403

    one = made(consecutive_failures=1, callers_key=True)
    fail(one, 1, KeyRefusedError("down"))
    assert one.state == "closed"
    one = made(consecutive_failures=1)
    fail(one, 1, KeyRefusedError("down"))
    assert one.state == "open"


@given(st.text())
def test_any_retry_after_is_seconds_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert seconds_of(text) >= 0


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text()))
def test_whatever_an_error_carries_is_judged(value: object) -> None:
    class OddError(Exception):
        retry_after = value
        status_code = value

        def __init__(self) -> None:
            super().__init__()
            self.headers = {"retry-after": value}

    assert judge(OddError()).retry_after >= 0


def test_sync_functions_are_decorated() -> None:
    one = made()

    @one
    def ask(question: str, *, loud: bool = False) -> str:
        """Its words."""
        if question == "fail":
            raise ConnectionError("down")
        return question.upper() if loud else question

    assert ask("hello", loud=True) == "HELLO"
    assert ask.__doc__ == "Its words."
    for _ in range(3):
        with pytest.raises(ConnectionError):
            ask("fail")
    with pytest.raises(CircuitOpenError):
        ask("hello")

    @one(fallback=lambda question: f"cached {question}")
    def other(question: str) -> str:
        return question

    assert other("hello") == "cached hello"
    one.reset()
    assert other("hello") == "hello"


def test_coroutine_functions_are_decorated() -> None:
    one = made()

    async def cached(question: str) -> str:
        return f"cached {question}"

    @one(fallback=cached)
    async def ask(question: str) -> str:
        await asyncio.sleep(0)
        if question == "fail":
            raise ConnectionError("down")
        return question

    @one
    async def plain() -> int:
        return 1

    async def main() -> None:
        assert await ask("hello") == "hello"
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await ask("fail")
        assert await ask("hello") == "cached hello"
        with pytest.raises(CircuitOpenError):
            await plain()

    asyncio.run(main())


def test_generators_are_refused() -> None:
    def stream() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"stream is a generator: use `with breaker\.call\(\):`"):
        made()(stream)


def test_a_call_is_used_once() -> None:
    one = made()
    call = one.call()
    with call, pytest.raises(RuntimeError, match="make one object for each call"), call:
        pass
    with pytest.raises(RuntimeError, match="make one object for each call"), call:
        pass


def test_a_thousand_calls_at_once_have_an_object_each() -> None:
    one = made(slow_rate=1.0, slow_seconds=10, minimum_calls=1)

    async def main() -> None:
        async def ask() -> None:
            async with one.call():
                await asyncio.sleep(0.01)

        await asyncio.gather(*(ask() for _ in range(1000)))

    asyncio.run(main())
    assert one.state == "closed"


def test_listeners_are_told_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    one = made()
    told: list[tuple[str, str, str]] = []

    def bad(name: str, before: str, after: str) -> None:
        raise ValueError("listener")

    one.listen(bad)
    one.listen(lambda *change: told.append(change))
    with caplog.at_level(logging.ERROR, "ferrometer"):
        fail(one)
        wait_until_it_may_be_tried(one)
        with one.call():
            pass
        one.force_open()
        one.reset()
    states = [change[1:] for change in told]
    assert states == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
        ("closed", "open"),
        ("open", "closed"),
    ]
    assert {change[0] for change in told} == {one.name}
    assert len([record for record in caplog.records if "listener" in record.getMessage()]) == 5


def test_forced_states_stay() -> None:
    one = made(consecutive_failures=1)
    one.force_closed()
    fail(one, 10)
    assert (one.state, one.forced) == ("closed", True)
    one.force_open()
    with pytest.raises(CircuitOpenError, match="until it is reset") as refused:
        one.begin()
    assert refused.value.retry_after is None
    assert pickle.loads(pickle.dumps(refused.value)).name == one.name
    one.reset()
    assert (one.state, one.forced) == ("closed", False)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"consecutive_failures": -1}, "consecutive_failures must be a whole number from 0"),
    ({"consecutive_failures": 1.5}, "consecutive_failures must be a whole number"),
    ({"failure_rate": 0}, "failure_rate must be above 0 and at most 1"),
    ({"failure_rate": 50}, "failure_rate must be above 0 and at most 1, or None for never, not 50"),
    ({"slow_rate": float("nan")}, "slow_rate must be above 0"),
    ({"trials": 0}, "trials must be a whole number from 1 to 16, not 0"),
    ({"trials": 17}, "trials must be a whole number from 1 to 16, not 17"),
    ({"minimum_calls": 0}, "minimum_calls"),
    ({"window": 0}, "window must be seconds above 0.1"),
    ({"open_seconds": -1}, "open_seconds must be seconds"),
    ({"open_seconds": float("inf")}, "open_seconds must be seconds"),
    ({"open_seconds": 60, "longest_open_seconds": 1}, "longest_open_seconds must be at least open_seconds"),
    ({"backoff": 0.5}, "backoff must be from 1 to 100"),
    ({"jitter": 2}, "jitter must be from 0 to 1"),
    ({"consecutive_failures": 0, "failure_rate": None}, "nothing would ever open it"),
]


@pytest.mark.parametrize(("settings", "words"), BAD, ids=[words for _, words in BAD])
def test_impossible_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**settings)


@pytest.mark.parametrize("name", ["", "x" * 10_240, "\N{SNOWMAN}" * 86])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"1 to 255 bytes; .{0,60} has \d+: name the provider"):
        CircuitBreaker(name)


def test_one_name_has_one_breaker() -> None:
    name = str(uuid.uuid4())
    one = breaker(name, trials=2)
    assert breaker(name) is one
    assert breaker(name, trials=2) is one
    with pytest.raises(ValueError, match="with other settings"):
        breaker(name, trials=3)


def test_the_last_of_a_group_stays_closed() -> None:
    group = str(uuid.uuid4())
    first, second = made(group=group), made(group=group)
    told = made(group=group, opens_last=True)
    fail(first)
    fail(told)
    fail(second, 10)
    assert (first.state, second.state, told.state) == ("open", "closed", "open")
    first.reset()
    fail(second, 1)
    assert second.state == "open"


def test_its_state_is_exactly_one_series(registry: CollectorRegistry) -> None:
    expose(registry, namespace="gw")
    one = made()

    def states() -> dict[str, float | None]:
        found = {}
        for state in ("closed", "open", "half_open"):
            labels = {"provider": one.name, "state": state}
            found[state] = registry.get_sample_value("gw_circuit_breaker_state", labels)
        return found

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"gw_circuit_breaker_{name}", {"provider": one.name, **labels})

    assert states() == {"closed": 1, "open": 0, "half_open": 0}
    fail(one)
    assert states() == {"closed": 0, "open": 1, "half_open": 0}
    with pytest.raises(CircuitOpenError):
        one.begin()
    assert value("rejected_total") == 1
    wait_until_it_may_be_tried(one)
    call = one.begin()
    assert states() == {"closed": 0, "open": 0, "half_open": 1}
    assert value("trials") == 1
    call.success()
    assert states() == {"closed": 1, "open": 0, "half_open": 0}
    assert [value("changes_total", state=state) for state in ("closed", "open", "half_open")] == [1, 1, 1]
    assert b'gw_circuit_breaker_state{provider="' in generate_latest(registry)
