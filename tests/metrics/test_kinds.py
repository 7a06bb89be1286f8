"""What a metric's cells are does not depend on the Python class that its object claims to have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ferrometer import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    _core,
    generate_latest,
)

MAKERS: dict[str, Callable[[CollectorRegistry], Any]] = {
    "counter": lambda registry: Counter("x", "help", registry=registry),
    "gauge": lambda registry: Gauge("x", "help", registry=registry),
    "latest": lambda registry: Gauge("x", "help", registry=registry, multiprocess_mode="mostrecent"),
    "histogram": lambda registry: Histogram("x", "help", registry=registry),
    "sampled histogram": lambda registry: Histogram("x", "help", registry=registry, sample=0.5),
    "summary": lambda registry: Summary("x", "help", registry=registry),
    "info": lambda registry: Info("x", "help", registry=registry),
    "enum": lambda registry: Enum("x", "help", registry=registry, states=["a", "b"]),
}
CLASSES = (Counter, Gauge, Histogram, Summary, Info, Enum)
CALLS: dict[str, Callable[[Any], object]] = {
    "inc": lambda metric: metric.inc(),
    "inc float": lambda metric: metric.inc(2.5),
    "inc int": lambda metric: metric.inc(3),
    "dec": lambda metric: metric.dec(1.5),
    "set": lambda metric: metric.set(4.5),
    "set int": lambda metric: metric.set(4),
    "observe": lambda metric: metric.observe(0.5),
    "observe int": lambda metric: metric.observe(1),
    "observe exemplar": lambda metric: metric.observe(0.5, {"trace_id": "x"}),
    "set_function": lambda metric: metric.set_function(lambda: 1.0),
    "info": lambda metric: metric.info({"a": "b"}),
    "state": lambda metric: metric.state("b"),
    "quantile": lambda metric: metric.quantile(0.5),
    "reset": lambda metric: metric.reset(),
    "value": lambda metric: metric._value.set(3),
    "labels": lambda metric: metric.labels("x"),
}
NATIVE: dict[str, tuple[Any, ...]] = {
    "_record": (0.5,),
    "_hold": (),
    "_take": (),
    "_quantiles": ([0.5],),
    "_statistics": (),
    "_set_state": (1,),
    "_set_info": ([("a", "b")],),
    "_set_function": (lambda: 1.0,),
    "_get": (),
    "_put": (1.0,),
    "_reset": (),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("other", CLASSES)
def test_class_is_not_assigned(kind: str, other: type) -> None:
    metric = MAKERS[kind](CollectorRegistry())
    before = type(metric)
    with pytest.raises(TypeError, match="class of a metric cannot be changed"):
        metric.__class__ = other
    with pytest.raises(TypeError, match="class of a metric cannot be changed"):
        object.__setattr__(metric, "__class__", other)
    assert type(metric) is metric.__class__ is before


def force(metric: object, other: type) -> bool:
    """The way round every override: the descriptor of ``object`` itself."""
    try:
        object.__dict__["__class__"].__set__(metric, other)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("other", CLASSES)
@pytest.mark.parametrize("call", CALLS)
def test_forced_class_corrupts_nothing(kind: str, other: type, call: str) -> None:
    registry = CollectorRegistry()
    metric = MAKERS[kind](registry)
    before = type(metric)
    neighbours = [Counter(f"n{number}", "help", registry=registry) for number in range(8)]
    if not force(metric, other):
        pytest.skip("this interpreter refuses by itself")
    with suppress(TypeError, ValueError, AttributeError, KeyError, RuntimeError):
        CALLS[call](metric)
    force(metric, before)
    assert [counter._value.get() for counter in neighbours] == [0] * 8
    assert generate_latest(registry)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("method", NATIVE)
def test_native_method_of_another_kind(kind: str, method: str) -> None:
    registry = CollectorRegistry()
    metric = MAKERS[kind](registry)
    with suppress(TypeError, ValueError):
        getattr(_core.Metric, method)(metric, *NATIVE[method])
    assert generate_latest(registry)


def test_labelled_family_with_a_forced_class() -> None:
    registry = CollectorRegistry()
    family = Counter("x", "help", ["a"], registry=registry)
    if not force(family, Histogram):
        pytest.skip("this interpreter refuses by itself")
    with pytest.raises(TypeError, match="the metric is a counter, and no histogram"):
        family.labels("1").observe(0.5)  # type: ignore[attr-defined]
    force(family, Counter)
    family.labels("2").inc()
    assert registry.get_sample_value("x_total", {"a": "2"}) == 1


def test_forced_class_that_is_no_metric_class() -> None:
    family = Counter("x", "help", ["a"], registry=CollectorRegistry())
    other = type("Other", (_core.Metric,), {"__slots__": ()})
    if not force(family, other):
        pytest.skip("this interpreter refuses by itself")
    with pytest.raises((TypeError, AttributeError)):
        family.labels("1")
