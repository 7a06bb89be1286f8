"""Each ready-made rule fires where it should and nowhere else: on our engine and by promtool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ferrometer.alerts.packs import PACKS, pack
from tests.alerts.promtools import promtools, verdict
from tests.alerts.test_promtool import ours

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"

OK, BAD = 'http_requests_total{endpoint="/a",status="200"}', 'http_requests_total{endpoint="/a",status="500"}'


def durations(slow: int) -> dict[str, str]:
    bucket = "http_request_duration_seconds_bucket"
    return {
        f'{bucket}{{le="0.1"}}': f"0+{100 - slow}x60",
        f'{bucket}{{le="2.5"}}': f"0+{100 - slow}x60",
        f'{bucket}{{le="5"}}': "0+100x60",
        f'{bucket}{{le="+Inf"}}': "0+100x60",
    }


#: For each rule: the labels of its alert, series for which it has fired after 40 minutes, and others.
CASES: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "APIHighErrorRate": ({}, {OK: "0+90x60", BAD: "0+10x60"}, {OK: "0+97x60", BAD: "0+3x60"}),
    "APIHighLatency": ({}, durations(10), durations(1)),
    "HighMemoryUsage": (
        {},
        {'cgroup_memory_used_ratio{pid="1"}': "0.95x60", 'cgroup_memory_used_ratio{pid="2"}': "0.1x60"},
        {"cgroup_memory_used_ratio": "0.5x60"},
    ),
    "HighCPUUsage": (
        {},
        {"cgroup_cpu_used_ratio": "0.97x60"},
        {"cgroup_cpu_used_ratio": "0.97x8 0.2 0.97x8 0.2 0.97x8 0.2 0.97x8 0.2 0.97x8"},
    ),
    "LowDiskSpace": (
        {"mountpoint": "/data"},
        {
            'filesystem_avail_bytes{mountpoint="/data"}': "5x60",
            'filesystem_size_bytes{mountpoint="/data"}': "100x60",
            'filesystem_avail_bytes{mountpoint="/"}': "50x60",
            'filesystem_size_bytes{mountpoint="/"}': "100x60",
        },
        {
            'filesystem_avail_bytes{mountpoint="/"}': "50x60",
            'filesystem_size_bytes{mountpoint="/"}': "100x60",
        },
    ),
    "DatabasePoolExhausted": (
        {"pool": "main"},
        {
            'db_pool_connections{pool="main",state="active"}': "19x60",
            'db_pool_connections{pool="main",state="idle"}': "1x60",
            'db_pool_connections_max{pool="main"}': "20x60",
        },
        # A pool without a limit is never full.
        {'db_pool_connections{pool="main",state="active"}': "1900x60"},
    ),
    "LowCacheHitRate": (
        {"cache_type": "models"},
        {
            'cache_hits_total{cache_type="models"}': "0+6x60",
            'cache_misses_total{cache_type="models"}': "0+4x60",
        },
        {
            'cache_hits_total{cache_type="models"}': "0+9x60",
            'cache_misses_total{cache_type="models"}': "0+1x60",
            # Nobody asks this one.
            'cache_hits_total{cache_type="idle"}': "0x60",
            'cache_misses_total{cache_type="idle"}': "0x60",
        },
    ),
    "JobQueueBackup": (
        {"queue": "jobs"},
        {'redis_queue_length{queue="jobs",server="a"}': "1001x60"},
        {'redis_queue_length{queue="jobs",server="a"}': "900x60"},
    ),
    "GPUHighUtilization": (
        {"gpu_id": "1"},
        {'gpu_utilization_ratio{gpu_id="0"}': "0.5x60", 'gpu_utilization_ratio{gpu_id="1"}': "0.99x60"},
        {'gpu_utilization_ratio{gpu_id="0"}': "0.9x60"},
    ),
    "HealthCheckFailing": (
        {"check": "database"},
        {
            'ferrometer_health_check{check="database"}': "0x60",
            'ferrometer_health_check{check="cache"}': "1x60",
        },
        {'ferrometer_health_check{check="database"}': "1x60"},
    ),
    "CollectorFailing": (
        {"collector": "redis"},
        {'ferrometer_collector_success{collector="redis"}': "0x60"},
        {'ferrometer_collector_success{collector="redis"}': "1x60"},
    ),
    "DeliveryDropping": (
        {"delivery": "loki", "reason": "refused"},
        {'ferrometer_delivery_dropped_items_total{delivery="loki",reason="refused"}': "0+5x60"},
        {'ferrometer_delivery_dropped_items_total{delivery="loki",reason="refused"}': "7x60"},
    ),
}


def test_every_rule_has_a_test_and_a_runbook() -> None:
    for name in PACKS:
        group = pack(name, "https://runbooks.example/")
        alerts = [rule.alert for rule in group.rules]
        assert sorted(alerts) == sorted(CASES)
        headings = re.findall(r"^## (\w+)$", (RUNBOOKS / f"{name}.md").read_text(), re.MULTILINE)
        assert headings == alerts
        for rule in group.rules:
            assert (
                rule.annotations["runbook_url"]
                == f"https://runbooks.example/{name}.html#{rule.alert.lower()}"
            )
    with pytest.raises(ValueError, match="there is no pack 'other'; there are service"):
        pack("other")


def test_each_fires_and_does_not(tmp_path: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "ferrometer", "rules", "print", "service"],
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "rules.yml").write_text(printed.stdout)
    tests: list[dict[str, Any]] = []
    for alert, (labels, firing, silent) in CASES.items():
        for series, count in ((firing, 1), (silent, 0)):
            tests.append(
                {
                    "name": f"{alert} {'fires' if count else 'is silent'}",
                    "interval": "1m",
                    "input_series": [{"series": each, "values": values} for each, values in series.items()],
                    # Labels and not words: the templates have tests of their own.
                    "promql_expr_test": [
                        {
                            "expr": f"count by ({', '.join(labels) or 'alertname'})"
                            f' (ALERTS{{alertname="{alert}",alertstate="firing"}})',
                            "eval_time": "40m",
                            "exp_samples": [
                                {
                                    "labels": "{"
                                    + ",".join(
                                        f'{k}="{v}"' for k, v in (labels or {"alertname": alert}).items()
                                    )
                                    + "}",
                                    "value": 1,
                                }
                            ]
                            * count,
                        },
                        {
                            # Nothing else fires, whatever the service lacks.
                            "expr": 'count(ALERTS{alertstate="firing"})',
                            "eval_time": "40m",
                            "exp_samples": [{"labels": "{}", "value": 1}] * count,
                        },
                    ],
                }
            )
    text = json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests})
    (tmp_path / "test.yml").write_text(text)
    status, words = ours(tmp_path, "test.yml")
    assert status == 0, words
    for promtool in promtools():
        for action, file in (("check", "rules.yml"), ("test", "test.yml")):
            status, words = verdict(promtool, action, "rules", file, folder=tmp_path)
            assert status == 0, words
