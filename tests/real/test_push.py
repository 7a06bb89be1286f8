"""Pushed numbers arrive: at a Pushgateway, and by remote write at Prometheus and VictoriaMetrics."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram
from ferrometer.export.remote_write import RemoteWrite
from tests.real.prometheus import prometheus
from tests.real.receivers import pushgateway, query, victoria_metrics

_NOTHING = "global: {{scrape_interval: 1h}}\n"
push: Any = prometheus_client  # its functions have no types


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("tokens", "Tokens", ["model"], registry=registry).labels('say "hi"\n').inc(2.5)
    Gauge("level", "A level", registry=registry).set(-7)
    latency = Histogram("latency_seconds", "Latency", registry=registry, buckets=(0.1, 1))
    for value in (0.05, 0.1, 0.5, 5):
        latency.observe(value)
    return registry


# Pushgateway ---------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pushgateway(tmp_path_factory.mktemp("pushgateway")) as address:
        yield address


def pushed(gateway: str, job: str) -> dict[tuple[str, str], float]:
    """Name and the one own label value of each sample of a job."""
    with urllib.request.urlopen(f"http://{gateway}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if labels.pop("job", "") == job:
                labels.pop("instance", None)
                found[sample.name, "".join(labels.values())] = sample.value
    return found


EXPECTED = {
    ("tokens_total", 'say "hi"\n'): 2.5,
    ("level", ""): -7,
    ("latency_seconds_bucket", "0.1"): 2,
    ("latency_seconds_bucket", "1"): 3,
    ("latency_seconds_bucket", "+Inf"): 4,
    ("latency_seconds_sum", ""): 5.65,
    ("latency_seconds_count", ""): 4,
}


def test_a_pushgateway_takes_our_registry(gateway: str, registry: CollectorRegistry) -> None:
    push.push_to_gateway(gateway, job="batch", registry=registry)
    found = pushed(gateway, "batch")
    assert {key: found.get(key) for key in EXPECTED} == EXPECTED


def test_pushing_again_replaces_or_adds(gateway: str, registry: CollectorRegistry) -> None:
    push.push_to_gateway(gateway, job="replaced", registry=registry)
    other = CollectorRegistry()
    Gauge("level", "A level", registry=other).set(1)
    push.pushadd_to_gateway(gateway, job="replaced", registry=other)
    found = pushed(gateway, "replaced")
    assert (found["level", ""], found["latency_seconds_count", ""]) == (1, 4)
    push.push_to_gateway(gateway, job="replaced", registry=other)
    assert {name for name, _ in pushed(gateway, "replaced")} == {
        "level",
        "push_time_seconds",
        "push_failure_time_seconds",
    }
    push.delete_from_gateway(gateway, job="replaced")
    # The gateway answers 202 first, and deletes then.
    wait_until(lambda: pushed(gateway, "replaced") == {})


# Remote write --------------------------------------------------------------


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_prometheus_takes_remote_writes(tmp_path: Path, registry: CollectorRegistry) -> None:
    with prometheus("", tmp_path, "--web.enable-remote-write-receiver", config=_NOTHING) as server:
        _writes_arrive(server.url, "/api/v1/write", registry)


def test_victoria_metrics_takes_remote_writes(tmp_path: Path, registry: CollectorRegistry) -> None:
    with victoria_metrics(tmp_path) as base:
        _writes_arrive(base, "/api/v1/write", registry)


def _writes_arrive(base: str, path: str, registry: CollectorRegistry) -> None:
    labels = {"job": "tests", "instance": "one"}
    with RemoteWrite(base + path, registry=registry, labels=labels, interval=0.2, batch=3) as sender:
        wait_until(lambda: len(query(base, '{job="tests",__name__=~"latency_seconds.*"}')) >= 5)
        tokens = dict(next(iter(query(base, "tokens_total"))))
        assert tokens == {"__name__": "tokens_total", "model": 'say "hi"\n', **labels}
        assert list(query(base, "tokens_total").values()) == [2.5]
        assert list(query(base, "level").values()) == [-7]
        buckets = query(base, "latency_seconds_bucket")
        assert {dict(key)["le"]: value for key, value in buckets.items()} == {"0.1": 2, "1.0": 3, "+Inf": 4}
        registry._names_to_collectors["level"].set(8)  # type: ignore[attr-defined]
        wait_until(lambda: list(query(base, "level").values()) == [8])
        sender.stop()
    own = {
        sample.name: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.startswith("ferrometer_remote_write")
    }
    assert own["ferrometer_remote_write_samples_total"] > 20
    assert "ferrometer_remote_write_dropped_samples_total" not in own
    assert own["ferrometer_remote_write_queue_requests"] == 0


FEATURES = "--enable-feature=native-histograms,exemplar-storage"


def test_prometheus_takes_exemplars_and_native_histograms(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    latency = Histogram("latency_seconds", "Latency", registry=registry, buckets=(0.1, 1))
    for number in range(1, 1001):
        latency.observe(number / 100)
    latency.observe(0)
    latency.observe(0.5, exemplar={"trace_id": "t", "user": 'say "hi"'})
    receiver = "--web.enable-remote-write-receiver"
    with prometheus("", tmp_path, receiver, FEATURES, config=_NOTHING) as server:
        url = f"{server.url}/api/v1/write"
        with RemoteWrite(
            url, registry=registry, labels={"job": "j"}, interval=0.2, exemplars=True, native_histograms=True
        ):
            wait_until(lambda: server.value("histogram_count(latency_seconds)") == 1002)
            assert server.value("histogram_sum(latency_seconds)") == pytest.approx(5005.5)
            assert server.value("histogram_quantile(0.5, latency_seconds)") == pytest.approx(5, rel=0.01)
            assert server.value("latency_seconds_count") == 1002, "the classic ones are there too"
            wait_until(lambda: bool(server.exemplars("latency_seconds_bucket")))
            [found] = server.exemplars("latency_seconds_bucket")
            assert found["seriesLabels"] == {"__name__": "latency_seconds_bucket", "job": "j", "le": "1.0"}
            [exemplar] = found["exemplars"]
            assert exemplar["labels"] == {"trace_id": "t", "user": 'say "hi"'}
            assert float(exemplar["value"]) == 0.5
            latency.observe(1e9)  # an octave far away: a span of its own
            wait_until(lambda: server.value("histogram_count(latency_seconds)") == 1003)
    refused = registry.get_sample_value(
        "ferrometer_remote_write_dropped_samples_total", {"reason": "refused"}
    )
    assert refused is None


def test_a_prometheus_that_keeps_no_exemplars_takes_the_rest(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    _observe_with_exemplar(registry)
    with (
        prometheus("", tmp_path, "--web.enable-remote-write-receiver", config=_NOTHING) as server,
        RemoteWrite(f"{server.url}/api/v1/write", registry=registry, interval=0.2, exemplars=True),
    ):
        wait_until(lambda: server.value("latency_seconds_count") == 5)
    assert _given_up(registry) == []


def test_victoria_metrics_passes_over_what_it_does_not_know(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    _observe_with_exemplar(registry)
    with victoria_metrics(tmp_path) as base:
        url = f"{base}/api/v1/write"
        with RemoteWrite(url, registry=registry, interval=0.2, exemplars=True, native_histograms=True):
            wait_until(lambda: list(query(base, "latency_seconds_count").values()) == [5])
    assert _given_up(registry) == []


def _observe_with_exemplar(registry: CollectorRegistry) -> None:
    latency = Histogram("latency_seconds", "Latency", registry=registry, buckets=(0.1, 1))
    latency.observe(0.5, exemplar={"trace_id": "t"})


def _given_up(registry: CollectorRegistry) -> list[Any]:
    name = "ferrometer_remote_write_dropped_samples"
    return [sample for family in registry.collect() if family.name == name for sample in family.samples]
