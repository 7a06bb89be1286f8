"""Registries: other people's collectors in ours, our metrics in others', target_info, restriction."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable
from typing import Any

import prometheus_client
import pytest
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ferrometer import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    HttpMetrics,
    Info,
    Summary,
    generate_latest,
)
from tests.metrics.reading import parsed, scrape, value
from tests.metrics.twin import masked


class Queue:
    """A collector as people write them for prometheus_client."""

    def __init__(self, name: str = "queue", described: bool = True) -> None:
        self.name = name
        self.calls = 0
        if described:
            self.describe = lambda: [GaugeMetricFamily(self.name, "h")]

    def collect(self) -> Iterable[Metric]:
        self.calls += 1
        family = GaugeMetricFamily(self.name, "h", labels=["q"])
        family.add_metric(["mail"], 5)
        yield family


def test_a_collector_is_asked_at_each_scrape(registry: CollectorRegistry) -> None:
    Counter("ours", "h", registry=registry).inc()
    queue = Queue()
    registry.register(queue)
    assert queue.calls == 0  # described, so not collected to register
    for _ in range(2):
        assert value(registry, "queue", q="mail") == 5
    assert registry.get_sample_value("queue", {"q": "mail"}) == 5
    assert queue.calls == 3
    registry.unregister(queue)
    assert value(registry, "queue", q="mail") is None
    registry.register(queue)


def test_all_that_prometheus_client_brings(registry: CollectorRegistry) -> None:
    for make in (ProcessCollector, PlatformCollector, GCCollector):
        make(registry=registry)  # type: ignore[arg-type]
    prometheus_client.Histogram("theirs", "h", ["l"], registry=registry).labels("x").observe(1)  # type: ignore[arg-type]
    read = scrape(registry)
    names = {name for name, _ in read}
    assert {"python_info", "python_gc_objects_collected_total", "theirs_bucket"} <= names
    assert read["theirs_count", (("l", "x"),)] == 1


def test_its_names_are_taken(registry: CollectorRegistry) -> None:
    registry.register(Queue())
    with pytest.raises(ValueError, match=r"Duplicated timeseries.*Queue object at.*gauge queue\(\)"):
        Gauge("queue", "h", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(Queue())
    Gauge("mine", "h", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(Queue("mine"))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        prometheus_client.Gauge("mine", "h", registry=registry)  # type: ignore[arg-type]


def test_a_collector_that_cannot_be_registered_takes_no_names(registry: CollectorRegistry) -> None:
    class Unhashable(Queue):
        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match="unhashable"):
        registry.register(Unhashable())
    Gauge("queue", "h", registry=registry)


def test_auto_describe() -> None:
    asking = CollectorRegistry(auto_describe=True)
    queue = Queue(described=False)
    asking.register(queue)
    assert queue.calls == 1
    assert asking._collector_to_names[queue] == ["queue"]
    trusting = CollectorRegistry()
    trusting.register(Queue(described=False))
    assert trusting._names_to_collectors == {}
    assert value(trusting, "queue", q="mail") == 5


def test_our_metrics_in_a_registry_of_theirs() -> None:
    theirs, ours = prometheus_client.CollectorRegistry(), CollectorRegistry()
    for registry in (theirs, ours):
        kwargs: dict[str, Any] = {"registry": registry}
        Counter("c", "h", ["l"], **kwargs).labels('"x"').inc(2)
        Gauge("g", "h", **kwargs).set_function(lambda: 7)
        Histogram("h", "h", ["l"], **kwargs).labels("y").observe(0.3)
        Summary("s", "h", quantiles=[0.5], **kwargs).observe(1)
        Info("i", "h", **kwargs).info({"version": "1"})
    assert masked(prometheus_client.generate_latest(theirs)) == masked(generate_latest(ours))
    assert theirs.get_sample_value("h_count", {"l": "y"}) == 1
    text = prometheus_client.generate_latest(theirs.restricted_registry(["c_total"]))
    assert b"h_count" not in text
    assert b'c_total{l="\\"x\\""} 2.0' in text
    theirs.unregister(theirs._names_to_collectors["c"])
    assert theirs.get_sample_value("c_total", {"l": '"x"'}) is None


def test_what_prometheus_client_does_with_a_registry(registry: CollectorRegistry, tmp_path: Any) -> None:
    """Its writers take ours."""
    Counter("c", "h", registry=registry).inc()
    any_registry: Any = registry
    assert masked(prometheus_client.generate_latest(any_registry)) == masked(generate_latest(registry))
    file = tmp_path / "metrics.prom"
    prometheus_client.write_to_textfile(str(file), any_registry)
    assert parsed(file.read_bytes())["c_total", ()] == 1
    answers: list[str] = []
    body = prometheus_client.make_wsgi_app(any_registry)(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "name[]=c_total"},
        lambda status, headers: answers.append(status),
    )
    assert answers == ["200 OK"]
    assert parsed(b"".join(body)) == {("c_total", ()): 1}


def test_a_registry_of_theirs_is_written_by_us() -> None:
    theirs = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("g", "h", registry=theirs).set(3)
    assert generate_latest(theirs) == prometheus_client.generate_latest(theirs)
    assert b"g 3.0" in generate_latest(theirs.restricted_registry(["g"]))


def test_a_registry_with_another_collect(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet(CollectorRegistry):
        def collect(self) -> Any:
            return (family for family in super().collect() if family.name != "secret")

    quiet = Quiet()
    Gauge("secret", "h", registry=quiet)
    Gauge("known", "h", registry=quiet)
    assert b"secret" not in generate_latest(quiet)
    assert b"known 0.0" in generate_latest(quiet)
    Gauge("known", "h", registry=registry)
    monkeypatch.setattr(registry, "collect", list)
    assert generate_latest(registry) == b""


def test_restricted_to_names(registry: CollectorRegistry) -> None:
    Counter("a", "h", registry=registry).inc()
    Histogram("b", "h", registry=registry, buckets=[1]).observe(0.5)
    queue = Queue()
    registry.register(queue)
    text = generate_latest(registry.restricted_registry(["a_total", "b_count", "nonsense"]))
    assert parsed(text) == {("a_total", ()): 1, ("b_count", ()): 1}
    assert queue.calls == 0
    assert parsed(generate_latest(registry.restricted_registry(["b_bucket"]))) == {
        ("b_bucket", (("le", "1.0"),)): 1,
        ("b_bucket", (("le", "+Inf"),)): 1,
    }
    assert generate_latest(registry.restricted_registry([])) == b""
    nameless = CollectorRegistry(support_collectors_without_names=True)
    nameless.register(Queue(described=False))
    assert b"queue" in generate_latest(nameless.restricted_registry(["queue"]))


def test_target_info(registry: CollectorRegistry) -> None:
    theirs = prometheus_client.CollectorRegistry(target_info={"a": "b"})
    ours = CollectorRegistry(target_info={"a": "b"})
    for which in (ours, theirs):
        prometheus_client.Gauge("g", "h", registry=which)  # type: ignore[arg-type]
    assert generate_latest(ours) == prometheus_client.generate_latest(theirs)
    assert ours.get_target_info() == {"a": "b"}
    assert ours.get_sample_value("target_info", {"a": "b"}) == 1
    for which in (ours, theirs):
        which.set_target_info({"c": 'd"'})
    assert generate_latest(ours) == prometheus_client.generate_latest(theirs)
    assert parsed(generate_latest(ours.restricted_registry(["target_info"]))) == {
        ("target_info", (("c", 'd"'),)): 1
    }
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Info("target", "h", registry=ours)
    ours.set_target_info(None)
    assert b"target_info" not in generate_latest(ours)
    assert ours._names_to_collectors.keys() == {"g"}
    Info("target", "h", registry=ours)
    with pytest.raises(ValueError, match="already contains a target_info metric"):
        ours.set_target_info({"e": "f"})


def test_it_may_be_emptied_as_tests_do(registry: CollectorRegistry) -> None:
    Counter("a", "h", registry=registry).inc()
    registry.register(Queue())
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)
    assert generate_latest(registry) == b""
    Gauge("a", "h", registry=registry)
    registry.__init__()  # type: ignore[misc]
    Counter("a", "h", ["l"], registry=registry)


def test_its_own_names_are_reserved(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="ferrometer itself"):
        Counter("ferrometer_scrape_errors", "h", registry=registry)


def test_a_registry_is_not_copied_between_processes(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(registry)
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(registry)


def test_collect_shows_what_native_code_records(registry: CollectorRegistry) -> None:
    """Families without a metric object, computed ones, and what the registry says about itself."""
    HttpMetrics(registry, namespace="app")
    Histogram("h", "h", registry=registry).observe(float("nan"))
    Counter("c", "h", ["l"], registry=registry, max_series=1).labels("a")
    registry._names_to_collectors["c"].labels("b").inc()  # type: ignore[attr-defined]
    text = scrape(registry)
    collected = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert text.pop(("app_uptime_seconds", ())) <= collected.pop(("app_uptime_seconds", ()))
    differing = {
        key for key in text.keys() | collected.keys() if repr(text.get(key)) != repr(collected.get(key))
    }
    assert differing == set()
    assert ("ferrometer_series_overflow_total", (("source", "c"),)) in text
    assert registry.get_sample_value("app_requests_total") == 0
    assert b"app_requests_total 0.0" in generate_latest(registry.restricted_registry(["app_requests_total"]))
