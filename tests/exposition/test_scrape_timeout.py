"""`X-Prometheus-Scrape-Timeout-Seconds`: what would outlast the scraper is left out of its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from ferrometer import CollectorRegistry, Gauge
from ferrometer.endpoints import observability_app
from tests.endpoints.client import calling

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Collector:
    """Tells one gauge, when it is allowed to."""

    def __init__(self, name: str, *, waits: bool = False) -> None:
        self.name = name
        self.go_on = threading.Event()
        self.asked = 0
        self.together = self.most = 0
        if not waits:
            self.go_on.set()

    def describe(self) -> list[Any]:
        return [GaugeMetricFamily(self.name, "Told")]

    def collect(self) -> Iterator[Any]:
        self.asked += 1
        self.together += 1
        self.most = max(self.most, self.together)
        self.go_on.wait(20)
        time.sleep(0.001)
        self.together -= 1
        yield GaugeMetricFamily(self.name, "Told", value=self.asked)


async def scrape(registry: CollectorRegistry, seconds: str | None, query: str = "") -> dict[str, float]:
    headers = {} if seconds is None else {"X-Prometheus-Scrape-Timeout-Seconds": seconds}
    async with calling(observability_app(registry=registry)) as client:
        answer = await client.get(f"/metrics{query}", headers=headers)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        f"{s.labels['source']} missing" if s.labels else s.name: s.value for f in families for s in f.samples
    }


async def test_who_is_too_slow_costs_nobody_else() -> None:
    registry = CollectorRegistry()
    slow, quick = Collector("slow", waits=True), Collector("quick")
    registry.register(slow)
    registry.register(quick)
    waiting = Gauge("waiting", "A callback that waits", registry=registry)
    waiting.set_function(lambda: float(slow.go_on.wait(20)))
    Gauge("native", "Needs no Python", registry=registry).set(7)
    began = time.monotonic()
    first = await scrape(registry, "0.5")
    assert time.monotonic() - began < 5
    assert first["native"] == 7
    assert "slow" not in first
    assert "waiting" not in first
    # Known to be slow, or still running: asked last from now on.
    for _ in range(2):
        found = await scrape(registry, "0.5")
        assert found["quick"] >= 1
        assert "slow" not in found
    assert slow.asked == 1, "it is not asked again while it has not come back"
    assert (await scrape(registry, "0.5"))["Collector missing"] >= 3
    slow.go_on.set()
    for _ in range(100):
        if "slow" in (found := await scrape(registry, "5")):
            break
    assert {"slow", "quick", "waiting", "native"} <= set(found)


async def test_what_is_in_time_is_complete_and_in_order() -> None:
    registry = CollectorRegistry()
    names = [f"c{number}" for number in range(10)]
    for name in names:
        registry.register(Collector(name))
    hurried = [name for name in await scrape(registry, "10") if name in names]
    assert hurried == [name for name in await scrape(registry, None) if name in names] == names


@pytest.mark.parametrize("header", ["", "soon", "-1", "0", "nan", "inf", "1e400", "1e300", "10 s"])
async def test_a_header_that_makes_no_sense_hurries_nobody(header: str) -> None:
    registry = CollectorRegistry()
    registry.register(Collector("told"))
    assert (await scrape(registry, header))["told"] == 1


async def test_two_scrapers_at_once_get_all_and_no_collector_runs_twice() -> None:
    registry = CollectorRegistry()
    collectors = [Collector(f"c{number}") for number in range(5)]
    for collector in collectors:
        registry.register(collector)
    found: list[dict[str, float]] = []

    async def scraper() -> None:
        found.append(await scrape(registry, "10"))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(scraper)
    assert len(found) == 4
    assert all({f"c{number}" for number in range(5)} <= set(told) for told in found)
    assert [collector.most for collector in collectors] == [1] * 5


async def test_names_are_hurried_too() -> None:
    registry = CollectorRegistry()
    slow = Collector("slow", waits=True)
    registry.register(slow)
    Gauge("native", "Needs no Python", registry=registry).set(7)
    began = time.monotonic()
    assert await scrape(registry, "0.3", "?name[]=slow&name[]=native") == {"native": 7}
    assert time.monotonic() - began < 5
    slow.go_on.set()
