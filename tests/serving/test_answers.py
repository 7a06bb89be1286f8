"""The answers on a port of its own are those of the application's endpoints."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import ferrometer
from ferrometer import CollectorRegistry, MetricsServer, ServiceStats, serve_metrics
from ferrometer.exposition import CONTENT_TYPE_OPENMETRICS as OPEN
from ferrometer.exposition import CONTENT_TYPE_PLAIN_0_0_4 as TEXT
from ferrometer.exposition import CONTENT_TYPE_PROTOBUF as PROTOBUF
from ferrometer.exposition import choose_encoder, generate_latest
from tests.exposition.metric_families import decoded
from tests.exposition.test_negotiation import ACCEPTS, TABLE
from tests.serving.client import ask, ask_on


@pytest.mark.parametrize(("accept", "media_type"), [(a, m) for a, m in TABLE if a is None or a.isprintable()])
def test_the_scraper_chooses(
    registry: CollectorRegistry, server: MetricsServer, accept: str | None, media_type: str
) -> None:
    if accept is not None and len(accept) > 16_000:
        accept = accept[:8000]
    answer = ask(server.port, **({} if accept is None else {"accept": accept}))
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    encode, _ = choose_encoder(accept)
    assert answer.body == encode(registry)


def test_text_reads_back(registry: CollectorRegistry, server: MetricsServer) -> None:
    """prometheus_client's own parser finds the samples that its collect() has."""
    families = text_string_to_metric_families(ask(server.port).body.decode())
    read = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
    collected = {
        (s.name, tuple(sorted(s.labels.items()))): s.value for f in registry.collect() for s in f.samples
    }
    assert read == collected


def test_openmetrics_reads_back(server: MetricsServer) -> None:
    body = ask(server.port, accept="application/openmetrics-text").body.decode()
    families = {
        f.name: f
        for f in openmetrics.text_string_to_metric_families(body)  # type: ignore[no-untyped-call]
    }
    assert {"tokens", "depth", "latency", "size", "build", "state"} <= set(families)
    assert [s.exemplar.labels for s in families["latency"].samples if s.exemplar] == [{"trace_id": "t"}]


@pytest.mark.parametrize("media_type", ACCEPTS)
def test_names_filter_every_format(
    registry: CollectorRegistry, server: MetricsServer, media_type: str
) -> None:
    for names in (["tokens_total"], ["latency_count", "depth"], ["size", "tokens_created"], ["nothing"]):
        query = "&".join(f"name%5B%5D={name}" for name in names)
        answer = ask(server.port, f"/metrics?{query}", accept=ACCEPTS[media_type])
        assert answer.headers["content-type"] == media_type
        restricted = registry.restricted_registry(names)
        if media_type == PROTOBUF:
            assert answer.body == choose_encoder(ACCEPTS[media_type])[0](restricted)
        else:
            assert _samples(answer.body) == _samples(choose_encoder(ACCEPTS[media_type])[0](restricted))


def _samples(text: bytes) -> list[bytes]:
    return sorted(line for line in text.splitlines() if line[:1] != b"#")


def test_a_restricted_text_is_one_that_python_writes(
    registry: CollectorRegistry, server: MetricsServer
) -> None:
    names = ["tokens_total", "depth"]
    answer = ask(server.port, "/metrics?name[]=tokens_total&name[]=depth")
    assert answer.body == generate_latest(registry.restricted_registry(names))


@pytest.mark.parametrize("media_type", ACCEPTS)
def test_gzip_when_asked(server: MetricsServer, media_type: str) -> None:
    accept = ACCEPTS[media_type]
    plain = ask(server.port, accept=accept)
    for coding, zipped in [
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("identity", False),
        ("gzip;q=0", False),
    ]:
        answer = ask(server.port, accept=accept, accept_encoding=coding)
        assert answer.headers.get("content-encoding") == ("gzip" if zipped else None), coding
        assert (gzip.decompress(answer.body) if zipped else answer.body) == plain.body


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=depth", "/stats", "/live", "/nowhere"])
def test_head_says_what_get_would(server: MetricsServer, path: str) -> None:
    whole, head = ask(server.port, path), ask(server.port, path, "HEAD")
    assert head.body == b""
    assert head.status == whole.status
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}
    assert int(head.headers["content-length"]) == len(whole.body)


def test_other_paths_and_methods(server: MetricsServer) -> None:
    for path in ("/", "/metric", "/metrics/x", "/health", "/ready", "/../metrics"):
        assert ask(server.port, path)[::2] == (404, b""), path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        answer = ask(server.port, "/metrics", method)
        assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET, HEAD", b"")
    assert ask(server.port, "/metrics/").body == ask(server.port).body


def test_a_connection_serves_many_requests(server: MetricsServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    first = connection.sock
    for method, path, status in [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("POST", "/stats", 405),
    ] * 5:
        assert ask_on(connection, path, method).status == status
    assert connection.sock is first
    connection.close()


def test_httpx_over_one_connection(server: MetricsServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        bodies = {client.get("/metrics", headers={"accept": "*/*"}).text for _ in range(10)}
    assert len(bodies) == 1
    assert 'tokens_total{model="b"} 0.5' in bodies.pop()


def test_what_is_recorded_later_is_told(registry: CollectorRegistry, server: MetricsServer) -> None:
    late = ferrometer.Counter("young", "Later", registry=registry)
    for n in range(1, 4):
        late.inc()
        assert f"young_total {n}.0\n".encode() in ask(server.port).body
    registry.unregister(late)
    assert b"young" not in ask(server.port).body


@pytest.mark.parametrize("native", [True, False])
def test_protobuf_has_native_histograms_where_asked_for(
    registry: CollectorRegistry, server: MetricsServer, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS", str(native).lower())
    with serve_metrics(0, registry=registry) as other:
        body = ask(other.port, accept=ACCEPTS[PROTOBUF]).body
        [metric] = decoded(body)["latency"].metric
        assert metric.histogram.sample_count == 1
        assert metric.histogram.HasField("schema") == native
        assert len(metric.histogram.bucket) > 1


class Foreign:
    """A collector written for prometheus_client."""

    def collect(self) -> list[Any]:
        return [GaugeMetricFamily("foreign", "One", value=1)]


def test_what_needs_python_is_left_out(registry: CollectorRegistry, server: MetricsServer) -> None:
    registry.register(Foreign())
    ferrometer.Gauge("odd.name", "A name that needs quotes", registry=registry).set(1)
    ferrometer.Info("odd_info", "A label that does", registry=registry).info({"a.b": "c"})
    assert b"foreign" in generate_latest(registry)
    for media_type in (TEXT, OPEN, PROTOBUF):
        body = ask(server.port, accept=ACCEPTS[media_type]).body
        assert b"depth" in body
        assert b"odd" not in body
        assert b"foreign" not in body


def test_callbacks_are_told_in_the_background(registry: CollectorRegistry) -> None:
    values = iter(range(1, 1000))
    ferrometer.Gauge("called", "By a function", registry=registry).set_function(lambda: next(values))
    ferrometer.Gauge("broken", "By another", registry=registry).set_function(lambda: 1 / 0)
    with serve_metrics(0, registry=registry, refresh=0.05) as server:
        seen = {_value(ask(server.port).body, "called")}
        assert 0 not in seen
        while len(seen) < 3:
            seen.add(_value(ask(server.port).body, "called"))
    assert _value(generate_latest(registry), 'ferrometer_scrape_errors_total{source="broken"}') >= 3


def _value(text: bytes, name: str) -> float:
    return next(float(line.split()[1]) for line in text.decode().splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize("namespace", ["gateway", None])
def test_the_json_says_what_the_endpoints_say(namespace: str | None) -> None:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    app, registry = FastAPI(), CollectorRegistry()
    app.get("/ok")(lambda: "ok")
    app.get("/broken")(lambda: 1 / 0)
    watched = ferrometer.instrument(app, namespace=namespace, registry=registry, default_collectors=False)
    stats = watched.stats
    stats.gpu.instances(3)
    stats.gpu.request(failed=True, cost_usd=1.25)
    stats.database.connections(active=4, idle=6)
    stats.database.query(3.0, error=True)
    stats.cache.hit(3)
    stats.cache.miss()
    with (
        TestClient(app, raise_server_exceptions=False) as client,
        serve_metrics(0, registry=registry, stats=stats) as server,
    ):
        for path in ("/ok", "/ok", "/broken", "/nowhere"):
            client.get(path)
        for path in ("/stats", "/polling", "/monitor"):
            ours = json.loads(ask(server.port, path).body)
            theirs = client.get(path).json()
            theirs.pop("health", None)  # what each check said is known to Python alone
            theirs.get("system", {}).update(ours.get("system", {}))  # read again by each request there
            assert list(ours) == list(theirs)
            if "timestamp" in ours:
                assert abs(_seconds(ours.pop("timestamp")) - _seconds(theirs.pop("timestamp"))) <= 1
            assert ours == theirs
            assert ask(server.port, path).headers["content-type"] == "application/json"
        system = json.loads(ask(server.port, "/stats").body)["system"]
        assert system["heap_alloc_mb"] > 0
        assert system["gc_runs"] > 0


def _seconds(timestamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(timestamp).timestamp()


def test_without_stats_the_numbers_are_zeros(server: MetricsServer) -> None:
    body = json.loads(ask(server.port, "/stats").body)
    empty = ServiceStats(registry=CollectorRegistry()).stats()
    body["uptime_seconds"] = empty["uptime_seconds"] = 0
    assert body == empty


def test_live(server: MetricsServer) -> None:
    assert json.loads(ask(server.port, "/live").body) == {"status": "alive"}
