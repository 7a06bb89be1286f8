"""The JSON of every endpoint: exactly these keys, in this nesting, of these types."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from ferrometer import CollectorRegistry
from ferrometer.endpoints import observability_app
from ferrometer.health import HealthChecks
from ferrometer.stats import ServiceStats
from tests.endpoints.client import calling

pytestmark = pytest.mark.anyio

# The contract by example: a client that parses these must be able to parse ours.
HEALTH = """
{
  "status": "ok",
  "timestamp": "2026-01-13T12:34:56Z",
  "checks": {
    "database": {
      "healthy": true,
      "response_time_ms": 5,
      "total_connections": 45,
      "idle_connections": 20,
      "max_connections": 1000
    },
    "redis": {"healthy": true, "response_time_ms": 2, "total_connections": 10, "idle_connections": 5}
  }
}
"""
FLAT_HEALTH = '{"status": "healthy", "database": "connected", "redis": "connected", "uptime_seconds": 3600}'
STATS = """
{
  "uptime_seconds": 86400,
  "requests": {
    "total": 12345, "failed": 123, "in_flight": 5, "success_rate": 99.0,
    "duration": {"p50_ms": 50.0, "p95_ms": 150.0, "p99_ms": 300.0, "avg_ms": 75.0}
  },
  "gpu": {"active_instances": 10, "total_cost_usd": 1234.56, "requests_total": 5000, "requests_failed": 50},
  "database": {"connections_active": 45, "connections_idle": 20, "queries_total": 10000, "errors": 5},
  "cache": {"hits": 8000, "misses": 2000, "hit_rate": 80.0},
  "system": {"goroutines": 50, "heap_alloc_mb": 128, "gc_runs": 20}
}
"""
POLLING = """
{
  "timestamp": "2026-01-13T12:34:56Z",
  "status": "ok",
  "metrics": {
    "requests_in_flight": 5, "active_gpu_instances": 10, "db_connections_active": 45, "cache_hit_rate": 80.0
  }
}
"""
MONITOR = """
{
  "timestamp": "2026-01-13T12:34:56Z",
  "status": "ok",
  "health": {
    "database": {
      "healthy": true, "response_time_ms": 5,
      "total_connections": 45, "idle_connections": 20, "max_connections": 1000
    },
    "redis": {"healthy": true, "response_time_ms": 2, "total_connections": 10, "idle_connections": 5}
  },
  "metrics": {
    "requests": {
      "total": 12345, "failed": 123, "in_flight": 5, "success_rate": 99.0,
      "duration": {"p50_ms": 50.0, "p95_ms": 150.0, "p99_ms": 300.0, "avg_ms": 75.0}
    },
    "gpu": {"active_instances": 10, "total_cost_usd": 1234.56, "requests_total": 5000, "requests_failed": 50},
    "database": {"connections_active": 45, "connections_idle": 20, "queries_total": 10000, "errors": 5}
  }
}
"""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class FakeRequests:
    """Stands for the middleware's side, with numbers that are nobody's default."""

    numbers: Mapping[str, float] = {
        "uptime_seconds": 86400.9,
        "total": 12345,
        "failed": 123,
        "in_flight": 5,
        "success_rate": 99,
        "p50_ms": 50,
        "p95_ms": 150.5,
        "p99_ms": 300.0,
        "avg_ms": 75.25,
    }

    def snapshot(self) -> Mapping[str, float]:
        return self.numbers


def shape(value: Any, as_well: Mapping[str, str] = {}) -> Any:
    """The value with every leaf replaced by its JSON type; an integer and a float are two types here.

    ``as_well``: types that count as another one.
    """
    if isinstance(value, dict):
        return {key: shape(item, as_well) for key, item in value.items()}
    if isinstance(value, str) and MOMENT.fullmatch(value):
        return "moment"
    name = type(value).__name__
    return as_well.get(name, name)


def database() -> dict[str, int]:
    return {"total_connections": 45, "idle_connections": 20, "max_connections": 1000}


async def redis() -> dict[str, int]:
    return {"total_connections": 10, "idle_connections": 5}


def recorded(registry: CollectorRegistry) -> ServiceStats:
    """Stats of a service that has seen something of everything."""
    stats = ServiceStats("gpuproxy", registry, requests=FakeRequests())
    stats.gpu.instances(10)
    for number in range(5):
        stats.gpu.request(failed=number < 2, cost_usd=0.25)
    stats.db.connections(active=45, idle=20)
    stats.db.query(1.5)
    stats.db.query(error=True)
    stats.cache.hit(8)
    stats.cache.miss(2)
    return stats


async def get(path: str, **options: Any) -> tuple[int, Any]:
    registry = CollectorRegistry()
    health = HealthChecks({"database": database, "redis": redis}, timeout=60)
    app = observability_app(registry=registry, stats=recorded(registry), health=health, **options)
    async with calling(app) as client:
        answer = await client.get(path)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, json.loads(answer.text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("path", "example"),
    [
        ("/health", HEALTH),
        ("/health?format=flat", FLAT_HEALTH),
        ("/health?format=nested", HEALTH),
        ("/health?format=unheard-of", HEALTH),
        ("/stats", STATS),
        ("/polling", POLLING),
        ("/monitor", MONITOR),
        ("/live", '{"status": "alive"}'),
        ("/ready", '{"status": "ready"}'),
    ],
)
async def test_the_shape_is_that_of_the_contract(path: str, example: str) -> None:
    status, body = await get(path)
    assert status == 200
    assert shape(body) == shape(json.loads(example))
    assert body.get("status") == json.loads(example).get("status")


@pytest.mark.parametrize(
    "query", ["format", "format=", "format=FLAT", "%ff=%00", "&&=&", "format=nested&x=" + "y" * 5000]
)
async def test_an_odd_query_is_the_default_form(query: str) -> None:
    status, body = await get("/health?" + query)
    assert (status, shape(body)) == (200, shape(json.loads(HEALTH)))


@pytest.mark.parametrize(
    ("path", "example"),
    [("/health", FLAT_HEALTH), ("/health?format=flat", FLAT_HEALTH), ("/health?format=nested", HEALTH)],
)
async def test_the_flat_form_can_be_the_default(path: str, example: str) -> None:
    _, body = await get(path, flat_health=True)
    assert shape(body) == shape(json.loads(example))


async def test_stats_are_the_numbers_that_were_recorded() -> None:
    _, body = await get("/stats")
    assert body["uptime_seconds"] == 86400
    assert body["requests"] == {
        "total": 12345,
        "failed": 123,
        "in_flight": 5,
        "success_rate": 99.0,
        "duration": {"p50_ms": 50.0, "p95_ms": 150.5, "p99_ms": 300.0, "avg_ms": 75.25},
    }
    assert body["gpu"] == {
        "active_instances": 10,
        "total_cost_usd": 1.25,
        "requests_total": 5,
        "requests_failed": 2,
    }
    assert body["database"] == {
        "connections_active": 45,
        "connections_idle": 20,
        "queries_total": 2,
        "errors": 1,
    }
    assert body["cache"] == {"hits": 8, "misses": 2, "hit_rate": 80.0}
    assert body["system"]["heap_alloc_mb"] > 0
    assert body["system"]["gc_runs"] > 0


async def test_polling_and_monitor_say_the_same_numbers() -> None:
    _, polling = await get("/polling")
    assert polling["metrics"] == {
        "requests_in_flight": 5,
        "active_gpu_instances": 10,
        "db_connections_active": 45,
        "cache_hit_rate": 80.0,
    }
    _, stats = await get("/stats")
    _, monitor = await get("/monitor")
    assert monitor["metrics"] == {key: stats[key] for key in ("requests", "gpu", "database")}


async def test_nothing_registered_and_nothing_recorded_is_the_same_shape() -> None:
    async with calling(observability_app(registry=CollectorRegistry())) as client:
        answers = {
            path: (await client.get(path)).json() for path in ("/health", "/stats", "/polling", "/monitor")
        }
    assert answers["/health"]["checks"] == answers["/monitor"]["health"] == {}
    assert (
        answers["/health"]["status"] == answers["/polling"]["status"] == answers["/monitor"]["status"] == "ok"
    )
    # What is not known is null: a rate of nothing is neither 0 nor 100.
    requests = answers["/stats"]["requests"]
    assert requests["success_rate"] is answers["/stats"]["cache"]["hit_rate"] is None
    assert set(requests["duration"].values()) == {None}
    assert answers["/polling"]["metrics"]["cache_hit_rate"] is None
    unknown = {"float": "NoneType"}
    assert shape(answers["/stats"], unknown) == shape(json.loads(STATS), unknown)
    assert shape(answers["/polling"], unknown) == shape(json.loads(POLLING), unknown)


async def test_numbers_that_json_cannot_carry_never_get_there() -> None:
    registry = CollectorRegistry()
    stats = recorded(registry)
    stats.gpu.instances_active.set(float("nan"))
    stats.db.connections_active.set(float("inf"))
    stats.db.connections_idle.set(float("-inf"))
    async with calling(observability_app(registry=registry, stats=stats)) as client:
        for path in ("/stats", "/polling", "/monitor"):
            answer = await client.get(path)
            assert answer.status_code == 200
            body = json.loads(answer.text, parse_constant=pytest.fail)
    assert body["metrics"]["gpu"]["active_instances"] == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # goroutines are asyncio tasks
async def test_goroutines_are_the_live_tasks_of_the_event_loop() -> None:
    app = observability_app(registry=CollectorRegistry())
    async with calling(app) as client:
        before = (await client.get("/stats")).json()["system"]["goroutines"]
        sleepers = [asyncio.create_task(asyncio.Event().wait()) for _ in range(7)]
        after = (await client.get("/stats")).json()["system"]["goroutines"]
        for sleeper in sleepers:
            sleeper.cancel()
    assert after == before + 7
    assert before >= 1


@pytest.mark.parametrize("path", ["/health", "/ready", "/monitor", "/polling"])
async def test_an_unhealthy_component(path: str) -> None:
    def broken() -> None:
        raise ConnectionRefusedError("postgres://app:hunter2@db")

    health = HealthChecks({"database": database, "redis": broken}, timeout=60)
    async with calling(observability_app(registry=CollectorRegistry(), health=health)) as client:
        await client.get("/health")
        answer = await client.get(path)
        flat = await client.get("/health?format=flat")
    expected = {"/health": 503, "/ready": 503, "/monitor": 200, "/polling": 200}
    assert answer.status_code == expected[path]
    assert answer.json()["status"] == ("not ready" if path == "/ready" else "unhealthy")
    assert "hunter2" not in answer.text
    assert flat.status_code == 503
    assert flat.json() | {"uptime_seconds": 0} == {
        "status": "unhealthy",
        "database": "connected",
        "redis": "disconnected",
        "uptime_seconds": 0,
    }


async def test_polling_and_live_run_no_check() -> None:
    calls: list[int] = []
    health = HealthChecks({"it": lambda: calls.append(1)}, timeout=60, cache_seconds=0)
    async with calling(observability_app(registry=CollectorRegistry(), health=health)) as client:
        for path in ("/polling", "/live", "/stats", "/metrics"):
            await client.get(path)
        assert calls == []
        for path in ("/health", "/ready", "/monitor"):
            await client.get(path)
        assert len(calls) == 3


async def test_a_hanging_check_leaves_the_other_endpoints_alone() -> None:
    health = HealthChecks({"hang": lambda: anyio.sleep_forever()}, timeout=3600)
    async with calling(observability_app(registry=CollectorRegistry(), health=health)) as client:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(client.get, "/health")
                for path in ("/live", "/polling", "/stats", "/metrics"):
                    assert (await client.get(path)).status_code == 200
                waiting.cancel_scope.cancel()
