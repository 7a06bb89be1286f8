"""What the metric tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram
from tests.metrics.clock import Clock, Watched

# A shared machine may stop for a second in any example.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The timers' clock."""
    return Clock(monkeypatch)


@pytest.fixture
def seconds(registry: CollectorRegistry) -> Histogram:
    """Durations."""
    return Histogram("seconds", "h", registry=registry, buckets=[1, 10])


@pytest.fixture
def busy(registry: CollectorRegistry) -> Gauge:
    """What is running."""
    return Gauge("busy", "h", registry=registry)


@pytest.fixture
def failed(registry: CollectorRegistry) -> Counter:
    """What has failed."""
    return Counter("failed", "h", registry=registry)


@pytest.fixture
def watched(seconds: Histogram, busy: Gauge, failed: Counter) -> Watched:
    """A decorator of all three."""
    return Watched(seconds, busy, failed)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every asynchronous test runs under both."""
    return str(request.param)
