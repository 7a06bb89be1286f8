"""Metrics over OTLP: what the text format says, read by OpenTelemetry's own classes; once for all workers."""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families

import ferrometer
from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, _core
from tests.logs.programs import program, run, wait_for
from tests.real.log_receivers import Post, Receiver, Reply

Labels = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def module_receiver() -> Iterator[Receiver]:
    """One for all tests of this process: a ring has places for eight receivers."""
    with Receiver() as made:
        yield made


@pytest.fixture
def receiver(module_receiver: Receiver) -> Iterator[Receiver]:
    module_receiver.posts.clear()
    yield module_receiver
    _core.stop_shipping(10, "metrics")


def exported(receiver: Receiver, registry: CollectorRegistry, **options: Any) -> list[Any]:
    """The metrics of one collection."""
    app = FastAPI()
    feature = ferrometer.Export(endpoint=receiver.url, interval=3600, **options)
    ferrometer.instrument(app, feature, registry=registry, default_collectors=False)
    feature.start()
    assert _core.flush_records(60, "metrics")
    receiver.posts.clear()
    feature.collect()
    assert _core.flush_records(60, "metrics")
    return list(metrics(receiver.posts))


def metrics(posts: Iterable[Post], scope: str | None = "ferrometer") -> Iterator[Any]:
    for post in posts:
        assert (post.path, post.headers["content-type"]) == ("/v1/metrics", "application/x-protobuf")
        for resource in ExportMetricsServiceRequest.FromString(post.body).resource_metrics:
            for part in resource.scope_metrics:
                assert scope is None or part.scope.name == scope
                yield from part.metrics


def labels(point: Any) -> Labels:
    return tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))


def points(found: list[Any], name: str, kind: str) -> dict[Labels, Any]:
    """The data points of a metric."""
    return {
        labels(point): point
        for metric in found
        if metric.name == name and metric.WhichOneof("data") == kind
        for point in getattr(metric, kind).data_points
    }


def test_every_type(receiver: Receiver) -> None:
    registry = CollectorRegistry()
    counter = Counter("jobs", "Jobs", ["kind"], registry=registry)
    counter.labels("a").inc(
        2, exemplar={"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
    )
    counter.labels("b").inc(0.5)
    Gauge("depth", "Depth", registry=registry).set(-3)
    Summary("size", "Size", unit="bytes", registry=registry).observe(7)
    Info("build", "Build", registry=registry).info({"version": "1"})
    Enum("state", "State", states=["on", "off"], registry=registry).state("off")
    found = exported(receiver, registry)
    assert {metric.name: metric.unit for metric in found}["size"] == "By"
    jobs = points(found, "jobs", "sum")
    assert {key: point.as_double for key, point in jobs.items()} == {
        (("kind", "a"),): 2,
        (("kind", "b"),): 0.5,
    }
    (metric,) = [metric for metric in found if metric.name == "jobs"]
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality, metric.description) == (
        True,
        2,
        "Jobs",
    )
    (exemplar,) = jobs[(("kind", "a"),)].exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
    )
    assert exemplar.as_double == 2
    point = jobs[(("kind", "a"),)]
    assert 0 < point.start_time_unix_nano <= exemplar.time_unix_nano <= point.time_unix_nano
    assert points(found, "depth", "gauge")[()].as_double == -3
    size = points(found, "size", "summary")[()]
    assert (size.count, size.sum) == (1, 7)
    assert points(found, "build_info", "gauge")[(("version", "1"),)].as_double == 1
    assert {key[0][1]: point.as_double for key, point in points(found, "state", "gauge").items()} == {
        "on": 0,
        "off": 1,
    }


def test_histograms_have_the_buckets_of_the_text_format(receiver: Receiver) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("latency_seconds", "Latency", ["path"], unit="seconds", registry=registry)
    drawn = random.Random(1)
    for _ in range(1000):
        histogram.labels(drawn.choice("ab")).observe(drawn.lognormvariate(-3, 2))
    found = exported(receiver, registry)
    told = points(found, "latency", "histogram")
    assert len(told) == 2
    text = ferrometer.generate_latest(registry).decode()
    (family,) = [
        family for family in text_string_to_metric_families(text) if family.name == "latency_seconds"
    ]
    for key, point in told.items():
        path = dict(key)["path"]
        samples = [sample for sample in family.samples if sample.labels.get("path") == path]
        buckets = {
            float(sample.labels["le"]): sample.value for sample in samples if sample.name.endswith("_bucket")
        }
        bounds = [*point.explicit_bounds, math.inf]
        cumulative = [sum(point.bucket_counts[: at + 1]) for at in range(len(bounds))]
        assert dict(zip(bounds, cumulative, strict=True)) == buckets
        assert point.count == buckets[math.inf]
        assert point.sum == pytest.approx(next(s.value for s in samples if s.name.endswith("_sum")))


def test_exponential_histograms_are_exact(receiver: Receiver) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("latency", "Latency", registry=registry)
    drawn = random.Random(2)
    values = [drawn.lognormvariate(-3, 1.5) for _ in range(2000)] + [0.0] * 3
    # Empty stretches between what is filled.
    values += [drawn.uniform(1e5, 2e5) for _ in range(10)] + [drawn.uniform(1e-8, 2e-8) for _ in range(10)]
    for value in values:
        histogram.observe(value)
    point = points(
        exported(receiver, registry, histograms="exponential"), "latency", "exponential_histogram"
    )[()]
    expected: dict[int, int] = {}
    for value in values:
        if value > point.zero_threshold:
            at = math.ceil(math.log2(value) * 2**point.scale) - 1
            expected[at] = expected.get(at, 0) + 1
    counts = {
        point.positive.offset + at: count for at, count in enumerate(point.positive.bucket_counts) if count
    }
    assert counts == expected
    assert (point.count, point.zero_count) == (len(values), 3)
    assert point.sum == pytest.approx(sum(values))
    assert len(counts) > 30


def test_many_series_come_in_batches(receiver: Receiver) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("many", "Many", ["number"], registry=registry, max_series=30_000)
    for number in range(20_000):
        gauge.labels(str(number)).set(number)
    found = exported(receiver, registry)
    assert {int(key[0][1]): point.as_double for key, point in points(found, "many", "gauge").items()} == {
        number: number for number in range(20_000)
    }
    assert sum(metric.name == "many" for metric in found) > 3


def test_python_collectors_are_exported_too(receiver: Receiver) -> None:
    from prometheus_client.core import GaugeMetricFamily

    class Collector:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            family = GaugeMetricFamily("foreign", "Foreign", labels=["a"])
            family.add_metric(["x"], 5)
            yield family

    registry = CollectorRegistry()
    registry.register(Collector())
    assert points(exported(receiver, registry), "foreign", "gauge")[(("a", "x"),)].as_double == 5


def test_requests_of_an_application_until_its_end(receiver: Receiver) -> None:
    app = FastAPI()

    @app.get("/x")
    async def x() -> int:
        return 1

    made = ferrometer.instrument(
        app,
        ferrometer.Export(endpoint=receiver.url, interval=3600, service="gw", resource={"team": "a"}),
        registry=CollectorRegistry(),
        default_collectors=False,
    )

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for _ in range(3):
                await client.get("/x")

    asyncio.run(main())
    made.runtime.close()
    (point,) = points(list(metrics(receiver.posts)), "http_requests", "sum").values()
    assert point.as_double == 3
    (resource,) = [
        resource.resource
        for post in receiver.posts[-1:]
        for resource in ExportMetricsServiceRequest.FromString(post.body).resource_metrics
    ]
    told = {pair.key: pair.value.string_value for pair in resource.attributes}
    assert (told["service.name"], told["team"]) == ("gw", "a")
    assert told["service.instance.id"]
    assert "process.pid" not in told


HEADER = """
import ferrometer
from ferrometer import CollectorRegistry, Counter
from fastapi import FastAPI

def exporting(url, directory, interval=0.1):
    share(directory)
    feature = ferrometer.Export(endpoint=url, interval=interval)
    made = ferrometer.instrument(FastAPI(), feature, default_collectors=False)
    made.runtime.start()
    return made

counter = Counter("jobs", "Jobs")
"""


def values(receiver: Receiver, name: str) -> list[float]:
    """A counter's values, one for each export."""
    return [
        point.as_double
        for metric in metrics(receiver.posts)
        if metric.name == name
        for point in metric.sum.data_points
    ]


def _wait_for_more(receiver: Receiver, posts: int, what: str) -> None:
    wait_for(lambda: len(receiver.posts) > posts, what)


def instances(receiver: Receiver) -> set[str]:
    return {
        pair.value.string_value
        for post in receiver.posts
        for resource in ExportMetricsServiceRequest.FromString(post.body).resource_metrics
        for pair in resource.resource.attributes
        if pair.key == "service.instance.id"
    }


def test_all_workers_are_exported_once_also_when_the_one_who_exports_is_killed(tmp_path: Path) -> None:
    with Receiver() as receiver:
        body = f"""{HEADER}
made = exporting("{receiver.url}", sys.argv[1])
counter.inc(10)
told("ready")
sys.stdin.read()
os._exit(0)
"""
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        workers = [program(body, tmp_path / "shared", **options) for _ in range(3)]
        for worker in workers:
            assert worker.stderr is not None
            while '"ready"' not in (line := worker.stderr.readline()):
                assert line, "a worker did not start"
        wait_for(lambda: 30.0 in values(receiver, "jobs"), "all workers in one value")
        # Who exports is not known from outside: one after the other is killed, and the rest go on.
        for left in (2, 1):
            killed = workers.pop(0)
            killed.kill()
            killed.communicate(timeout=60)
            before = len(receiver.posts)
            _wait_for_more(receiver, before + 3, f"an export by one of {left}")
            assert values(receiver, "jobs")[-1] == 30.0
        assert len(instances(receiver)) == 1
        starts = {
            point.start_time_unix_nano
            for metric in metrics(receiver.posts)
            if metric.name == "jobs"
            for point in metric.sum.data_points
        }
        assert len(starts) == 1
        for worker in workers:
            worker.communicate("", timeout=60)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_receiver_gets_it_later(status: int, tmp_path: Path) -> None:
    with Receiver(lambda post: Reply(status) if post < 2 else Reply()) as receiver:
        run(
            f"""{HEADER}
made = exporting("{receiver.url}", sys.argv[1], interval=3600)
counter.inc(4)
[feature.collect() for feature in made.runtime.features if feature.section == "export"]
assert _core.flush_records(30, "metrics")
os._exit(0)
""",
            tmp_path / "shared",
        )
        assert values(receiver, "jobs")[-1] == 4


def test_what_is_refused_is_counted(tmp_path: Path) -> None:
    partial = ExportMetricsPartialSuccess(rejected_data_points=1, error_message="out of order")
    answer = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    with Receiver(lambda _: Reply(body=answer)) as receiver:
        _, err = run(
            f"""{HEADER}
made = exporting("{receiver.url}", sys.argv[1], interval=3600)
[feature.collect() for feature in made.runtime.features if feature.section == "export"]
assert _core.flush_records(30, "metrics")
print(_core.record_counts("metrics"), file=sys.stderr)
os._exit(0)
""",
            tmp_path / "shared",
        )
        (sink,) = json.loads(err.splitlines()[-1])["sinks"].values()
        assert sink["rejected"] >= 1
        assert "1 data points refused: out of order" in sink["trouble"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"histograms": "linear"}, "export.histograms must be explicit or exponential"),
        ({"metrics": "statsd"}, "export.metrics must be otlp or none"),
        ({"interval": 0}, "export.interval must be positive"),
        ({"endpoint": "collector:4318"}, "a URL is one like"),
        ({"queue_bytes": 1}, "export.queue_bytes must be at least"),
    ],
)
def test_what_is_wrong_shows_before_the_start(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ferrometer.instrument(
            FastAPI(), ferrometer.Export(**options), registry=CollectorRegistry(), default_collectors=False
        )


def test_a_temporality_that_is_not_exported_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    with pytest.raises(ValueError, match="only cumulative is exported"):
        ferrometer.instrument(FastAPI(), ferrometer.Export(), registry=CollectorRegistry())
