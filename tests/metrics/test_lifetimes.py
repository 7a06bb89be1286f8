"""Who keeps whom: children, handles, registries, callbacks, and nothing longer than it is needed."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from typing import Any

import pytest

from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from tests.metrics.fresh import python
from tests.metrics.reading import value

KINDS: list[tuple[Any, dict[str, Any]]] = [
    (Counter, {}),
    (Gauge, {}),
    (Histogram, {}),
    (Summary, {}),
    (Info, {}),
    (Enum, {"states": ["a"]}),
]


class Tracked(Counter):
    """A subclass can be referred to weakly."""


@pytest.mark.parametrize(("kind", "further"), KINDS)
def test_a_child_is_one_object_while_it_is_held(kind: Any, further: dict[str, Any]) -> None:
    family = kind("m", "h", ["a", "b"], registry=None, **further)
    child = family.labels("x", 1)
    assert type(child) is kind
    assert child is family.labels("x", 1) is family.labels("x", "1") is family.labels(b=1, a="x")
    assert child is family.labels("".join("x"), str(1)) is family._metrics["x", "1"]
    assert child is not family.labels("1", "x")
    assert child._labelvalues == ("x", "1")


def test_a_child_that_nobody_holds_comes_back_with_its_value(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry)
    for number in range(1000):
        counter.labels(f"x{number % 10}").inc()  # texts that nobody else holds, so no cache does
        gc.collect(0)
    assert value(registry, "c_total", l="x3") == 100


def test_a_removed_childs_handle_works_unseen(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry)
    old = counter.labels("x")
    old.inc(5)
    counter.remove("x")
    old.inc()
    assert (old._value.get(), old._labelvalues) == (6, ("x",))
    assert value(registry, "c_total", l="x") is None
    new = counter.labels("x")
    assert new is not old
    new.inc(2)
    old.inc(100)
    assert value(registry, "c_total", l="x") == 2
    counter.clear()
    new.inc()
    assert value(registry, "c_total", l="x") is None
    assert counter.labels("x")._value.get() == 0
    counter.remove_by_labels({"l": "x"})
    assert counter._metrics == {}


@pytest.mark.parametrize(("kind", "further"), KINDS)
def test_weak_references_keep_nothing(kind: Any, further: dict[str, Any]) -> None:
    family = kind("m", "h", ["a"], registry=None, **further)
    single = kind("n", "h", registry=None, **further)
    child = family.labels("".join(["a", "b"]))
    everyone = weakref.WeakSet([family, single, child])
    refs = [weakref.ref(metric) for metric in everyone]
    assert len(everyone) == 3
    family.clear()
    del child
    assert sorted(str(metric) for metric in everyone) == [f"{kind._type}:m", f"{kind._type}:n"]
    del family, single
    assert [ref() for ref in refs] == [None, None, None]


def test_a_child_works_without_its_family() -> None:
    family = Histogram("h", "h", ["l"], registry=None)
    child = family.labels("x")
    del family
    gc.collect()
    child.observe(2)
    assert child.quantile(0.5) == 2
    assert child._name == "h"
    assert child._labelnames == ("l",)


def test_labels_keep_no_reference_too_many() -> None:
    counter = Counter("c", "h", ["a", "b"], registry=None)
    one, two = "".join(["label", "one"]), "".join(["label", "two"])
    child = counter.labels(one, two)
    objects = (counter, one, two, child, None)
    for _ in range(1000):  # caches fill
        counter.labels(one, two).inc()
        counter.labels(b=two, a=one).inc(2)
    before = [sys.getrefcount(o) for o in objects]
    for _ in range(100_000):
        counter.labels(one, two).inc()
    for _ in range(20_000):
        counter.labels(b=two, a=one).inc(2)
        counter.labels(one + "!", two)
        child.inc()
    after = [sys.getrefcount(o) for o in objects]
    assert all(abs(b - a) <= 2 for a, b in zip(before[:4], after[:4], strict=True))
    assert abs(after[4] - before[4]) < 100


def test_errors_keep_no_reference() -> None:
    counter = Counter("c", "h", ["a"], registry=None)
    value = "".join(["a", " value"])
    number: Any = "".join(["no", " number"])
    child: Any = counter.labels("x")
    for repeat in range(2):
        before = [sys.getrefcount(o) for o in (counter, value, number, child)]
        for _ in range(2000):
            for wrong in (
                lambda: counter.labels(value, value),
                lambda: counter.labels(b=value),
                lambda: counter.labels(value, a=value),
                lambda: child.labels(value),
                lambda: child.inc(number),
                lambda: child.inc(1, 2, number),
                lambda: child.inc(much=number),
                lambda: counter.inc(),
            ):
                with pytest.raises((ValueError, TypeError)):
                    wrong()
        after = [sys.getrefcount(o) for o in (counter, value, number, child)]
        assert repeat == 0 or all(abs(b - a) <= 2 for a, b in zip(before, after, strict=True))


def traced() -> int:
    """Bytes that were allocated in here and below, and not by the background of other tests' applications."""
    gc.collect()
    below = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, __file__, all_frames=True)])
    return sum(statistic.size for statistic in below.statistics("filename"))


def test_no_python_memory_grows() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "h", ["l"], registry=registry)
    counter = Counter("c", "h", ["l"], registry=registry)
    counter.labels("held")

    def work() -> None:
        for number in range(300):
            counter.labels(str(number % 40)).inc(0.5)
            with histogram.labels(l=str(number % 7)).time():
                pass
            counter.remove(str(number % 40))
        histogram.clear()
        generate_latest(registry)

    for _ in range(5):
        work()
    gc.collect()
    tracemalloc.start(10)
    try:
        work()
        before = traced()
        for _ in range(20):
            work()
        assert traced() - before < 20_000
    finally:
        tracemalloc.stop()


def test_no_native_memory_grows() -> None:
    """Series, histograms, registries and layouts that come and go, in a process of its own."""
    python("""
        def work():
            for number in range(200):
                temporary = CollectorRegistry()
                family = Histogram("h", "h", ["l"], registry=temporary, buckets=[number, number + 1.5])
                for label in range(10):
                    family.labels(label).observe(label)
                Counter("c", "h", registry=temporary).inc()
                Summary("s", "h", ["a"], registry=temporary, quantiles=[0.5]).labels("x" * 1000).observe(1)
                Info("i", "h", registry=temporary).info({"a": "b" * 1000})
                Enum("e", "h", registry=temporary, states=["a", "b"]).state("b")
                Gauge("g", "h", registry=temporary).set_function(lambda: 1)
                generate_latest(temporary)
                family.clear()

        for _ in range(3):
            work()
        before = kilobytes()
        for _ in range(15):
            work()
        assert kilobytes() - before < 3000, kilobytes() - before
    """)


def test_a_temporary_registry_goes_at_once() -> None:
    """Without the garbage collector: it is in no cycle."""
    gc.disable()
    try:
        registry = CollectorRegistry(target_info={"a": "b"})
        gone = weakref.ref(registry)
        metrics = [
            kind(f"m{n}", "h", ["l"], registry=registry, **more) for n, (kind, more) in enumerate(KINDS)
        ]
        for metric in metrics:
            metric.labels("x")
        tracked = Tracked("t", "h", ["l"], registry=registry)
        tracked.labels("y").inc()
        plain, child = weakref.ref(tracked), weakref.ref(tracked.labels("y"))
        generate_latest(registry)
        list(registry.collect())
        del metric, metrics, tracked
        assert plain() is not None
        del registry
        assert gone() is None
        assert plain() is None
        assert child() is None
    finally:
        gc.enable()


def test_a_callback_that_knows_its_gauge_is_collected() -> None:
    class Pool:
        def __init__(self) -> None:
            self.registry = CollectorRegistry()
            self.size = Gauge("size", "h", registry=self.registry)
            self.size.set_function(lambda: len(self.name))
            self.free = Gauge("free", "h", ["l"], registry=self.registry)
            self.free.labels("a").set_function(lambda: len(self.name))
            self.name = "pool"

    pool = Pool()
    assert value(pool.registry, "size") == value(pool.registry, "free", l="a") == 4
    held = pool.free.labels("a")
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    held.set(5)  # a child outlives what the collector took
    assert held._value.get() == 5
    assert held._name == "free"


def test_a_subclass_that_knows_itself_is_collected() -> None:
    class Knowing(Counter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.me = self

    family = Knowing("c", "h", ["l"], registry=None)
    family.labels("x").family = family  # type: ignore[attr-defined]
    refs = weakref.ref(family), weakref.ref(family.labels("x"))
    del family
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_what_was_set_last_is_dropped_first() -> None:
    class Source:
        def __call__(self) -> float:
            return 1

    gauge = Gauge("g", "h", registry=None)
    source = Source()
    gone = weakref.ref(source)
    gauge.set_function(source)
    del source
    assert gone() is not None
    gauge.set_function(lambda: 2)
    assert gone() is None


def test_the_collector_may_come_at_any_time() -> None:
    """Finalisers that use the very metrics, with a collection every few allocations."""
    python("""
        counter = Counter("c", "h", ["l"], registry=registry)
        histogram = Histogram("h", "h", ["l"], registry=registry)
        finalised = 0

        class Node:
            def __init__(self):
                self.me = self

            def __del__(self):
                global finalised
                finalised += 1
                counter.labels(f"f{finalised % 5}").inc()
                histogram.labels("f").observe(finalised)
                if finalised % 50 == 0:
                    Counter(f"made_{finalised % 1000}", "h", registry=registry).inc()
                    generate_latest(registry)
                    counter.remove("f1")

        gc.set_threshold(1, 1, 1)
        for number in range(3000):
            Node()
            counter.labels(f"x{number % 30}").inc()
            with histogram.labels(l=f"x{number % 30}").time():
                pass
            if number % 100 == 0:
                generate_latest(registry)
                list(registry.collect())
        gc.set_threshold(700, 10, 10)
        gc.collect()
        assert finalised == 3000
        assert registry.get_sample_value("h_count", {"l": "f"}) == 3000
    """)
