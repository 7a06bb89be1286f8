"""max_series: what does not fit shares one series, is counted, and takes no memory."""

from __future__ import annotations

from typing import Any

import pytest

from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from tests.metrics.fresh import python
from tests.metrics.reading import scrape, value

OVERFLOW = "ferrometer_series_overflow_total"


def test_what_does_not_fit_shares_one_series(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["user", "route"], registry=registry, max_series=3)
    for user in range(10):
        counter.labels(user, "/").inc()
    series = {
        dict(labels)["user"]: count for (name, labels), count in scrape(registry).items() if name == "c_total"
    }
    assert series == {"0": 1, "1": 1, "2": 1, "__overflow__": 7}
    assert value(registry, OVERFLOW, source="c") == 7
    # Those that were there first go on as before.
    counter.labels(1, "/").inc()
    assert value(registry, "c_total", user="1", route="/") == 2
    assert (
        counter.labels("x", "y") is counter.labels("z", "/") is counter.labels("__overflow__", "__overflow__")
    )
    assert counter.labels("x", "y")._labelvalues == ("__overflow__", "__overflow__")


@pytest.mark.parametrize(
    ("kind", "further", "use"),
    [
        (Gauge, {}, lambda child: child.set(1)),
        (Histogram, {}, lambda child: child.observe(1)),
        (Summary, {}, lambda child: child.observe(1)),
        (Info, {}, lambda child: child.info({"a": "b"})),
        (Enum, {"states": ["a"]}, lambda child: child.state("a")),
    ],
)
def test_every_kind(registry: CollectorRegistry, kind: Any, further: dict[str, Any], use: Any) -> None:
    metric = kind("m", "h", ["l"], registry=registry, max_series=2, **further)
    for number in range(5):
        use(metric.labels(number))
    assert [child for (child,) in metric._metrics] == ["0", "1", "__overflow__"]
    assert value(registry, OVERFLOW, source="m") == 3
    assert registry.get_sample_value(OVERFLOW, {"source": "m"}) == 3


def test_nothing_is_said_while_all_fit(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry, max_series=3)
    for _ in range(2):
        for number in range(3):
            counter.labels(number).inc()
    assert not any(name == OVERFLOW for name, _ in scrape(registry))


def test_removing_makes_room(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry, max_series=2)
    for label in "abc":
        counter.labels(label).inc()
    counter.remove("a")
    counter.remove("__overflow__")
    counter.labels("c").inc()
    assert {key: child._value.get() for key, child in counter._metrics.items()} == {("b",): 1, ("c",): 1}
    counter.clear()
    for label in "xy":
        counter.labels(label).inc()
    assert set(counter._metrics) == {("x",), ("y",)}


def test_ten_thousand_are_the_default(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry)
    for number in range(10_050):
        counter.labels(number).inc()
    assert len(counter._children()) == 10_001
    assert value(registry, "c_total", l="__overflow__") == 50


def test_any_number_of_label_sets_takes_no_memory() -> None:
    """In a process of its own, whose memory nobody else has used."""
    python("""
        counter = Counter("c", "h", ["l"], registry=registry, max_series=1000)
        histogram = Histogram("h", "h", ["l"], registry=registry, max_series=100)

        def use(first, last):
            for number in range(first, last):
                label = f"a rather long label value {number}"
                counter.labels(label).inc()
                histogram.labels(label).observe(number)

        use(0, 20_000)
        before = kilobytes()
        use(20_000, 400_000)
        assert kilobytes() - before < 2000, kilobytes() - before
        assert registry.get_sample_value("c_total", {"l": "__overflow__"}) == 399_000
        assert registry.get_sample_value("h_count", {"l": "__overflow__"}) == 399_900
    """)


def test_children_of_a_subclass_are_bounded_too() -> None:
    class Mine(Counter):
        made = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            Mine.made += 1

    counter = Mine("c", "h", ["l"], registry=None, max_series=3)
    children = {id(counter.labels(str(number))) for number in range(100)}
    assert len(children) == 4
    assert len(counter._subclass_children) == 4
    assert counter.labels("new")._value.get() == 0


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "3", None])
def test_a_cap_is_a_whole_positive_number(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"max_series must be a whole number of at least 1, not {wrong!r}"):
        Counter("c", "h", ["l"], registry=None, max_series=wrong)


def test_a_cap_of_one(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry, max_series=1)
    for label in "abc":
        counter.labels(label).inc()
    assert (value(registry, "c_total", l="a"), value(registry, "c_total", l="__overflow__")) == (1, 2)
    # Without labels there is one series, whatever the cap.
    Counter("d", "h", registry=registry, max_series=1).inc()
    assert value(registry, "d_total") == 1
