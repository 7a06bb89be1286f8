"""`_created` is what `time.time()` said when a series was made: tests put another clock there."""

from __future__ import annotations

import time
from typing import Any

import prometheus_client
import pytest

import ferrometer
from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from tests.metrics.reading import value


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what time it is."""

    def set_time(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: seconds)

    set_time(1000.5)
    return set_time


@pytest.mark.parametrize("library", [ferrometer, prometheus_client])
@pytest.mark.parametrize("kind", ["Counter", "Histogram", "Summary"])
def test_each_series_has_its_own_time(library: Any, kind: str, noon: Any) -> None:
    registry = library.CollectorRegistry()
    plain = getattr(library, kind)("plain", "h", registry=registry)
    family = getattr(library, kind)("family", "h", ["l"], registry=registry)
    noon(2000.25)
    early = family.labels("early")
    noon(3000)
    family.labels("late")
    family.labels("early")
    assert plain._created == 1000.5
    assert early._created == 2000.25
    assert registry.get_sample_value("plain_created") == 1000.5
    assert registry.get_sample_value("family_created", {"l": "early"}) == 2000.25
    assert registry.get_sample_value("family_created", {"l": "late"}) == 3000
    family.remove("early")
    noon(4000)
    assert family.labels("early")._created == 4000
    plain._created = 12.5
    assert registry.get_sample_value("plain_created") == 12.5


def test_a_reset_starts_again(noon: Any, registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", registry=registry)
    counter.inc(5)
    noon(7000)
    counter.reset()
    assert (value(registry, "c_total"), value(registry, "c_created")) == (0, 7000)


def test_children_of_a_subclass(noon: Any) -> None:
    class Mine(Counter):
        pass

    family = Mine("c", "h", ["l"], registry=None)
    noon(5000)
    assert family.labels("x")._created == 5000


def test_set_to_current_time(noon: Any) -> None:
    gauge = Gauge("g", "h", registry=None)
    noon(1.25)
    gauge.set_to_current_time()
    assert gauge._value.get() == 1.25


def test_without_a_replaced_clock() -> None:
    before = time.time()
    counter = Counter("c", "h", registry=None)
    histogram = Histogram("h", "h", ["l"], registry=None).labels("x")
    after = time.time()
    assert before <= counter._created <= histogram._created <= after


@pytest.mark.parametrize("broken", [lambda: "noon", lambda: 1 / 0])
def test_a_clock_that_is_broken_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry, broken: Any
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", broken)
    counter = Counter("c", "h", ["l"], registry=registry)
    counter.labels("x").inc()
    assert counter.labels("x")._created == pytest.approx(now, abs=60)
    assert b'c_total{l="x"} 1.0' in generate_latest(registry)
