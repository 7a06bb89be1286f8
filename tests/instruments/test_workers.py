"""Four real workers: all models' numbers are those of all workers, over both fronts, and after a kill -9."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.real.prometheus import free_port
from tests.workers.servers import SAY_WHO, Served, served, total

APP = (
    SAY_WHO
    + """
import asyncio, os
import ferrometer
from fastapi import FastAPI
from ferrometer.instruments import costs, inference

app = FastAPI()
app.add_middleware(SayWho)
names = ("native", "gen_ai@1.41", "gen_ai@0.1")
watched = ferrometer.instrument(
    app, ferrometer.Instruments(conventions=names), namespace="gw", registry=ferrometer.REGISTRY
)
costs({"m": {"input": 3, "output": 15}})
port = ferrometer.serve_metrics(int(os.environ["OWN_PORT"]), stats=watched.stats)

@app.get("/who")
async def who():
    return os.getpid()

@app.get("/infer")
async def infer(fail: bool = False):
    try:
        async with inference(model="m", provider="openai", tenant="acme") as call:
            call.usage(100, 10, cached_tokens=64)
            if fail:
                raise TimeoutError
    except TimeoutError:
        pass
    return os.getpid()

@app.get("/hang")
async def hang():
    flying = inference(model="m", provider="openai")
    flying.__enter__()
    app.state.flying = flying
    return os.getpid()
"""
)
CALLS, FAILED = 60, 20


def _fetch(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        body: bytes = answer.read()
        return body


def _model(text: bytes) -> dict[str, Any]:
    (model,) = json.loads(text)["models"]
    assert isinstance(model, dict)
    return model


def _expected(exposition: bytes) -> None:
    """The same calls under each vocabulary."""
    assert total(exposition, "inference_requests_total", 'model="m"') == CALLS
    assert total(exposition, "gen_ai_client_operation_duration_seconds_count") == CALLS
    failed = total(exposition, "gen_ai_client_operation_duration_seconds_count", 'error_type="TimeoutError"')
    assert failed == FAILED
    # Sizes are of calls that did not fail, once for each kind of token; usage is of all.
    assert total(exposition, "gen_ai_client_token_usage_count") == 2 * (CALLS - FAILED)
    assert total(exposition, "gen_ai_client_inference_duration_seconds_count") == CALLS
    assert total(exposition, "gen_ai_client_inference_usage_input_tokens_total") == 100 * CALLS
    assert total(exposition, "gen_ai_client_inference_usage_cache_read_input_tokens_total") == 64 * CALLS
    assert total(exposition, "gen_ai_client_inference_operation_output_tokens_sum") == 10 * (CALLS - FAILED)
    assert total(exposition, "gw_cost_by_tenant", 'tenant="acme"') == pytest.approx(CALLS * 450e-6)


def test_four_workers_and_a_kill(tmp_path: Path) -> None:
    own = free_port()
    with served("uvicorn", tmp_path, workers=4, source=APP, env={"OWN_PORT": f"{own}"}) as server:
        server.from_each("/who", 4)
        server.load(CALLS - FAILED, "/infer")
        server.load(FAILED, "/infer?fail=true")
        victim = server.get("/hang").worker

        def both() -> tuple[bytes, bytes]:
            return server.get("/models/stats").body, _fetch(own, "/models/stats")

        for text in both():
            assert _model(text)["in_flight"] == 1
        for exposition in (server.get("/metrics").body, _fetch(own, "/metrics")):
            _expected(exposition)

        server.kill(victim)
        server.wait_for(lambda: _gone(server, victim), what="the killed worker is replaced")
        server.wait_for(lambda: _answers(own), what="the own port is served by another worker", seconds=40)
        # Whoever answers may have looked at who lives a moment before the kill.
        server.wait_for(
            lambda: _model(_fetch(own, "/models/stats"))["in_flight"] == 0,
            what="the dead worker's call is gone",
        )
        outside = _fetch(own, "/models/stats")
        # Also the new worker, which has not recorded any call.
        for inside in server.from_each("/models/stats", 4).values():
            # Each worker adds up the workers' sums of money in an order of its own.
            cost = {"cost_usd": pytest.approx(CALLS * 450e-6, rel=1e-12)}
            assert _model(inside.body) == _model(outside) | cost
            assert inside.json["summary"] == json.loads(outside)["summary"] | cost
        told = _model(outside)
        assert (told["model"], told["requests"], told["errors"], told["in_flight"]) == ("m", CALLS, FAILED, 0)
        assert told["by_status"] == {"error": FAILED, "success": CALLS - FAILED}
        assert told["tokens"] == {"prompt": 100 * CALLS, "completion": 10 * CALLS, "total": 110 * CALLS}
        assert told["cost_usd"] == pytest.approx(CALLS * 450e-6)
        for exposition in (server.get("/metrics").body, _fetch(own, "/metrics")):
            _expected(exposition)


def _gone(server: Served, victim: int) -> bool:
    try:
        return victim not in server.from_each("/who", 4)
    except OSError:  # its connections break
        return False


def _answers(port: int) -> bool:
    try:
        return bool(_fetch(port, "/models/stats"))
    except OSError:
        return False
