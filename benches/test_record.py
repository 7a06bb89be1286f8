"""Recording one event, as benchmarks that run as tests: whatever the times, the answers must be right."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

import ferrometer
from benches import record
from benches.fixture import Benchmark
from benches.row import CLEARLY, CONTROL, FLOOR, OURS
from ferrometer.bench.rounds import Subject, interleave

OPERATIONS: dict[str, Callable[[], list[Subject]]] = {
    "inc": record.inc_subjects,
    "labels": partial(record.labels_subjects, 1, literal=True),
    "labels of 100 children": partial(record.labels_subjects, 100),
    "labels just decoded": partial(record.labels_subjects, 100, fresh=True),
    "observe": record.observe_subjects,
}


@pytest.mark.parametrize("library", [FLOOR, OURS, "prometheus_client"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_recording(benchmark: Benchmark, operation: str, library: str) -> None:
    [subject] = [s for s in OPERATIONS[operation]() if s.name == library]
    batches = 0

    def batch() -> None:
        nonlocal batches
        batches += 1
        subject.sample(subject.step)

    benchmark.group = f"{operation} x {subject.step}"
    benchmark.pedantic(batch, rounds=20, warmup_rounds=2)
    subject.check(batches * subject.step)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_control_twice_the_calls_take_clearly_longer(operation: str) -> None:
    """If this fails, the loop does not measure calls, and the measurements are spurious."""

    def subjects() -> list[Subject]:
        return [s for s in OPERATIONS[operation]() if s.name in (record.EMPTY, FLOOR, CONTROL)]

    samples = interleave(subjects, rounds=100, seconds=0.0002, title="")
    best = {name: min(v for v in values if v is not None) for name, values in samples.items()}
    once, twice = best[FLOOR] - best[record.EMPTY], best[CONTROL] - best[record.EMPTY]
    assert twice > CLEARLY * once > 0


def test_a_check_notices_a_lost_event() -> None:
    [subject] = [s for s in record.inc_subjects() if s.name == OURS]
    subject.sample(subject.step)
    with pytest.raises(AssertionError, match="operations, but it says"):
        subject.check(subject.step + 1)


@pytest.mark.parametrize(
    ("kind", "method"),
    [(ferrometer.Counter, "inc"), (ferrometer.Gauge, "set"), (ferrometer.Histogram, "observe")],
)
def test_hot_methods_belong_to_the_very_class(kind: type, method: str) -> None:
    """CPython's specialised calls want the descriptor's own class; for a subclass a call costs double."""
    assert getattr(kind, method).__objclass__ is kind
    assert kind.labels.__objclass__ is kind
