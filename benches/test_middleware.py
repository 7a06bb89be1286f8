"""One request through each middleware: every response arrives whole, and every request is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.types import ASGIApp

from benches import middleware
from benches.fixture import Benchmark
from benches.row import CLEARLY, CONTROL, FLOOR
from ferrometer.bench import wrapped
from ferrometer.bench.peers import absent
from ferrometer.bench.rounds import Subject, interleave

REQUESTS = 500
DRIVERS = {"await": middleware.awaited, "tasks": middleware.in_tasks}
APPLICATIONS: dict[str, Callable[[], ASGIApp]] = {
    "plain": wrapped.plain,
    "suspending": middleware.suspending,
    "starlette": wrapped.starlette,
}


@pytest.mark.parametrize("name", wrapped.MAKERS)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("application", APPLICATIONS)
def test_requests(benchmark: Benchmark, application: str, driver: str, name: str) -> None:
    it = wrapped.MAKERS[name](APPLICATIONS[application]())
    if it is None:
        pytest.skip(f"{name} is not installed: pip install -r benches/requirements.txt")
    subject = middleware.subject(name, it, DRIVERS[driver])
    batches = 0

    def batch() -> None:
        nonlocal batches
        batches += 1
        subject.sample(REQUESTS)

    benchmark.group = f"{application}, {driver}, x {REQUESTS}"
    benchmark.pedantic(batch, rounds=5, warmup_rounds=1)
    subject.check(batches * REQUESTS)


def test_control_two_middlewares_cost_clearly_more_than_one() -> None:
    """If this fails, the subtraction of the bare application is spurious."""

    def subjects() -> list[Subject]:
        return middleware.subjects(wrapped.plain, middleware.awaited, peers=False)

    samples = interleave(subjects, rounds=100, seconds=0.0004, title="", builds=4)
    best = {name: min(v for v in values if v is not None) for name, values in samples.items()}
    once, twice = best[FLOOR] - best[wrapped.BARE], best[CONTROL] - best[wrapped.BARE]
    assert twice > CLEARLY * once > 0


def test_a_missing_peer_fails_where_nothing_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_REAL", "1")
    with pytest.raises(Exception, match="pip install"):
        absent("a peer", "pip install a-peer")
