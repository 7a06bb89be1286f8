"""Health checks: what they may answer, and what the report says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

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


@pytest.mark.parametrize(
    ("answer", "healthy", "shown"),
    [
        (True, True, {}),
        (None, True, {}),
        (False, False, {}),
        ({}, True, {}),
        ({"healthy": False}, False, {}),
        (
            {"total_connections": 45, "idle_connections": 20},
            True,
            {"total_connections": 45, "idle_connections": 20},
        ),
        (
            {"healthy": True, "nested": {"a": [1, 2.5, None, "x"]}},
            True,
            {"nested": {"a": [1, 2.5, None, "x"]}},
        ),
        ({"rate": float("nan"), "top": float("inf")}, True, {"rate": None, "top": None}),
        ({"text": "a\ud800b"}, True, {"text": "a?b"}),
        ({"response_time_ms": "mine"}, True, {}),
    ],
)
async def test_what_a_check_may_answer(answer: Any, healthy: bool, shown: Mapping[str, Any]) -> None:
    async def asynchronous() -> Any:
        return answer

    for check in (lambda: answer, asynchronous):
        result = (await one(check)).as_dict()
        assert result.pop("healthy") is healthy
        assert type(result.pop("response_time_ms")) is int
        assert result == shown


@pytest.mark.parametrize(
    "answer",
    [1, 0, "ok", [True], {"healthy": 1}, {1: 2}, {"x": object()}, {"x": {"y": {1, 2}}}, {"x": b"bytes"}],
)
async def test_any_other_answer_is_unhealthy(answer: Any) -> None:
    result = await one(lambda: answer)
    assert (result.healthy, result.error) == (False, "TypeError")


async def test_a_recursive_answer_is_unhealthy() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert (await one(lambda: loop)).error == "TypeError"


async def test_an_exception_shows_its_type_and_only_on_request_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise ConnectionRefusedError("postgres://app:hunter2@db/prod")

    async def asynchronous() -> None:
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


async def test_a_plain_function_may_return_an_awaitable() -> None:
    async def ping() -> dict[str, bool]:
        return {"pong": True}

    assert (await one(lambda: ping())).fields == {"pong": True}


async def test_the_worst_component_decides_and_uncritical_ones_only_degrade() -> None:
    health = HealthChecks(timeout=LONG)
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


async def test_last_status_runs_nothing(release: threading.Event) -> None:
    calls: list[int] = []
    health = HealthChecks(timeout=SOON)

    def check() -> bool:
        calls.append(1)
        return False

    health.register("it", check)
    assert (health.last_status(), calls) == ("ok", [])
    await health.run()
    assert (health.last_status(), calls) == ("unhealthy", [1])
    health.unregister("it")
    assert health.last_status() == "ok"
    health.register("hang", release.wait)
    await health.run()
    assert health.last_status() == "unhealthy"


async def test_an_old_result_is_not_known_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    health = HealthChecks({"it": lambda: False}, timeout=LONG)
    await health.run()
    monkeypatch.setattr("ferrometer.health.checks.KNOWN_FOR", 0.0)
    assert health.last_status() == "ok"


async def test_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ferrometer")
    state = {"up": False}
    health = HealthChecks({"db": lambda: state["up"]}, timeout=LONG, cache_seconds=0)
    for up in (False, False, True, True, False):
        state["up"] = up
        await health.run()
    assert [record.message for record in caplog.records if record.name == "ferrometer"] == [
        "health check 'db' is unhealthy: returned False",
        "health check 'db' recovered",
        "health check 'db' is unhealthy: returned False",
    ]


async def test_registering_again_replaces_and_the_decorator_returns_the_function() -> None:
    health = HealthChecks(timeout=LONG)

    @health.register("db", timeout=0.5, critical=False)
    def check() -> bool:
        return False

    assert check() is False
    assert (await health.run()).status == "degraded"
    health.register("db", lambda: True)
    assert (await health.run()).status == "ok"
    assert repr(health) == "HealthChecks(db)"
    health.unregister("nobody")


async def test_the_report_is_json() -> None:
    health = HealthChecks({"a": lambda: {"x": 1}, "b": lambda: bool(1 / 0)}, timeout=LONG)
    report = await health.run()
    assert (
        json.loads(json.dumps(report.as_dict(), allow_nan=False))["checks"]["b"]["error"]
        == "ZeroDivisionError"
    )
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
async def test_a_wrong_check_fails_at_registration(
    arguments: tuple[Any, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        HealthChecks().register(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), -0.0])
async def test_a_wrong_timeout_fails_at_registration(seconds: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        HealthChecks(timeout=seconds)
    with pytest.raises(ValueError, match="timeout of 'db'"):
        HealthChecks().register("db", bool, timeout=seconds)


@pytest.mark.parametrize("seconds", ["1", True, [1]])
async def test_a_timeout_that_is_no_number_fails(seconds: Any) -> None:
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        HealthChecks(timeout=seconds)
    with pytest.raises(TypeError, match="cache_seconds"):
        HealthChecks(cache_seconds=seconds)


async def test_a_cache_of_zero_seconds_is_allowed_and_a_negative_one_is_not() -> None:
    HealthChecks(cache_seconds=0)
    with pytest.raises(ValueError, match="cache_seconds"):
        HealthChecks(cache_seconds=-1)


class Lazy(Mapping[str, Any]):
    """A mapping that raises when it is read."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getitem__(self, key: str) -> Any:
        raise self.error

    def __iter__(self) -> Any:
        raise self.error

    def __len__(self) -> int:
        return 1


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


UNENCODABLE: list[Any] = [
    {"x": 10**5000},
    {"x": -(10**400)},
    {"x": [1, {"y": 1 << 5000}]},
    Lazy(LookupError()),
    Lazy(asyncio.CancelledError()),
    Lazy(SystemExit()),
    {"x": Lazy(LookupError())},
    {"healthy": 10**5000},
]


@pytest.mark.parametrize("answer", UNENCODABLE, ids=[str(number) for number in range(len(UNENCODABLE))])
@pytest.mark.parametrize("expose", [False, True])
async def test_a_result_that_cannot_be_encoded_is_the_checks_failure(answer: Any, expose: bool) -> None:
    checks = HealthChecks({"odd": lambda: answer, "fine": lambda: True}, expose_errors=expose)
    for _ in range(2):
        report = await checks.run()
        body = json.loads(json.dumps(report.as_dict(), allow_nan=False))
        assert body["checks"]["fine"]["healthy"] is True
        assert body["checks"]["odd"]["healthy"] is False
        assert report.http_status == 503
        assert checks.last_status() == "unhealthy"


async def test_the_largest_integers_are_shown() -> None:
    report = await HealthChecks({"big": lambda: {"x": 2**64, "y": -(10**300)}}).run()
    assert report.checks["big"].fields == {"x": 2**64, "y": -(10**300)}


async def test_a_mapping_is_read_once() -> None:
    class Counting(dict[str, Any]):
        reads = 0

        def items(self) -> Any:
            type(self).reads += 1
            return super().items()

    checks = HealthChecks({"a": Counting}, cache_seconds=60)
    for _ in range(3):
        await checks.run()
        checks.last_status()
    assert Counting.reads == 1


async def test_an_exception_without_a_text() -> None:
    def check() -> None:
        raise Mute

    report = await HealthChecks({"mute": check}, expose_errors=True).run()
    assert report.checks["mute"].error == "Mute"


class Strange(BaseException):
    pass


@pytest.mark.parametrize("error", [asyncio.CancelledError, Strange, SystemExit, GeneratorExit])
@pytest.mark.parametrize("plain", [False, True])
async def test_whatever_a_check_raises_is_kept_as_its_result(error: type[BaseException], plain: bool) -> None:
    runs = 0

    def raises() -> None:
        nonlocal runs
        runs += 1
        raise error

    async def raises_async() -> None:
        raises()

    checks = HealthChecks({"c": raises if plain else raises_async})
    for _ in range(20):
        report = await checks.run()
        assert report.checks["c"].healthy is False
        assert report.checks["c"].error == error.__name__
    assert runs == 1
