"""Custom collectors and callbacks that every worker publishes by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    UntypedMetricFamily,
)

import ferrometer
from ferrometer import CollectorRegistry, CollectorScheduler, Gauge, generate_latest, publish
from ferrometer.collectors.app.published import Published
from ferrometer.testing import value
from tests.workers.servers import served, total, until


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROMETER_SHARED", "false")
    monkeypatch.setenv("FERROMETER_CONFIG", "")


class Shop:
    """A collector whose families a test can change."""

    def __init__(self) -> None:
        self.stock = {"apple": 3.0, "pear": 4.0}
        self.sold = 10.0
        self.asked = 0

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        stock = GaugeMetricFamily("stock", "What is there", labels=["what"])
        for what, many in self.stock.items():
            stock.add_metric([what], many)
        yield stock
        yield CounterMetricFamily("sold", "What is gone", value=self.sold)
        yield UntypedMetricFamily("mood", "How it is", value=7)
        yield InfoMetricFamily("shop", "Which", value={"city": "Rome"})


def test_what_it_tells_is_in_native_metrics() -> None:
    registry = CollectorRegistry()
    shop = Shop()
    published = Published(shop, registry=registry, mode="livesum")
    published.collect()
    shop.stock, shop.sold = {"apple": 1.0, "plum": 2.0}, 12.0
    published.collect()
    text = generate_latest(registry).decode()
    assert shop.asked == 2, "a scrape asks nobody"
    assert 'stock{what="apple"} 1.0' in text
    assert 'stock{what="plum"} 2.0' in text
    assert "pear" not in text
    assert "sold_total 12.0" in text
    assert "mood 7.0" in text
    assert 'shop_info{city="Rome"} 1.0' in text
    assert {m._multiprocess_mode for m in published.metrics if isinstance(m, Gauge)} == {"livesum"}
    shop.sold = 5.0  # counted anew
    published.collect()
    assert value(registry, "sold_total") == 5


def test_one_that_is_registered_leaves_the_registry() -> None:
    registry = CollectorRegistry(auto_describe=True)
    shop = Shop()
    registry.register(shop)
    published = publish(shop, registry=registry)
    published.collect()
    assert generate_latest(registry).count(b"\nsold_total ") == 1


def test_what_is_published_before_and_after_instrument_runs_with_the_application() -> None:
    registry = CollectorRegistry()
    before, after = Shop(), Gauge("after", "A callback", registry=registry)
    publish(before, registry=registry, interval=0.01, name="before")
    app = FastAPI()
    watched = ferrometer.instrument(app, registry=registry)
    after.set_function(lambda: 8)
    publish(after, registry=registry, interval=0.01)
    with TestClient(app):
        until(lambda: before.asked > 3)
        until(lambda: watched.collectors.status()["after"].state == "ok")
        assert after._get() == 8, "asked without a scrape"
        assert value(registry, "ferrometer_collector_success", collector="before") == 1
    assert set(watched.collectors.status()) >= {"before", "after"}


class Bad:
    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def test_what_cannot_be_published_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ferrometer.collectors")
    registry = CollectorRegistry()
    family = HistogramMetricFamily("h", "A histogram", buckets=[("+Inf", 1)], sum_value=1)
    with CollectorScheduler(
        [publish(Bad(family), registry=registry, interval=0.01)], registry=registry
    ) as scheduler:
        until(lambda: scheduler.status()["Bad"].state == "failing")
    assert "h is a histogram, which cannot be published" in caplog.text
    changing = Metric("g", "A gauge", "gauge")
    changing.add_sample("g", {"a": "1"}, 1)
    published = Published(Bad(changing), registry=registry)
    published.collect()
    changing.add_sample("g", {"b": "1"}, 1)
    with pytest.raises(Exception, match=r"g has other labels than at first, \['b'\] and not \['a'\]"):
        published.collect()


def test_what_is_wrong_shows_at_once() -> None:
    with pytest.raises(ValueError, match="invalid mode 'latest'; one of all, "):
        publish(Shop(), mode="latest", registry=CollectorRegistry())
    with pytest.raises(TypeError, match="cannot publish object: it has no collect"):
        publish(object(), registry=CollectorRegistry())  # type: ignore[arg-type]


SOURCE = """
import asyncio, itertools, os
import ferrometer
from fastapi import FastAPI
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

class SayWho:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        async def named(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-worker", str(os.getpid()).encode())]
            await send(message)
        await self.app(scope, receive, named)

class Custom:
    def collect(self):
        yield GaugeMetricFamily("custom", "A gauge", value=5)
        yield CounterMetricFamily("done", "A count", value=3)

class Own:
    def collect(self):
        gauge = GaugeMetricFamily("own", "A gauge", labels=["kind"])
        gauge.add_metric(["x"], os.getpid())
        yield gauge

app = FastAPI()
app.add_middleware(SayWho)
ferrometer.publish(Custom(), mode="livesum", interval=0.1)
ferrometer.publish(Own(), mode="liveall", interval=0.1)
ferrometer.instrument(app)
callback = ferrometer.Gauge("callback", "A callback", multiprocess_mode="livesum")
callback.set_function(lambda: 2)
largest = ferrometer.Gauge("largest", "A callback", multiprocess_mode="max")
largest.set_function(os.getpid)

@app.get("/who")
async def who():
    return os.getpid()
"""


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn-preload", "granian"])
def test_every_worker_publishes_its_own(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FERROMETER_SHARED")
    with served(server, tmp_path, workers=3, source=SOURCE) as running:
        workers = set(running.from_each("/who", 3))

        def all_there(body: bytes) -> bool:
            return (
                total(body, "custom") == 15
                and total(body, "done_total") == 9
                and {pid for pid in workers if total(body, "own", f'pid="{pid}"', 'kind="x"') == pid}
                == workers
                and total(body, "callback") == 6
                and total(body, "largest") == max(workers)
            )

        running.wait_for(
            lambda: all(all_there(a.body) for a in running.from_each("/metrics", 3).values()),
            what="all of them shown by all",
        )
