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
from ferrometer.instruments.models_stats import models_stats
from ferrometer.metrics.registry import REGISTRY

if sys.argv[1].endswith("shared"):
    ferrometer.share(directory)
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

for n in range(100_000):  # all families are full
    once(n)
before = resident()
for n in range(100_000, 1_000_000):
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
stats = models_stats(REGISTRY)
print(json.dumps([grown, sums, series, stats["summary"], len(stats["models"])]))
"""


@pytest.mark.parametrize("where", ["private", "shared"])
def test_a_million_names(where: str, tmp_path: Path) -> None:
    grown, sums, series, summary, models = json.loads(run(MILLION, tmp_path / where))
    assert grown < 16 << 20, "memory grows with the number of names"
    assert sums["inference_requests_total"] == 1_100_000
    assert sums["inference_tokens_total"] == 1_100_000
    assert sums["inference_duration_seconds_count"] == 1_100_000
    assert sums["gen_ai_client_operation_duration_seconds_count"] == 100_000
    assert sums["cost_by_tenant"] == sums["cost_by_model"] == sums["cost_by_provider"] == 50_000
    assert sums["ferrometer_cost_unknown_total"] == 100_000
    for family in (
        "inference_requests_total",
        "inference_duration_seconds_count",
        "memory_items_total",
        "memory_budget_used_bytes",
        "cost_by_tenant",
        "gen_ai_client_operation_duration_seconds_count",
    ):
        assert series[family] == 10_001, family
    assert sums["ferrometer_series_overflow_total"] > 1_000_000
    assert summary["requests"] == 1_100_000
    assert models <= 2 * 10_001, "those with requests, and those with a cost"
