"""Callbacks and collectors that raise: left out, counted, logged once, and the rest is served."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import prometheus_client
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ferrometer import CollectorRegistry, Counter, Gauge, generate_latest
from tests.metrics.reading import parsed, scrape, value

ERRORS = "ferrometer_scrape_errors_total"


def fail() -> float:
    raise LookupError("the pool is gone")


@pytest.fixture(autouse=True)
def rest(registry: CollectorRegistry) -> Counter:
    """What must be served, whatever happens."""
    counter = Counter("rest", "h", registry=registry)
    counter.inc()
    return counter


def test_a_function_is_asked_at_each_scrape(registry: CollectorRegistry) -> None:
    queue: list[int] = []
    gauge = Gauge("queued", "h", registry=registry)
    gauge.set_function(lambda: len(queue))
    queue.append(1)
    assert value(registry, "queued") == 1
    queue.append(2)
    assert registry.get_sample_value("queued") == 2
    assert gauge.collect()[0].samples[0].value == 2  # type: ignore[index]
    gauge.set_function(lambda: 7)  # the last one counts
    assert value(registry, "queued") == 7


def test_functions_of_children(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", ["l"], registry=registry)
    for number, label in enumerate("abc"):
        gauge.labels(label).set_function(lambda number=number: number)  # type: ignore[misc]
    gauge.labels("d").set(9)
    assert [value(registry, "g", l=label) for label in "abcd"] == [0, 1, 2, 9]
    gauge.remove("b")
    assert value(registry, "g", l="b") is None
    gauge.labels("b").set(5)  # a new series, without the old one's function
    assert value(registry, "g", l="b") == 5
    gauge.clear()
    assert not gauge._has_callbacks
    with pytest.raises(ValueError, match="gauge metric is missing label values"):
        gauge.set_function(lambda: 1)


def test_functions_of_a_gauge_that_is_registered_later(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", registry=None)
    gauge.set_function(lambda: 4)
    registry.register(gauge)
    other = CollectorRegistry()
    other.register(gauge)
    assert value(registry, "g") == value(other, "g") == 4
    theirs = prometheus_client.CollectorRegistry()
    theirs.register(gauge)
    assert b"g 4.0" in prometheus_client.generate_latest(theirs)


@pytest.mark.parametrize("result", [5, 2.5, True, math.inf, math.nan])
def test_what_a_function_may_return(registry: CollectorRegistry, result: Any) -> None:
    Gauge("g", "h", registry=registry).set_function(lambda: result)
    read = value(registry, "g")
    assert read == result or math.isnan(read or 0)
    assert value(registry, ERRORS, source="g") is None


@pytest.mark.parametrize("result", [None, "x", [], 10**400])
def test_what_it_may_not_return(registry: CollectorRegistry, result: Any) -> None:
    Gauge("g", "h", registry=registry).set_function(lambda: result)
    read = scrape(registry)
    assert ("g", ()) not in read
    assert read["rest_total", ()] == read[ERRORS, (("source", "g"),)] == 1


def test_a_failing_function(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    gauge = Gauge("g", "h", ["l"], registry=registry)
    asked: list[str] = []

    def ask(name: str) -> int:
        asked.append(name)
        return 1

    gauge.labels("good").set_function(lambda: ask("good"))
    gauge.labels("bad").set_function(fail)
    gauge.labels("last").set_function(lambda: ask("last"))
    with caplog.at_level(logging.WARNING, "ferrometer"):
        for scrapes in range(1, 4):
            read = scrape(registry)
            assert not any(name == "g" for name, _ in read)
            assert read["rest_total", ()] == 1
            assert read[ERRORS, (("source", "g"),)] == scrapes
    assert asked == ["good", "last"] * 3
    (record,) = caplog.records
    assert record.getMessage() == "g is left out of scrapes: it raised"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)
    gauge.labels("bad").set_function(lambda: 3)
    assert value(registry, "g", l="bad") == 3
    # Whoever asks the metric itself gets the error.
    gauge.labels("bad").set_function(fail)
    with pytest.raises(LookupError, match="the pool is gone"):
        gauge.collect()


class Broken:
    """Raises before, between or after what it yields."""

    def __init__(self, good: int = 0) -> None:
        self.good = good

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for number in range(self.good):
            yield GaugeMetricFamily(f"broken_{number}", "h", value=number)
        raise LookupError("the pool is gone")


class Poison:
    """Yields what cannot be printed, between two good ones."""

    def __init__(self, *bad: Any) -> None:
        self.bad = bad

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterable[Any]:
        return [
            GaugeMetricFamily("before", "h", value=1),
            *self.bad,
            GaugeMetricFamily("after", "h", value=1),
        ]


def spoilt(change: Callable[[GaugeMetricFamily], None]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("spoilt", "h", labels=["l"])
    change(family)
    return family


@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_failing_collector_is_left_out_as_a_whole(registry: CollectorRegistry, good: int) -> None:
    registry.register(Broken(good))
    for scrapes in (1, 2):
        read = scrape(registry)
        del read["rest_created", ()]
        assert read == {("rest_total", ()): 1, (ERRORS, (("source", "Broken"),)): scrapes}


@pytest.mark.parametrize(
    ("bad", "source"),
    [
        (spoilt(lambda family: family.add_metric(["x"], "no number")), "spoilt"),  # type: ignore[arg-type]
        (spoilt(lambda family: family.add_metric([5], 1)), "spoilt"),  # type: ignore[list-item]
        (spoilt(lambda family: family.add_metric(["\ud800"], 1)), "spoilt"),
        (spoilt(lambda family: setattr(family, "documentation", None)), "spoilt"),
        ("no family", "no family"),
    ],
)
def test_a_family_that_cannot_be_printed(registry: CollectorRegistry, bad: Any, source: str) -> None:
    registry.register(Poison(bad))
    read = scrape(registry)
    assert read["before", ()] == read["after", ()] == read["rest_total", ()] == 1
    assert read[ERRORS, (("source", source),)] == 1
    assert not any(name == "spoilt" for name, _ in read)


def test_a_collector_that_yields_nothing_iterable(registry: CollectorRegistry) -> None:
    class Nothing:
        def collect(self) -> Any:
            return None

    registry.register(Nothing())
    assert value(registry, "rest_total") == 1
    assert value(registry, ERRORS, source=Nothing.__qualname__) == 2


def test_every_way_to_read_is_served(registry: CollectorRegistry) -> None:
    """collect(), restricted registries and prometheus_client's own writer, too."""
    registry.register(Broken(1))
    Gauge("g", "h", registry=registry).set_function(fail)
    assert registry.get_sample_value("rest_total") == 1
    assert registry.get_sample_value("broken_0") is None
    assert parsed(prometheus_client.generate_latest(registry))[("rest_total", ())] == 1
    assert parsed(generate_latest(registry.restricted_registry(["rest_total", "g"]))) == {
        ("rest_total", ()): 1
    }
    assert (registry.get_sample_value(ERRORS, {"source": "g"}) or 0) >= 3
    assert (registry.get_sample_value(ERRORS, {"source": "Broken"}) or 0) >= 3


def test_a_function_that_uses_the_registry(registry: CollectorRegistry) -> None:
    """No lock is held while it runs: it may define, record, scrape and even ask for itself."""
    gauge = Gauge("g", "h", registry=registry)
    depth = 0

    def nested() -> float:
        nonlocal depth
        depth += 1
        if depth < 3:
            generate_latest(registry)
        Counter(f"made_{depth}", "h", ["l"], registry=registry).labels("x").inc()
        return depth

    gauge.set_function(nested)
    assert value(registry, "g") == 3
    assert value(registry, "made_3_total", l="x") == 3


def test_interrupts_are_not_swallowed(registry: CollectorRegistry) -> None:
    def interrupt() -> float:
        raise KeyboardInterrupt

    Gauge("g", "h", registry=registry).set_function(interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate_latest(registry)
