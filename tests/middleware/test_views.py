"""Totals, the namespaced views of the same cells, sampling, and get-or-create."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from ferrometer import CollectorRegistry, HttpMetrics, MetricsMiddleware, generate_latest
from tests.middleware.asgi import (
    Receive,
    Scope,
    Send,
    body,
    http_scope,
    request,
    samples,
    series,
    start,
    value,
)


async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the status that the path names; `/raise` raises."""
    if scope["path"] == "/raise":
        raise ValueError
    await send(start(int(scope["path"][1:])))
    await send(body())


def ask(app: Any, path: str) -> None:
    try:
        asyncio.run(request(app, http_scope(path)))
    except ValueError:
        assert path == "/raise"


KEYS = [
    "uptime_seconds",
    "total",
    "failed",
    "in_flight",
    "success_rate",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "avg_ms",
]


def test_an_empty_snapshot(registry: CollectorRegistry) -> None:
    snapshot = HttpMetrics(registry).snapshot()
    assert list(snapshot) == KEYS
    assert snapshot.pop("uptime_seconds") >= 0
    counts = {name: snapshot.pop(name) for name in ("total", "failed", "in_flight")}
    assert counts == {"total": 0, "failed": 0, "in_flight": 0}
    assert all(math.isnan(rate) for rate in snapshot.values()), snapshot


def test_snapshot_and_views_agree(registry: CollectorRegistry) -> None:
    app = MetricsMiddleware(by_path, namespace="gpuproxy", registry=registry)
    for path in ["/200"] * 5 + ["/404", "/500", "/503", "/raise", "/301"]:
        ask(app, path)
    snapshot = app.metrics.snapshot()
    assert (snapshot["total"], snapshot["failed"], snapshot["in_flight"]) == (10, 3, 0)
    assert snapshot["success_rate"] == 70.0
    assert 0 < snapshot["p50_ms"] <= snapshot["p95_ms"] <= snapshot["p99_ms"]
    assert value(registry, "gpuproxy_requests_total") == 10
    assert value(registry, "gpuproxy_requests_failed") == 3
    assert value(registry, "gpuproxy_requests_in_flight") == 0
    assert value(registry, "gpuproxy_request_success_rate") == 70.0
    assert value(registry, "gpuproxy_uptime_seconds") > snapshot["uptime_seconds"] > 0
    quantiles = series(registry, "gpuproxy_request_duration_milliseconds")
    assert quantiles == {
        ("0.5",): snapshot["p50_ms"],
        ("0.95",): snapshot["p95_ms"],
        ("0.99",): snapshot["p99_ms"],
    }
    assert value(registry, "gpuproxy_request_duration_milliseconds_count") == 10
    total = value(registry, "gpuproxy_request_duration_milliseconds_sum")
    assert math.isclose(total, sum(series(registry, "http_request_duration_seconds_sum").values()) * 1000)
    assert math.isclose(total / 10, snapshot["avg_ms"])


def test_types_and_help(registry: CollectorRegistry) -> None:
    HttpMetrics(registry, "ns")
    text = generate_latest(registry).decode()
    for line in [
        "# TYPE ns_uptime_seconds gauge",
        "# TYPE ns_requests_total counter",
        "# TYPE ns_requests_failed gauge",
        "# TYPE ns_requests_in_flight gauge",
        "# TYPE ns_request_success_rate gauge",
        "# TYPE ns_request_duration_milliseconds summary",
        "# TYPE http_requests_total counter",
        "# TYPE http_request_duration_seconds histogram",
    ]:
        assert f"{line}\n" in text
    assert all(
        f"# HELP {line.split()[2]} " in text for line in text.splitlines() if line.startswith("# TYPE")
    )


def test_in_flight(registry: CollectorRegistry) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await gate.wait()
            await send(start())
            await send(body())

        middleware = MetricsMiddleware(app, namespace="ns", registry=registry)
        tasks = [asyncio.create_task(request(middleware)) for _ in range(7)]
        await asyncio.sleep(0)
        assert middleware.metrics.snapshot()["in_flight"] == 7
        assert value(registry, "ns_requests_in_flight") == 7
        assert value(registry, "http_requests_in_flight") == 7
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert value(registry, "http_requests_in_flight") == 0


def test_durations_are_true(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.03)
        await send(start())
        await send(body())

    middleware = MetricsMiddleware(app, registry=registry)
    loop = asyncio.new_event_loop()
    try:
        began = loop.time()
        loop.run_until_complete(request(middleware))
        outside = loop.time() - began
    finally:
        loop.close()
    duration = value(registry, "http_request_duration_seconds_sum", method="GET", endpoint="unmatched")
    # The clock is calibrated to one part in ten thousand.
    assert 0.0299 <= duration <= outside * 1.001


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.99])
def test_sampling_leaves_counts_exact(registry: CollectorRegistry, rate: float) -> None:
    middleware = MetricsMiddleware(by_path, registry=registry, sample=rate, namespace="ns")

    async def main() -> None:
        for n in range(3000):
            await request(middleware, http_scope("/200" if n % 3 else "/404"))

    asyncio.run(main())
    assert {key[2]: count for key, count in series(registry, "http_requests_total").items()} == {
        "200": 2000,
        "404": 1000,
    }
    assert value(registry, "http_request_duration_seconds_count", method="GET", endpoint="unmatched") == 3000
    assert value(registry, "ns_request_duration_milliseconds_count") == 3000
    assert middleware.metrics.snapshot()["p50_ms"] > 0


def test_sampled_streams_count_every_first_byte(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"x", more=True))
        await send(body())

    middleware = MetricsMiddleware(app, registry=registry, sample=0.1)

    async def main() -> None:
        for _ in range(200):
            await request(middleware)

    asyncio.run(main())
    assert (
        value(registry, "http_response_first_byte_seconds_count", method="GET", endpoint="unmatched") == 200
    )


def test_buckets(registry: CollectorRegistry) -> None:
    ask(MetricsMiddleware(by_path, registry=registry, buckets=[0.1, 60.0]), "/200")
    bounds = [key[1] for key in series(registry, "http_request_duration_seconds_bucket")]
    assert bounds == ["0.1", "60.0", "+Inf"]


def test_get_or_create(registry: CollectorRegistry) -> None:
    one = MetricsMiddleware(by_path, namespace="ns", registry=registry)
    two = MetricsMiddleware(by_path, namespace="ns", registry=registry)
    other = HttpMetrics(registry, "other")
    ask(one, "/200")
    ask(two, "/200")
    assert one.metrics.snapshot()["total"] == two.metrics.snapshot()["total"] == 2
    assert value(registry, "ns_requests_total") == 2
    # Another namespace is another application, which has served nothing.
    assert other.snapshot()["total"] == value(registry, "other_requests_total") == 0


def test_made_again_after_it_was_dropped(registry: CollectorRegistry) -> None:
    for _ in range(3):
        ask(MetricsMiddleware(by_path, namespace="ns", registry=registry), "/200")
    assert value(registry, "ns_requests_total") == 3


def test_other_buckets_for_the_same_family_are_a_conflict(registry: CollectorRegistry) -> None:
    kept = HttpMetrics(registry)
    with pytest.raises(ValueError, match="http_request_duration_seconds"):
        HttpMetrics(registry, buckets=[1.0])
    assert kept.registry is registry


def test_a_namespace_that_is_taken(registry: CollectorRegistry) -> None:
    from ferrometer import Counter

    Counter("ns_requests", "mine", registry=registry)
    for _ in range(2):
        with pytest.raises(ValueError, match="ns_requests"):
            HttpMetrics(registry, "ns")
    assert HttpMetrics(registry, "free").namespace == "free"


def test_registries_are_apart() -> None:
    one, two = CollectorRegistry(), CollectorRegistry()
    ask(MetricsMiddleware(by_path, registry=one), "/200")
    assert series(one, "http_requests_total")
    assert HttpMetrics(two).snapshot()["total"] == 0


def test_a_registry_that_dies_takes_its_metrics_along() -> None:
    for _ in range(50):
        registry = CollectorRegistry()
        app = MetricsMiddleware(by_path, namespace="ns", registry=registry)
        ask(app, "/200")
        assert value(registry, "ns_requests_total") == 1
        del app, registry


def test_the_exposition_parses(registry: CollectorRegistry) -> None:
    app = MetricsMiddleware(by_path, namespace="ns", registry=registry)
    for path in ("/200", "/404", "/raise"):
        ask(app, path)
    assert len(samples(registry)) > 30
