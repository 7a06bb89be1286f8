"""The view of providers on the live page: what it asks is answered."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import ferrometer
from ferrometer import CollectorRegistry
from ferrometer.breaker import CircuitBreaker
from ferrometer.providers import record
from ferrometer.providers.panel import PANELS


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    ferrometer.instrument(
        app,
        ferrometer.Providers(),
        ferrometer.Breakers(),
        ferrometer.History(),
        namespace="gw",
        registry=CollectorRegistry(),
        default_collectors=False,
    )
    with TestClient(app) as client:
        yield client


def test_every_query_of_the_panel_finds_what_it_looks_for(client: TestClient) -> None:
    name = f"provider-{uuid.uuid4()}"
    breaker = CircuitBreaker(name)
    record(name, "m", seconds=2.0, first_token_seconds=0.5, output_tokens=100)
    breaker.begin().success()
    [panel] = PANELS
    queries = [tile.query for tile in panel.tiles]
    queries += [line.query for chart in panel.charts for line in chart.lines]
    queries += [column.query for table in panel.tables for column in table.columns]

    def empty() -> list[str]:
        missing = []
        for query in queries:
            text = query.replace("$window", "1m").replace("$table", "1m")
            told = client.get("/api/v1/query", params={"query": text}).json()
            assert told["status"] == "success", (query, told)
            missing += [] if told["data"]["result"] else [query]
        return missing

    deadline = time.monotonic() + 60
    while empty():
        assert time.monotonic() < deadline, empty()
        time.sleep(0.2)
    names = client.get("/api/v1/label/__name__/values").json()["data"]
    assert any(re.fullmatch(panel.when, one) for one in names)
