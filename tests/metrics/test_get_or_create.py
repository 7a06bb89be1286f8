"""The same definition is the same metric; another one under its name raises, and shows both."""

from __future__ import annotations

import importlib
import math
import sys
import threading
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from ferrometer import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from tests.metrics.reading import scrape, value

KINDS: list[tuple[Any, dict[str, Any]]] = [
    (Counter, {}),
    (Gauge, {"multiprocess_mode": "max"}),
    (Histogram, {"buckets": [1, 2, 3], "sample": 0.5}),
    (Summary, {"quantiles": [0.5]}),
    (Info, {}),
    (Enum, {"states": ["a", "b"]}),
]


@pytest.mark.parametrize(("kind", "further"), KINDS)
@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_the_same_definition_is_the_same_object(
    registry: CollectorRegistry, kind: Any, further: dict[str, Any], labels: tuple[str, ...]
) -> None:
    first = kind("x", "h", labels, registry=registry, **further)
    assert kind("x", "h", labels, registry=registry, **further) is first
    assert kind("x", "h", list(labels), "", "", "", registry, **further) is first
    assert (
        kind(name="x", documentation="other words", labelnames=labels, registry=registry, **further) is first
    )
    assert len(registry._collector_to_names) == 1
    assert kind("x", "h", labels, registry=CollectorRegistry(), **further) is not first
    assert kind("x", "h", labels, registry=None, **further) is not first


def test_parts_and_suffixes_make_the_same_name(registry: CollectorRegistry) -> None:
    first = Counter("requests_total", "h", namespace="app", registry=registry)
    assert Counter("requests", "h", namespace="app", registry=registry) is first
    assert Counter("app_requests", "h", registry=registry) is first
    assert Gauge("time", "h", unit="seconds", registry=registry) is Gauge(
        "time_seconds", "h", registry=registry
    )


def test_values_stay(registry: CollectorRegistry) -> None:
    Counter("c", "h", ["l"], registry=registry).labels("x").inc(3)
    Counter("c", "h", ["l"], registry=registry).labels("x").inc(4)
    assert value(registry, "c_total", l="x") == 7


CONFLICTS: list[tuple[Any, dict[str, Any], Any, dict[str, Any], str, str]] = [
    (Counter, {}, Gauge, {}, "counter x()", "gauge x()"),
    (Counter, {}, Counter, {"labelnames": ["a"]}, "counter x()", "counter x(a)"),
    (Counter, {"labelnames": "ab"[:1]}, Counter, {"labelnames": ["b"]}, "counter x(a)", "counter x(b)"),
    (Gauge, {"labelnames": ("a", "b")}, Gauge, {"labelnames": ("b", "a")}, "gauge x(a, b)", "gauge x(b, a)"),
    (Histogram, {"buckets": [1]}, Histogram, {"buckets": [2]}, "buckets=[1.0, inf]", "buckets=[2.0, inf]"),
    (Summary, {"quantiles": [0.5]}, Summary, {"quantiles": [0.9]}, "quantiles=[0.5]", "quantiles=[0.9]"),
    (Enum, {"states": ["a"]}, Enum, {"states": ["a", "b"]}, 'states=["a"]', 'states=["a", "b"]'),
    (Histogram, {}, Summary, {}, "histogram x()", "summary x()"),
    (Gauge, {}, Gauge, {"multiprocess_mode": "max"}, 'multiprocess_mode="all"', 'multiprocess_mode="max"'),
    (Gauge, {"multiprocess_mode": "mostrecent"}, Gauge, {}, '"mostrecent"', 'multiprocess_mode="all"'),
    (Histogram, {}, Histogram, {"sample": 0.01}, "sample=1", "sample=0.01"),
    (Histogram, {"sample": 0.5}, Histogram, {}, "sample=0.5", "sample=1"),
]


@pytest.mark.parametrize(("kind", "one", "other", "two", "shows", "wants"), CONFLICTS)
def test_another_definition_raises_and_shows_both(
    registry: CollectorRegistry,
    kind: Any,
    one: dict[str, Any],
    other: Any,
    two: dict[str, Any],
    shows: str,
    wants: str,
) -> None:
    first = kind("x", "h", registry=registry, **one)
    before = generate_latest(registry)
    with pytest.raises(
        ValueError, match='Duplicated timeseries in CollectorRegistry: "x" is taken'
    ) as caught:
        other("x", "h", registry=registry, **two)
    assert shows in str(caught.value)
    assert wants in str(caught.value)
    assert "another name, or another registry" in str(caught.value)
    assert generate_latest(registry) == before
    assert kind("x", "h", registry=registry, **one) is first


@pytest.mark.parametrize(
    ("kind", "name", "other", "taken"),
    [
        (Counter, "x", Gauge, "x_total"),
        (Counter, "x", Gauge, "x_created"),
        (Histogram, "x", Counter, "x_count"),
        (Histogram, "x", Gauge, "x_bucket"),
        (Summary, "x", Gauge, "x_sum"),
        (Info, "x", Gauge, "x_info"),
        (Gauge, "x_count", Histogram, "x"),
    ],
)
def test_the_names_of_samples_are_taken_too(
    registry: CollectorRegistry, kind: Any, name: str, other: Any, taken: str
) -> None:
    kind(name, "h", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        other(taken, "h", registry=registry)


def test_what_is_not_part_of_a_definition_stays_as_it_was(registry: CollectorRegistry) -> None:
    """Reloading code that changed a sentence or a cap must not raise: the first one holds."""
    first = Histogram("h", "first", registry=registry, max_series=1)
    assert Histogram("h", "second", registry=registry, max_series=5) is first
    assert first._documentation == "first"
    for _ in range(100):
        first.observe(1)
    assert b"# HELP h first\n" in generate_latest(registry)


def test_a_failed_definition_leaves_nothing(registry: CollectorRegistry) -> None:
    definitions: list[tuple[Any, dict[str, Any]]] = [
        (Histogram, {"buckets": [2, 1]}),
        (Histogram, {"sample": 7}),
        (Counter, {"labelnames": ["__x"]}),
        (Enum, {"states": []}),
        (Gauge, {"multiprocess_mode": "never"}),
        (Counter, {"max_series": 0}),
    ]
    for kind, wrong in definitions:
        with pytest.raises(ValueError, match=r"max_series|Buckets|sample|label|mode|states"):
            kind("x", "h", registry=registry, **wrong)
    assert registry._names_to_collectors == {}
    assert generate_latest(registry) == b""
    Gauge("x", "h", registry=registry)


MODULE = """
import ferrometer
REGISTRY = ferrometer.CollectorRegistry() if "REGISTRY" not in globals() else REGISTRY
requests = ferrometer.Counter("reloaded_requests", "h", ["route"], registry=REGISTRY)
latency = ferrometer.Histogram("reloaded_seconds", "h", registry=REGISTRY, buckets=(0.1, 1))
state = ferrometer.Enum("reloaded_state", "h", states=["up", "down"], registry=REGISTRY)

class Special(ferrometer.Counter):
    def __init__(self, name, documentation, *args, tag="", **kwargs):
        super().__init__(name, documentation, *args, **kwargs)
        self.tag = tag

special = Special("reloaded_special", "h", ["l"], registry=REGISTRY)
pending = ferrometer.Gauge("reloaded_pending", "h", registry=REGISTRY)
pending.set_function(lambda: 5)
"""


def test_a_module_may_be_reloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reloaded_metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("reloaded_metrics")
    try:
        before = {name: getattr(module, name) for name in ("requests", "latency", "state", "pending")}
        old_special = module.special
        module.requests.labels("/").inc()
        module.special.labels("x").inc()
        importlib.reload(module)
        importlib.reload(module)
        assert {name: getattr(module, name) for name in before} == before
        module.requests.labels("/").inc()
        module.special.labels("x").inc()
        old_special.labels("x").inc()
        assert value(module.REGISTRY, "reloaded_requests_total", route="/") == 2
        # The class is a new one, and so is the object; the series are the same.
        assert value(module.REGISTRY, "reloaded_special_total", l="x") == 3
        assert module.REGISTRY._names_to_collectors["reloaded_special"] is module.special
        assert len(module.REGISTRY._collector_to_names) == 5
        assert value(module.REGISTRY, "reloaded_pending") == 5
        module.REGISTRY.unregister(module.special)
        assert value(module.REGISTRY, "reloaded_special_total", l="x") is None
    finally:
        del sys.modules["reloaded_metrics"]


def test_the_default_registry_is_the_default() -> None:
    name = "ferrometer_test_default_registry"
    first = Counter(name, "h")
    try:
        assert Counter(name, "h", registry=REGISTRY) is first
        assert REGISTRY._names_to_collectors[name] is first
        first.inc()
        assert f"{name}_total 1.0" in generate_latest().decode()
    finally:
        REGISTRY.unregister(first)
    assert name not in generate_latest().decode()


def test_threads_that_define_the_same_count_together(registry: CollectorRegistry) -> None:
    barrier = threading.Barrier(8)

    def work() -> None:
        for number in range(30):
            barrier.wait()
            Counter(f"c{number}", "h", ["l"], registry=registry).labels("x").inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = {name: count for (name, _), count in scrape(registry).items() if name.endswith("_total")}
    assert counts == {f"c{number}_total": 8 for number in range(30)}
    assert len(registry._collector_to_names) == 30


def test_in_a_registry_of_prometheus_client_too() -> None:
    theirs = prometheus_client.CollectorRegistry()
    first = Counter("x", "h", ["l"], registry=theirs)
    assert Counter("x", "h", ["l"], registry=theirs) is first
    first.labels("a").inc()
    assert b'x_total{l="a"} 1.0' in prometheus_client.generate_latest(theirs)
    with pytest.raises(ValueError, match=r"Duplicated timeseries.*counter x\(l\).*counter x\(other\)"):
        Counter("x", "h", ["other"], registry=theirs)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Gauge("x", "h", registry=theirs)
    prometheus_client.Gauge("taken", "h", registry=theirs)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Gauge("taken", "h", registry=theirs)


def test_a_metric_may_move(registry: CollectorRegistry) -> None:
    counter = Counter("x", "h", registry=None)
    counter.inc()
    assert generate_latest(registry) == b""
    registry.register(counter)
    other = CollectorRegistry()
    other.register(counter)
    counter.inc()
    assert value(registry, "x_total") == value(other, "x_total") == 2
    with pytest.raises(
        ValueError, match=r"Duplicated timeseries.*Registered: counter x\(\). Wanted: counter x\(\)"
    ):
        registry.register(counter)
    registry.unregister(counter)
    with pytest.raises(KeyError):
        registry.unregister(counter)
    assert generate_latest(registry) == b""
    assert value(other, "x_total") == 2
    fresh = Counter("x", "h", registry=registry)
    assert fresh is not counter
    assert value(registry, "x_total") == 0
    # The old handle counts on, unseen here.
    counter.inc()
    assert (fresh._value.get(), counter._value.get()) == (0, 3)
    assert math.isclose(fresh._created, counter._created, abs_tol=60)


def test_another_unit_raises(registry: CollectorRegistry) -> None:
    Gauge("x_seconds", "h", registry=registry)
    with pytest.raises(ValueError, match=r'Wanted: gauge x_seconds\(\).*, unit="seconds"'):
        Gauge("x", "h", unit="seconds", registry=registry)
    Gauge("y", "h", unit="milli_seconds", registry=registry)
    with pytest.raises(ValueError, match=r'Registered: .*unit="milli_seconds".*Wanted: .*unit="seconds"'):
        Gauge("y_milli", "h", unit="seconds", registry=registry)


def test_a_subclass_with_another_sampling_raises(registry: CollectorRegistry) -> None:
    class Mine(Histogram):
        pass

    Mine("x", "h", registry=registry, sample=0.5)
    Mine("x", "h", registry=registry, sample=0.5)
    with pytest.raises(ValueError, match=r"sample=0\.5.*sample=0\.1"):
        Mine("x", "h", registry=registry, sample=0.1)
