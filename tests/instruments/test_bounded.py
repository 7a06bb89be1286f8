"""A million distinct models, users and sessions: memory and series stay bounded, and no event is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workers.test_forks import run

MILLION = """
import json, resource
from ferrometer import Instruments, generate_latest
from ferrometer.instruments import costs, get_metrics_exporter, inference
from ferrometer.instruments.genai import set_conventions
from ferrometer.metrics.registry import REGISTRY

most = 1_000_000
if directory.endswith("shared"):
    ferrometer.share(directory)
    most = 200_000
set_conventions(("native", "gen_ai@1.41"))
metrics = get_metrics_exporter("gateway", ttl=3600)
money = costs({"known": {"input": 1}})

def once(n):
    name = f"m{n}"
    metrics.record_inference(name, "success", 0.25, prompt_tokens=1)
    metrics.update_budget(name, 10, 5)
    metrics.update_memory_items(name, 1)
    if n % 10 == 0:
        with inference(model=name, provider="p", tenant=name) as call:
            call.input_tokens = 1
        money.record(0.5, provider="p", model=name, tenant=name)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

for n in range(100_000):  # the families that every name is told to are full
    once(n)
before = resident()
for n in range(100_000, most):
    once(n)
grown = resident() - before

sums, series = {}, {}
for line in generate_latest().decode().splitlines():
    if line.startswith("#"):
        continue
    name, _, value = line.rpartition(" ")
    family = name.partition("{")[0]
    sums[family] = sums.get(family, 0) + float(value)
    series[family] = series.get(family, 0) + 1
stats = json.loads(ferrometer._core.models_stats(REGISTRY._native, ""))
print(json.dumps([most, grown, sums, series, stats["summary"], len(stats["models"])]))
"""


@pytest.mark.parametrize("where", ["private", "shared"])
def test_a_million_names(where: str, tmp_path: Path) -> None:
    most, grown, sums, series, summary, models = json.loads(run(MILLION, tmp_path / where))
    assert grown < 16 << 20, f"{grown} bytes more for more names"
    assert sums["inference_requests_total"] == most + most // 10
    assert sums["inference_tokens_total"] == most + most // 10
    assert sums["inference_duration_seconds_count"] == most + most // 10
    assert sums["gen_ai_client_operation_duration_seconds_count"] == most / 10
    assert sums["cost_by_tenant"] == sums["cost_by_model"] == sums["cost_by_provider"] == most / 20
    assert sums["ferrometer_cost_unknown_total"] == most / 10
    for family in (
        "inference_requests_total",
        "inference_duration_seconds_count",
        "memory_items_total",
        "memory_budget_used_bytes",
        "cost_by_tenant",
        "gen_ai_client_operation_duration_seconds_count",
    ):
        assert series[family] == 10_001, family
    assert sums["ferrometer_series_overflow_total"] > most
    assert summary["requests"] == most + most // 10
    assert models <= 2 * 10_001, "those with requests, and those with a cost"
