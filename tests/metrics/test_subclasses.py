"""Classes that people derive from metrics: their children, their samples, their idea of observing."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Iterable
from typing import Any

import prometheus_client
import pytest

import ferrometer
from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from tests.metrics.clock import Clock
from tests.metrics.reading import scrape, value
from tests.metrics.twin import masked

LIBRARIES = [ferrometer, prometheus_client]


def both(script: Any) -> None:
    """Runs a script with each library; the expositions must be the same."""
    texts = []
    for library in LIBRARIES:
        registry = library.CollectorRegistry()
        script(library, registry)
        texts.append(masked(prometheus_client.generate_latest(registry)))
        if library is ferrometer:
            assert masked(generate_latest(registry)) == texts[0]
    assert texts[0] == texts[1]
    assert texts[0]


def test_children_are_of_the_subclass() -> None:
    def script(library: Any, registry: Any) -> None:
        class Budget(library.Counter):  # type: ignore[misc]
            def __init__(self, *args: Any, limit: float = 5, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.limit = limit
                self._kwargs["limit"] = limit

            def spend(self, amount: float) -> bool:
                self.inc(amount)
                return bool(self._value.get() <= self.limit)

        budget = Budget("spent", "h", ["team"], limit=10, registry=registry)
        child = budget.labels("a")
        assert type(child) is Budget
        assert (budget.limit, child.limit) == (10, 10)
        assert child is budget.labels(team="a") is budget._metrics["a",]
        assert child.spend(8)
        assert not budget.labels("a").spend(8)
        assert child._labelvalues == ("a",)
        budget.remove("a")
        assert budget.labels("a") is not child
        budget.labels("b").spend(1)
        budget.clear()
        budget.labels("c").spend(1)

    both(script)


def test_a_subclass_written_for_prometheus_client() -> None:
    """With its whole signature, and nothing of ours in it."""

    def script(library: Any, registry: Any) -> None:
        class Old(library.Histogram):  # type: ignore[misc]
            def __init__(
                self,
                name: str,
                documentation: str,
                labelnames: Iterable[str] = (),
                namespace: str = "",
                subsystem: str = "",
                unit: str = "",
                registry: Any = None,
                _labelvalues: Any = None,
                buckets: Any = (1, 2),
            ) -> None:
                super().__init__(
                    name,
                    documentation,
                    labelnames,
                    namespace,
                    subsystem,
                    unit,
                    registry,
                    _labelvalues,
                    buckets,
                )
                self.seen = 0

            def observe(self, amount: float, exemplar: Any = None) -> None:
                self.seen += 1
                super().observe(amount * 1000, exemplar)

        old = Old("old", "h", ["l"], unit="ms", registry=registry, buckets=(1, 10))
        old.labels("x").observe(0.005)
        assert old.labels("x").seen == 1
        unlabelled = Old("plain", "h", registry=registry)
        unlabelled.observe(0.001)

    both(script)


def test_own_samples() -> None:
    def script(library: Any, registry: Any) -> None:
        class Doubled(library.Gauge):  # type: ignore[misc]
            def _child_samples(self) -> Any:
                return [(s[0], s[1], s[2] * 2, *s[3:]) for s in super()._child_samples()]

        class Forgetful(library.Counter):  # type: ignore[misc]
            def collect(self) -> Any:
                families = list(super().collect())
                self.clear()
                return families

        Doubled("doubled", "h", registry=registry).set(4)
        labelled = Doubled("doubled_too", "h", ["l"], registry=registry)
        labelled.labels("x").set(1)
        labelled.labels("y").set(2)
        forgetful = Forgetful("forgetful", "h", ["l"], registry=registry)
        forgetful.labels("x").inc()
        assert "x" in str(next(iter(forgetful.collect())).samples)
        forgetful.labels("x").inc()

    def ours(registry: CollectorRegistry) -> bytes:
        script(ferrometer, registry)
        return generate_latest(registry)

    theirs = prometheus_client.CollectorRegistry()
    script(prometheus_client, theirs)
    assert sorted(masked(ours(CollectorRegistry())).splitlines()) == sorted(
        masked(prometheus_client.generate_latest(theirs)).splitlines()
    )


def test_the_hook_of_deferred_initialisation() -> None:
    for library in LIBRARIES:
        called: list[tuple[str, ...]] = []

        class Hooked(library.Counter):  # type: ignore[misc,name-defined]
            def _metric_init(self, called: list[tuple[str, ...]] = called) -> None:
                super()._metric_init()
                called.append(self._labelvalues)

        Hooked("a", "h", registry=None)
        family = Hooked("b", "h", ["l"], registry=None)
        family.labels("x")
        family.labels("x").inc()
        assert called == [(), ("x",)]


def test_timers_observe_as_the_subclass_does(clock: Clock) -> None:
    class Milliseconds(Summary):
        def observe(self, amount: float) -> None:
            super().observe(amount * 1000)

    class Further(Milliseconds):
        pass

    class Capped(Gauge):
        def set(self, value: float) -> None:
            super().set(min(value, 1))

    for kind in (Milliseconds, Further):
        summary = kind("s", "h", registry=None)
        with summary.time():
            clock.pass_(0.5)
        assert summary._statistics()[:2] == (1, 500)
    gauge = Capped("g", "h", registry=None)
    with gauge.time():
        clock.pass_(5)
    gauge.set_to_current_time()
    assert gauge._value.get() == 1


def test_trackers_use_the_subclass() -> None:
    steps: list[str] = []

    class Loud(Gauge):
        def inc(self, amount: float = 1) -> None:
            steps.append("inc")
            super().inc(amount)

        def dec(self, amount: float = 1) -> None:
            steps.append("dec")
            super().dec(amount)

    class Counting(Counter):
        def inc(self, amount: float = 1, exemplar: Any = None) -> None:
            steps.append("count")
            super().inc(amount, exemplar)

    with Loud("g", "h", registry=None).track_inprogress():
        pass
    with pytest.raises(LookupError), Counting("c", "h", registry=None).count_exceptions():
        raise LookupError
    assert steps == ["inc", "dec", "count"]


def test_a_sampled_subclass_that_observes_its_own_way() -> None:
    class Shifted(Histogram):
        asked = 0

        def observe(self, amount: float, exemplar: Any = None) -> None:
            Shifted.asked += 1
            super().observe(amount + 1, exemplar)

    histogram = Shifted("h", "h", registry=None, sample=0.5)
    for _ in range(100):
        with histogram.time():
            pass
    count, total, least, _ = histogram._statistics()
    assert count == Shifted.asked == 100
    assert total >= 100
    assert least >= 1


def test_a_subclass_must_pass_its_label_values_on(registry: CollectorRegistry) -> None:
    class Forgetting(Counter):
        def __init__(self, name: str, documentation: str, labelnames: Any = (), **kwargs: Any) -> None:
            super().__init__(name, documentation, labelnames, registry=registry)

    family = Forgetting("c", "h", ["l"])
    with pytest.raises(
        TypeError, match=r"Forgetting\.__init__ must pass _labelvalues on to super\(\)\.__init__\(\)"
    ):
        family.labels("x")
    Counter("unaffected", "h", ["l"], registry=registry).labels("x").inc()
    assert value(registry, "unaffected_total", l="x") == 1


def test_a_subclass_that_makes_further_metrics(registry: CollectorRegistry) -> None:
    class WithErrors(Counter):
        def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(name, *args, **kwargs)
            self.errors = Counter(f"{name}_errors", "h", ["kind"], registry=registry)
            self.errors.labels("none")
            if self._labelvalues:
                self.twin = WithErrors(f"{name}_twin", "h", registry=registry)

    family = WithErrors("c", "h", ["l"], registry=registry)
    family.labels("x").twin.inc(3)
    assert value(registry, "c_twin_total") == 3
    family.labels("x").errors.labels("bad").inc()
    family.labels("y").inc()
    assert value(registry, "c_errors_total", kind="bad") == 1
    assert value(registry, "c_total", l="y") == 1


def test_a_subclass_without_its_parents_constructor() -> None:
    class Unborn(Counter):
        def __init__(self) -> None:
            pass

    for call in (
        lambda u: u.inc(),
        lambda u: u.labels("x"),
        lambda u: u.collect(),
        repr,
        lambda u: u._value.get(),
    ):
        with pytest.raises(RuntimeError, match=r"not initialised: call super\(\)\.__init__\(\) first"):
            call(Unborn())


@pytest.mark.parametrize(
    ("base", "kind"),
    [
        (Histogram, "counter"),
        (Counter, "histogram"),
        (Counter, "gauge"),
        (Gauge, "stateset"),
        (Summary, "info"),
    ],
)
def test_a_type_that_is_not_the_classes_own(base: Any, kind: str) -> None:
    """Its native methods would write where the cells of another kind are."""
    wrong = type("Wrong", (base,), {"_type": kind})
    with pytest.raises(
        TypeError, match=f'must derive from exactly one metric class, the one whose _type is "{kind}"'
    ):
        wrong("x", "h", registry=None)


def test_two_metric_classes_at_once() -> None:
    class Both(Counter, Histogram):
        pass

    with pytest.raises(TypeError, match="must derive from exactly one metric class"):
        Both("x", "h", registry=None)


def test_with_slots_and_with_mixins(registry: CollectorRegistry) -> None:
    class Slotted(Counter):
        __slots__ = ("tag",)

    class Mixin:
        def twice(self: Any) -> None:
            self.inc(2)

    class Mixed(Mixin, Counter):
        pass

    slotted: Any = Slotted("s", "h", ["l"], registry=registry)
    slotted.labels("x").tag = "t"
    slotted.labels("x").inc()
    assert slotted.labels("x").tag == "t"
    Mixed("m", "h", ["l"], registry=registry).labels("y").twice()
    assert value(registry, "s_total", l="x") == 1
    assert value(registry, "m_total", l="y") == 2


@pytest.mark.parametrize("kind", ["Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"])
def test_copies_are_the_metric_itself(registry: CollectorRegistry, kind: str) -> None:
    """A metric is a name for cells: whoever copies an application's settings means the same cells."""
    further = {"states": ["a"]} if kind == "Enum" else {}
    metric = getattr(ferrometer, kind)("m", "h", ["l"], registry=registry, **further)
    child = metric.labels("x")
    assert copy.copy(metric) is copy.deepcopy(metric) is metric
    assert copy.deepcopy({"metrics": [child]})["metrics"][0] is child
    for one in (metric, child):
        with pytest.raises(
            TypeError, match=rf"cannot pickle ferrometer\.metrics\.{kind}\(m.*\).*the same definition"
        ):
            pickle.dumps(one)


def test_names_for_people(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry)
    assert str(counter) == "counter:c"
    assert repr(counter) == "ferrometer.metrics.Counter(c)"
    assert repr(counter.labels('"x')) == "ferrometer.metrics.Counter(c{l='\"x'})"
    counter.remove('"x')
    counter.labels("x")
    assert importlib.import_module(type(counter).__module__).Counter is type(counter)
    assert scrape(registry).keys() == {("c_total", (("l", "x"),)), ("c_created", (("l", "x"),))}
