"""What must work from the installed wheel alone, on every platform: `tools/wheels smoke` runs it."""

from __future__ import annotations

import platform
import sys
import tempfile
import threading

from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

import ferrometer
from ferrometer import CollectorRegistry, Counter, Histogram, generate_latest


def metrics() -> None:
    """Exact under threads, and readable by a foreign parser."""
    registry = CollectorRegistry()
    requests = Counter("requests", "Requests", ["route"], registry=registry)
    seconds = Histogram("seconds", "Durations", buckets=(0.1, 1.0), registry=registry)

    def record() -> None:
        for _ in range(10_000):
            requests.labels("/").inc()
            seconds.observe(0.25)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["requests_total", None] == 40_000
    assert samples["seconds_bucket", "0.1"] == 0
    assert samples["seconds_bucket", "1.0"] == samples["seconds_count", None] == 40_000
    assert abs(seconds.quantile(0.99) / 0.25 - 1) < 0.005


def application() -> None:
    """An application that is wrapped in one line."""
    app = FastAPI()

    @app.get("/users/{name}")
    def user(name: str) -> dict[str, str]:
        return {"name": name}

    ferrometer.instrument(app, namespace="smoke")
    with TestClient(app) as client:
        for name in ("ada", "grace"):
            assert client.get(f"/users/{name}").status_code == 200
        text = client.get("/metrics").text
        assert 'endpoint="/users/{name}"' in text, text
        assert client.get("/health").status_code == 200


def shared() -> None:
    """A directory that several processes could share, where the platform has them."""
    if sys.platform != "linux":
        return
    with tempfile.TemporaryDirectory() as folder:
        ferrometer.share(folder)
        Counter("shared", "Counted").inc(3)
        assert b"shared_total 3" in generate_latest()


for check in (metrics, application, shared):
    check()
print(f"ferrometer {ferrometer.__version__}: ok on {platform.python_version()}, {platform.platform()}")
