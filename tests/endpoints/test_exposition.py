"""/metrics: what it shows, and that nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from ferrometer import CollectorRegistry, Gauge
from ferrometer.endpoints import observability_app
from ferrometer.stats import ServiceStats
from tests.endpoints.client import calling

pytestmark = pytest.mark.anyio

FAMILIES = {
    "gpuproxy_gpu_instances_active": "gauge",
    "gpuproxy_gpu_requests": "counter",
    "gpuproxy_gpu_requests_failed": "gauge",
    "gpuproxy_gpu_cost": "counter",
    "gpuproxy_db_connections_active": "gauge",
    "gpuproxy_db_connections_idle": "gauge",
    "gpuproxy_db_queries": "counter",
    "gpuproxy_db_errors": "counter",
    "gpuproxy_db_query_duration_milliseconds": "summary",
    "gpuproxy_cache_hits": "gauge",
    "gpuproxy_cache_misses": "gauge",
    "gpuproxy_cache_hit_rate": "gauge",
    "gpuproxy_goroutines": "gauge",
    "gpuproxy_memory_heap_alloc_mb": "gauge",
    "gpuproxy_gc": "counter",
}
SAMPLES = {
    "gpuproxy_gpu_requests_total": 1,
    "gpuproxy_gpu_requests_failed": 1,
    "gpuproxy_gpu_cost_total": 0.5,
    "gpuproxy_gpu_instances_active": 3,
    "gpuproxy_db_connections_active": 4,
    "gpuproxy_db_connections_idle": 5,
    "gpuproxy_db_queries_total": 2,
    "gpuproxy_db_errors_total": 1,
    "gpuproxy_db_query_duration_milliseconds_count": 1,
    "gpuproxy_db_query_duration_milliseconds_sum": 12,
    "gpuproxy_cache_hits": 3,
    "gpuproxy_cache_misses": 1,
    "gpuproxy_cache_hit_rate": 75,
}


async def scrape(app: object, path: str = "/metrics") -> dict[str, Metric]:
    async with calling(app) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def test_the_parser_of_prometheus_client_reads_what_was_recorded() -> None:
    registry = CollectorRegistry()
    stats = ServiceStats("gpuproxy", registry)
    stats.gpu.request(failed=True, cost_usd=0.5)
    stats.gpu.instances(3)
    stats.db.connections(active=4, idle=5)
    stats.db.query(12.0)
    stats.db.query(error=True)
    stats.cache.hit(3)
    stats.cache.miss()
    for path in ("/metrics", "/metrics/"):
        families = await scrape(observability_app(registry=registry, stats=stats), path)
        ours = {
            name: family
            for name, family in families.items()
            if name.startswith("gpuproxy") and not name.endswith("_created")
        }
        assert {name: family.type for name, family in ours.items()} == FAMILIES
        assert all(family.documentation for family in ours.values())
        samples = {
            sample.name: sample.value
            for family in ours.values()
            for sample in family.samples
            if not sample.labels
        }
        assert {name: samples[name] for name in SAMPLES} == SAMPLES
        assert samples["gpuproxy_gc_total"] > 0
        assert samples["gpuproxy_memory_heap_alloc_mb"] > 1
        duration = ours["gpuproxy_db_query_duration_milliseconds"].samples
        quantiles = {s.labels["quantile"]: s.value for s in duration if s.labels}
        assert list(quantiles) == ["0.5", "0.95", "0.99"]
        assert quantiles["0.5"] == pytest.approx(12, rel=0.004)


async def test_without_a_namespace_there_are_no_families_of_the_service() -> None:
    registry = CollectorRegistry()
    stats = ServiceStats(registry=registry)
    stats.cache.hit()
    app = observability_app(registry=registry, stats=stats)
    assert not {name for name in await scrape(app) if "cache" in name or "gpu" in name}
    async with calling(app) as client:
        assert (await client.get("/stats")).json()["cache"]["hits"] == 1


class Meeting:
    """A collector that is done when somebody else was served meanwhile."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.others_were_served = threading.Event()

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        self.entered.set()
        yield GaugeMetricFamily(
            "met", "Whether others were served", value=float(self.others_were_served.wait(20))
        )


async def test_others_are_served_while_a_scrape_is_rendered() -> None:
    registry = CollectorRegistry()
    meeting = Meeting()
    registry.register(meeting)
    app = observability_app(registry=registry)
    found: dict[str, Metric] = {}

    async def scraper() -> None:
        found.update(await scrape(app))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scraper)
        await anyio.to_thread.run_sync(meeting.entered.wait)
        async with calling(app) as client:
            assert (await client.get("/polling")).status_code == 200
        meeting.others_were_served.set()
    assert found["met"].samples[0].value == 1


async def test_a_scrape_gets_through_when_every_thread_of_the_application_waits() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    app = observability_app(registry=CollectorRegistry())
    borrowers = [object() for _ in range(int(limiter.available_tokens))]
    for borrower in borrowers:
        limiter.acquire_on_behalf_of_nowait(borrower)
    with anyio.fail_after(20):
        assert limiter.available_tokens == 0
        await scrape(app)
    for borrower in borrowers:
        limiter.release_on_behalf_of(borrower)


async def test_a_broken_callback_costs_its_metric_only() -> None:
    registry = CollectorRegistry()
    Gauge("broken", "Raises", registry=registry).set_function(lambda: 1 / 0)
    Gauge("fine", "Does not", registry=registry).set(1)
    families = await scrape(observability_app(registry=registry))
    assert "fine" in families
    assert not families.get("broken") or not families["broken"].samples
