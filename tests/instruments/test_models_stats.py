"""``/models/stats``: its schema, its numbers, its credentials."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, Instruments, instrument
from ferrometer.instruments import costs, inference

NUMBER: Any = (int, float)
MAYBE: Any = (int, float, type(None))
MODEL: dict[str, Any] = {
    "model": str,
    "requests": int,
    "errors": int,
    "error_rate": MAYBE,
    "by_status": dict,
    "in_flight": int,
    "tokens": dict,
    "average_duration_seconds": MAYBE,
    "average_first_token_seconds": MAYBE,
    "cost_usd": MAYBE,
}


@pytest.fixture
def client(registry: CollectorRegistry) -> TestClient:
    app = Starlette()
    instrument(app, Instruments(), registry=registry, auth=("user", "password"))
    return TestClient(app)


def test_it_needs_the_endpoints_credentials(client: TestClient) -> None:
    assert client.get("/models/stats").status_code == 401


def test_nothing_is_an_empty_list(client: TestClient) -> None:
    told = client.get("/models/stats", auth=("user", "password")).json()
    assert told["models"] == []
    assert told["summary"]["cost_usd"] is None


def test_the_numbers_are_those_of_the_metrics(client: TestClient, registry: CollectorRegistry) -> None:
    costs({"a": {"input": 3, "output": 15}}, registry=registry)
    for tokens in (100, 200):
        with inference(model="a", provider="p", registry=registry) as call:
            call.usage(tokens, 10)
            call.first_token()
    with pytest.raises(KeyError), inference(model="b", provider="p", registry=registry):
        raise KeyError
    with inference(model="b", provider="p", registry=registry):
        told = client.get("/models/stats", auth=("user", "password"))
    assert told.headers["cache-control"] == "no-store"
    first, second = told.json()["models"]
    for model in (first, second):
        assert model.keys() == MODEL.keys()
        assert all(isinstance(model[name], kind) for name, kind in MODEL.items())
    assert (first["model"], first["requests"], first["errors"], first["error_rate"]) == ("a", 2, 0, 0)
    assert first["tokens"] == {"prompt": 300, "completion": 20, "total": 320}
    assert first["cost_usd"] == pytest.approx((300 * 3 + 20 * 15) / 1e6)
    assert 0 <= first["average_first_token_seconds"] <= first["average_duration_seconds"]
    assert (second["model"], second["by_status"], second["in_flight"]) == ("b", {"error": 1}, 1)
    assert (second["cost_usd"], second["average_first_token_seconds"]) == (None, None)
    assert told.json()["summary"] == {
        "models": 2,
        "requests": 3,
        "errors": 1,
        "total_tokens": 320,
        "cost_usd": pytest.approx(0.0012),
    }
