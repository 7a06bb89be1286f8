"""What downstream code touches although it is private: as in prometheus_client, value for value."""

from __future__ import annotations

from typing import Any

import prometheus_client
import pytest

import ferrometer
from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from tests.metrics.reading import value
from tests.metrics.twin import Pair, Twins, outcome

DEFINITIONS: list[tuple[str, dict[str, Any]]] = [
    ("Counter", {}),
    ("Gauge", {"multiprocess_mode": "livemax"}),
    ("Histogram", {"buckets": (1, 2.5, "10")}),
    ("Summary", {}),
    ("Info", {}),
    ("Enum", {"states": ["a", "b"]}),
]
ATTRIBUTES = [
    "_name",
    "_original_name",
    "_namespace",
    "_subsystem",
    "_unit",
    "_documentation",
    "_labelnames",
    "_labelvalues",
    "_type",
    "_reserved_labelnames",
]


def pairs(labels: tuple[str, ...]) -> list[Pair]:
    twins = Twins()
    return [
        twins.define(kind, f"m{n}_total", "help", labels, namespace="ns", subsystem="sub", **further)
        for n, (kind, further) in enumerate(DEFINITIONS)
    ]


@pytest.mark.parametrize("labels", [(), ("l", "m")])
def test_attributes_of_a_definition(labels: tuple[str, ...]) -> None:
    for pair in pairs(labels):
        variants = [(pair.ours, pair.theirs)]
        if labels:
            variants.append((pair.ours.labels("x", 5), pair.theirs.labels("x", 5)))
        for ours, theirs in variants:
            for name in ATTRIBUTES:
                mine, his = getattr(ours, name), getattr(theirs, name)
                if name == "_reserved_labelnames":
                    mine, his = tuple(mine), tuple(his)
                assert mine == his, name
            assert ours._is_parent() == bool(theirs._is_parent())
            assert bool(ours._is_observable()) == bool(theirs._is_observable())
            assert outcome(ours._raise_if_not_observable) == outcome(theirs._raise_if_not_observable)
            assert hasattr(ours, "_metrics") == hasattr(theirs, "_metrics")
            for holder in ("_value", "_sum", "_buckets", "_count"):
                # An info's and an enum's value are what they hold, and nobody reads them.
                if ours._type not in ("info", "stateset"):
                    assert hasattr(ours, holder) == hasattr(theirs, holder), (holder, ours)
            assert ours.describe()[0].__dict__ == theirs.describe()[0].__dict__


def test_attributes_of_one_kind() -> None:
    _, gauge, histogram, _, _, enum = pairs(())
    assert gauge.ours._multiprocess_mode == gauge.theirs._multiprocess_mode == "livemax"
    assert list(histogram.ours._upper_bounds) == histogram.theirs._upper_bounds == [1, 2.5, 10, float("inf")]
    assert list(enum.ours._states) == enum.theirs._states
    assert Histogram.DEFAULT_BUCKETS == prometheus_client.Histogram.DEFAULT_BUCKETS
    assert Gauge._MULTIPROC_MODES == prometheus_client.Gauge._MULTIPROC_MODES


def test_values_are_read() -> None:
    counter, gauge, histogram, summary, *_ = pairs(("l", "m"))
    for pair in (counter, gauge):
        pair.do("inc", 2.5, on=("x", "y"))
        ours, theirs = pair.ours.labels("x", "y"), pair.theirs.labels("x", "y")
        assert ours._value.get() == theirs._value.get() == ours._value._value == theirs._value._value == 2.5
    for pair in (histogram, summary):
        for amount in (0.5, 2.5, 7, 100):
            pair.do("observe", amount, on=("x", "y"))
        ours, theirs = pair.ours.labels("x", "y"), pair.theirs.labels("x", "y")
        assert ours._sum.get() == theirs._sum.get() == ours._sum._value == 110
    ours, theirs = histogram.ours.labels("x", "y"), histogram.theirs.labels("x", "y")
    assert (
        [bucket.get() for bucket in ours._buckets]
        == [bucket.get() for bucket in theirs._buckets]
        == [1, 1, 1, 1]
    )
    assert summary.ours.labels("x", "y")._count.get() == 4


def test_values_are_set_as_tests_do(registry: CollectorRegistry) -> None:
    for library in (ferrometer, prometheus_client):
        counter = library.Counter("c", "h", registry=None)
        counter.inc(7)
        counter._value.set(0)
        assert counter._value.get() == 0
        counter._value.inc(2)
        counter._value._value = 3.5
        assert counter._value.get() == 3.5
        gauge = library.Gauge("g", "h", registry=None)
        gauge._value.set(-4)
        gauge._value.inc(1)
        assert gauge._value.get() == -3
    histogram = Histogram("h", "h", registry=registry)
    with pytest.raises(AttributeError, match="comes from observe"):
        histogram._sum.set(0)
    counter = Counter("c", "h", registry=registry)
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a counter cannot become"):
            counter._value.set(wrong)
    with pytest.raises(ValueError, match="could not convert"):
        counter._value.set("x")  # type: ignore[arg-type]


def test_samples_are_read() -> None:
    for pair in pairs(("l", "m")):
        ours, theirs = pair.ours.labels("x", "y"), pair.theirs.labels("x", "y")
        for method in ("_samples", "_child_samples"):
            mine = [tuple(sample)[:3] for sample in getattr(ours, method)() if sample[0] != "_created"]
            his = [tuple(sample)[:3] for sample in getattr(theirs, method)() if sample[0] != "_created"]
            assert mine == his
        assert ours._child_samples()[0].name == theirs._child_samples()[0].name
        mine = [s for s in pair.ours._samples() if s.name != "_created"]
        assert mine == [s for s in pair.theirs._samples() if s.name != "_created"]
        # A child collects itself without its labels, as theirs does.
        (mine_family,), (his_family,) = ours.collect(), theirs.collect()
        assert [s.labels for s in mine_family.samples] == [s.labels for s in his_family.samples]


def test_what_a_registry_knows(registry: CollectorRegistry) -> None:
    theirs = prometheus_client.CollectorRegistry()
    for library, which in ((ferrometer, registry), (prometheus_client, theirs)):
        library.Counter("c", "h", registry=which)
        library.Histogram("h", "h", registry=which)
        library.Info("i", "h", registry=which)
    assert registry._names_to_collectors.keys() == theirs._names_to_collectors.keys()
    assert list(registry._collector_to_names.values()) == list(theirs._collector_to_names.values())
    assert registry._names_to_collectors["c_total"] is registry._names_to_collectors["c"]
    for which in (registry, theirs):
        for collector in list(which._collector_to_names):
            which.unregister(collector)
        assert not which._names_to_collectors
        assert not which._collector_to_names


def test_a_counter_that_can_be_set() -> None:
    """A subclass as it is written in many places."""
    for library in (ferrometer, prometheus_client):

        class Settable(library.Counter):  # type: ignore[misc,name-defined]
            def set(self, value: float) -> None:
                self._raise_if_not_observable()
                self._value.set(float(value))

        family = Settable("c", "h", ["l"], registry=None)
        family.labels("x").set(5)
        assert family.labels("x")._value.get() == 5
        with pytest.raises(ValueError, match="counter metric is missing label values"):
            family.set(1)


def test_mostrecent_gauges_are_only_set(registry: CollectorRegistry) -> None:
    for library in (ferrometer, prometheus_client):
        for mode in ("mostrecent", "livemostrecent"):
            gauge = library.Gauge(f"g_{mode}", "h", ["l"], registry=None, multiprocess_mode=mode).labels("x")
            gauge.set(5)
            gauge.set(value=6.5)
            for call in (gauge.inc, gauge.dec):
                with pytest.raises(RuntimeError, match="must not be used with the mostrecent mode"):
                    call()
                with pytest.raises(RuntimeError):
                    call(2.0)
            assert gauge._value.get() == 6.5
            gauge.set_function(lambda: 9)
            assert gauge.collect()[0].samples[0].value == 9
    Gauge("g", "h", registry=registry, multiprocess_mode="mostrecent").set(2)
    assert value(registry, "g") == 2
    with pytest.raises(ValueError, match=r"Invalid multiprocess mode: latest; one of all, .*, sum"):
        Gauge("g", "h", registry=None, multiprocess_mode="latest")


def test_exemplars_are_collected(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", registry=registry)
    counter.inc(2, exemplar={"trace_id": "abc"})
    histogram = Histogram("h", "h", ["l"], registry=registry, buckets=[1])
    histogram.labels("x").observe(5, {"trace_id": "def"})
    exemplars = {
        (sample.name, sample.labels.get("le")): sample.exemplar
        for family in registry.collect()
        for sample in family.samples
        if sample.exemplar
    }
    assert {key: (e.labels, e.value) for key, e in exemplars.items()} == {
        ("c_total", None): ({"trace_id": "abc"}, 2),
        ("h_bucket", "+Inf"): ({"trace_id": "def"}, 5),
    }
    assert b"trace_id" not in generate_latest(registry)
    for wrong, text in [
        ({"trace_id": "x" * 129}, "exceeding the limit of 128"),
        ({"__x": "y"}, "Reserved label"),
    ]:
        with pytest.raises(ValueError, match=text):
            counter.inc(exemplar=wrong)
