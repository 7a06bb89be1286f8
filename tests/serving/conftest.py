"""A registry with something of everything, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ferrometer
from ferrometer import CollectorRegistry, MetricsServer, serve_metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    """All types, with labels and without."""
    registry = CollectorRegistry()
    tokens = ferrometer.Counter("tokens", "Tokens", ["model"], registry=registry)
    tokens.labels('a "quoted" \\ back\nslash ü').inc(3)
    tokens.labels("b").inc(0.5)
    ferrometer.Gauge("depth", "Depth", registry=registry).set(-1.5)
    ferrometer.Histogram("latency", "Latency", registry=registry).observe(0.2, {"trace_id": "t"})
    ferrometer.Summary("size", "Size", registry=registry, quantiles=(0.5, 0.99)).observe(7)
    ferrometer.Info("build", "Build", registry=registry).info({"version": "1"})
    ferrometer.Enum("state", "State", states=["up", "down"], registry=registry).state("down")
    return registry


@pytest.fixture
def server(registry: CollectorRegistry) -> Iterator[MetricsServer]:
    """Serves it."""
    with serve_metrics(0, registry=registry) as server:
        yield server
