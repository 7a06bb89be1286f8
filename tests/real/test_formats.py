"""A live Prometheus scrapes each format, and its query API returns the very numbers that were recorded."""

from __future__ import annotations

import json
import math
import random
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.exposition.metric_families import decoded
from tests.real.prometheus import Prometheus, check_metrics, prometheus
from tests.real.uvicorn import uvicorn

APP = """
import random
import os

os.environ["FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS"] = "true"
import ferrometer
from ferrometer.endpoints import observability_app

tokens = ferrometer.Counter("tokens", "Tokens written", ["model"])
tokens.labels('say "hi"\\n').inc(2.5, exemplar={"trace_id": "c0ffee"})
tokens.labels("big").inc(2**53)
ferrometer.Gauge("level", "A level", unit="ratio").set(-0.1)
ferrometer.Info("build", "The build").info({"version": "1"})
ferrometer.Enum("state", "The state", states=["up", "down"]).state("down")
ferrometer.Summary("size_bytes", "Sizes", quantiles=(0.5,)).observe(8)
empty = ferrometer.Histogram("empty_seconds", "Nothing yet", buckets=(1, 2))
latency = ferrometer.Histogram("latency_seconds", "Latency", buckets=(0.005, 0.02, 0.1, 0.5))
chance = random.Random(7)
for number in range(5000):
    latency.observe(0.02 * chance.lognormvariate(0, 1))
latency.observe(0.0)
latency.observe(0.3, exemplar={"trace_id": "beef"})

ACCEPTS = {"/text/metrics": b"text/plain", "/openmetrics/metrics": b"application/openmetrics-text"}
metrics = observability_app()
seen = ferrometer.Counter("answers", "What was answered", ["path", "media_type", "coding"])


async def app(scope, receive, send):
    if scope["type"] != "http":
        return await metrics(scope, receive, send)
    path = scope["path"]
    headers = [(name, value) for name, value in scope["headers"] if path not in ACCEPTS or name != b"accept"]
    if path in ACCEPTS:
        headers.append((b"accept", ACCEPTS[path]))

    async def counted(message):
        if message["type"] == "http.response.start":
            said = dict(message["headers"])
            media_type = said[b"content-type"].decode().split(";")[0]
            seen.labels(path, media_type, said.get(b"content-encoding", b"").decode()).inc()
        await send(message)

    there = {**scope, "path": "/metrics", "raw_path": b"/metrics", "headers": headers}
    await metrics(there, receive, counted)
"""
CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - {{job_name: text, metrics_path: /text/metrics, static_configs: [{{targets: ["{target}"]}}]}}
  - job_name: openmetrics
    metrics_path: /openmetrics/metrics
    static_configs: [{{targets: ["{target}"]}}]
  - {{job_name: protobuf, metrics_path: /metrics, static_configs: [{{targets: ["{target}"]}}]}}
"""
ANSWERS = 'sum by (path, media_type) (answers_total{job="text",coding="gzip"})'
FORMATS = ("text", "openmetrics", "protobuf")


def recorded() -> list[float]:
    """What the application has observed, ascending."""
    chance = random.Random(7)
    return sorted([0.02 * chance.lognormvariate(0, 1) for _ in range(5000)] + [0.0, 0.3])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with uvicorn(APP, tmp_path_factory.mktemp("app")) as base:
        yield base


@pytest.fixture(scope="module")
def live(served: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped all three."""
    features = "--enable-feature=native-histograms,exemplar-storage"
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(served.removeprefix("http://"), folder, features, config=CONFIG) as server:
        server.wait_for(lambda s: s.value("count(level_ratio)") == 3, what="scraping all formats")
        server.wait_for(lambda s: len(s.query(ANSWERS)) >= 3, what="scraping them twice")
        yield server


def by_labels(server: Prometheus, expression: str, label: str) -> dict[str, float]:
    return {dict(key)[label]: value for key, value in server.query(expression).items()}


def test_each_format_was_what_prometheus_was_sent(live: Prometheus) -> None:
    answers = live.query(ANSWERS)
    assert {tuple(value for _, value in sorted(key)) for key in answers} >= {
        ("text/plain", "/text/metrics"),
        ("application/openmetrics-text", "/openmetrics/metrics"),
        ("application/vnd.google.protobuf", "/metrics"),
    }


@pytest.mark.parametrize("job", FORMATS)
def test_the_numbers_are_those_recorded(live: Prometheus, job: str) -> None:
    only = f'{{job="{job}"}}'
    assert by_labels(live, f"tokens_total{only}", "model") == {'say "hi"\n': 2.5, "big": 2.0**53}
    assert live.value(f"level_ratio{only}") == -0.1
    assert live.value(f"build_info{only}") == 1
    assert by_labels(live, f"state{only}", "state") == {"up": 0, "down": 1}
    assert live.value(f"size_bytes_count{only}") == 1
    assert live.value(f"size_bytes_sum{only}") == 8
    assert live.value(f'size_bytes{{job="{job}",quantile="0.5"}}') == 8


@pytest.mark.parametrize("job", ["text", "openmetrics"])
def test_classic_buckets_are_exact(live: Prometheus, job: str) -> None:
    values = recorded()
    buckets = by_labels(live, f'latency_seconds_bucket{{job="{job}"}}', "le")
    assert {float(le): count for le, count in buckets.items()} == {
        bound: sum(value <= bound for value in values) for bound in (0.005, 0.02, 0.1, 0.5, math.inf)
    }
    assert live.value(f'latency_seconds_count{{job="{job}"}}') == len(values)
    assert live.value(f'latency_seconds_sum{{job="{job}"}}') == pytest.approx(math.fsum(values))
    assert live.value(f'empty_seconds_count{{job="{job}"}}') == 0


def test_native_histograms_are_as_exact_as_their_schema(live: Prometheus, served: str) -> None:
    values = recorded()
    assert live.value('histogram_count(latency_seconds{job="protobuf"})') == len(values)
    assert live.value('histogram_sum(latency_seconds{job="protobuf"})') == pytest.approx(math.fsum(values))
    assert live.value('histogram_count(empty_seconds{job="protobuf"})') == 0
    schema = decoded(_protobuf(served))["latency_seconds"].metric[0].histogram.schema
    assert schema >= 3
    growth = 2**2**-schema
    for q in (0.01, 0.1, 0.5, 0.9, 0.99, 0.999):
        exact = values[math.ceil(q * len(values)) - 1]
        found = live.value(f'histogram_quantile({q}, latency_seconds{{job="protobuf"}})')
        assert exact / growth <= found <= exact * growth, q
    below = live.value('histogram_fraction(0, 0.02, latency_seconds{job="protobuf"})')
    assert below == pytest.approx(sum(value <= 0.02 for value in values) / len(values), abs=0.02)


def _protobuf(served: str) -> bytes:
    accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    request = urllib.request.Request(f"{served}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.parametrize(
    ("selector", "trace_id", "value"),
    [
        ('tokens_total{job="openmetrics"}', "c0ffee", 2.5),
        ('tokens_total{job="protobuf"}', "c0ffee", 2.5),
        ('latency_seconds_bucket{job="openmetrics",le="0.5"}', "beef", 0.3),
        ('latency_seconds{job="protobuf"}', "beef", 0.3),
    ],
)
def test_exemplars_are_found_again(live: Prometheus, selector: str, trace_id: str, value: float) -> None:
    live.wait_for(lambda s: bool(s.exemplars(selector)), what="with exemplars")
    exemplars: list[Any] = [e for series in live.exemplars(selector) for e in series["exemplars"]]
    assert {json.dumps(e["labels"]) for e in exemplars} == {json.dumps({"trace_id": trace_id})}
    assert {float(e["value"]) for e in exemplars} == {value}


@pytest.mark.parametrize(("name", "kind"), [("tokens_total", "counter"), ("latency_seconds", "histogram")])
def test_types_are_known(live: Prometheus, name: str, kind: str) -> None:
    assert live.metadata(name)["type"] == kind


def test_what_the_library_names_itself_pleases_promtool() -> None:
    """Every family of the registry's own, all its faults among them."""
    import ferrometer

    registry = ferrometer.CollectorRegistry()
    full = ferrometer.Counter("full", "Too small", ["a"], registry=registry, max_series=1)
    for value in "abc":
        full.labels(value).inc()
    latency = ferrometer.Histogram("latency_seconds", "Latency", registry=registry)
    latency.observe(float("nan"))
    ferrometer.Gauge("broken", "Raises", registry=registry).set_function(lambda: 1 / 0)
    ferrometer.generate_latest(registry)
    text = ferrometer.generate_latest(registry)
    for fault in ("series_overflow", "observations_refused", "scrape_errors"):
        assert f"# TYPE ferrometer_{fault}_total counter".encode() in text
    complaints = check_metrics(text)
    assert [line for line in complaints if line.startswith("ferrometer")] == []
