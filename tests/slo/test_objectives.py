"""Objectives fire when the budget burns, here and by promtool, and refuse what nobody could watch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

import ferrometer
from ferrometer.alerts import to_yaml
from ferrometer.slo import Objective, Objectives
from tests.alerts.promtools import promtools, verdict
from tests.alerts.test_feature import until
from tests.alerts.test_promtool import ours

GOOD, BAD = (
    'http_requests_total{endpoint="/a",status="200"}',
    'http_requests_total{endpoint="/a",status="500"}',
)
#: The windows that fire after 90 minutes of such traffic, from nothing.
BOTH_PAGES = [("1h", "5m"), ("6h", "30m")]
ALL = [*BOTH_PAGES, ("1d", "2h"), ("3d", "6h")]


def durations(within: int, of: int) -> dict[str, str]:
    family = "http_request_duration_seconds"
    return {
        f'{family}_count{{endpoint="/a"}}': f"0+{of}x120",
        f'{family}_bucket{{endpoint="/a",le="0.5"}}': f"0+{within}x120",
        f'{family}_bucket{{endpoint="/a",le="+Inf"}}': f"0+{of}x120",
    }


@pytest.mark.parametrize(
    ("objective", "series", "fires"),
    [
        (Objective.availability(99.9), {GOOD: "0+80x120", BAD: "0+20x120"}, ALL),
        (Objective.availability(99.9), {GOOD: "0+10000x120", BAD: "0+5x120"}, []),
        (Objective.availability(99.9), {GOOD: "0+100x120"}, []),
        # One failure of three events: not enough to wake anybody.
        (Objective.availability(99.9), {GOOD: "0x30 1x30 2x60", BAD: "0x87 1x40"}, []),
        (Objective.availability(99.9, least=0), {GOOD: "0x30 1x30 2x60", BAD: "0x87 1x40"}, ALL),
        (Objective.availability(99.9, match='endpoint="/b"'), {GOOD: "0+80x120", BAD: "0+20x120"}, []),
        (Objective.latency(99, 0.5), durations(50, 100), ALL),
        (Objective.latency(99, 0.5), durations(999, 1000), []),
        # Not fast enough for a page: three times the budget.
        (Objective.latency(99, 0.5), durations(96, 100), ALL[2:]),
        (
            Objective(
                name="jobs",
                target=98,
                total="sum(rate(jobs_total[{{window}}]))",
                errors='sum(rate(jobs_total{status="failed"}[{{window}}]))',
                days=28,
            ),
            {'jobs_total{status="failed"}': "0+50x120", 'jobs_total{status="completed"}': "0+50x120"},
            ALL,
        ),
    ],
)
def test_alerts_fire_when_the_budget_burns(
    objective: Objective, series: dict[str, str], fires: list[tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(to_yaml(objective.groups("shop", "https://runbooks.example/")))
    firing = 'count by (long, short) (ALERTS{alertname="ErrorBudgetBurn",alertstate="firing"})'
    expected = [{"labels": f'{{long="{long}", short="{short}"}}', "value": 1} for long, short in fires]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": "91m", "exp_samples": expected}],
    }
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(json.dumps(tests))
    status, words = ours(tmp_path, "test.yml")
    assert status == 0, words
    for promtool in promtools():
        for action, file in (("check", "rules.yml"), ("test", "test.yml")):
            status, words = verdict(promtool, action, "rules", file, folder=tmp_path)
            assert status == 0, words


@pytest.mark.parametrize(
    ("target", "days", "words"),
    [
        (100, 30, "a percentage between 0 and 100, not 100"),
        (0, 30, "not 0"),
        (float("nan"), 30, "not nan"),
        (93, 30, "could never fire; choose more than 93.06 %"),
        (99, 7, "days must be from 28 to 35, not 7"),
    ],
)
def test_an_impossible_target_is_refused(target: float, days: int, words: str) -> None:
    with pytest.raises(ValueError, match="objective 'availability': .*" + words):
        Objective.availability(target, days=days)


def test_what_is_refused_at_the_start() -> None:
    registry = ferrometer.CollectorRegistry()
    for objectives, words in (
        (
            Objectives(latency=99, latency_seconds=0.3),
            r"'latency': .* bound .* not 0\.3: choose 0\.25 or 0\.5,",
        ),
        (
            Objectives(Objective.latency(95, 2, name="chat")),
            r"'chat': .* bound .* not 2: choose 1 or 2\.5,",
        ),
        (Objectives(Objective.latency(95, 999, name="slow")), r"'slow': .* not 999: choose 10, the nearest"),
    ):
        with pytest.raises(ValueError, match=words):
            ferrometer.instrument(Starlette(), objectives, registry=registry)
    with pytest.raises(ValueError, match="two objectives called 'availability'"):
        ferrometer.instrument(
            Starlette(), Objectives(Objective.availability(99), availability=99.9), registry=registry
        )
    with pytest.raises(ValueError, match=r"total needs \{\{window"):
        Objective(name="a", target=99, total="sum(rate(x[5m]))", errors="y")
    with pytest.raises(ValueError, match="expr"):
        ferrometer.instrument(
            Starlette(),
            Objectives(Objective(name="a", target=99, total="((x[{{window}}]", errors="y[{{window}}]")),
            registry=registry,
        )


@pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")
def test_the_budget_is_recorded() -> None:
    def answer(request: Request) -> Response:
        return Response(status_code=int(request.path_params["status"]))

    app, registry = Starlette(routes=[Route("/{status}", answer)]), ferrometer.CollectorRegistry()
    ferrometer.instrument(
        app,
        Objectives(availability=99.0, least_requests=5),
        ferrometer.Alerts(interval=0.5),
        registry=registry,
        namespace="shop",
    )
    with TestClient(app) as client:

        def value(expression: str) -> list[dict[str, Any]]:
            for status in (200, 200, 200, 500):
                client.get(f"/{status}")
            found: list[dict[str, Any]] = client.get("/api/v1/query", params={"query": expression}).json()[
                "data"
            ]["result"]
            return found

        ratio = until(lambda: value('slo:sli_error:ratio_rate5m{sloth_slo="availability"} > 0'))[0]
        assert ratio["metric"]["sloth_id"] == "shop-availability"
        assert float(ratio["value"][1]) == pytest.approx(0.25, abs=0.1)
        assert value("slo:error_budget:ratio")[0]["value"][1] == "0.01"
        until(lambda: value("slo:current_burn_rate:ratio > 10"))
        firing = until(lambda: value('ALERTS{alertname="ErrorBudgetBurn",alertstate="firing"}'))
        assert firing[0]["metric"]["severity"] == "critical"


def test_the_rules_of_the_configuration_are_printed(tmp_path: Path) -> None:
    def printed() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ferrometer", "rules", "print", "slo"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    (tmp_path / "ferrometer.toml").write_text("[slo]\n")
    assert "[slo] names no objective" in printed().stderr
    (tmp_path / "ferrometer.toml").write_text(
        '[metrics]\nnamespace = "shop"\n[slo]\navailability = 99.9\nlatency = 99\n'
    )
    (tmp_path / "rules.yml").write_text(printed().stdout)
    assert "shop-latency" in (tmp_path / "rules.yml").read_text()
    command = [sys.executable, "-m", "ferrometer", "generate", "rules", "--namespace", "shop"]
    subprocess.run([*command, "--out", str(tmp_path / "out")], check=True, cwd=tmp_path)
    generated = tmp_path / "out" / "rules" / "slo-alerts-shop-availability.yml"
    assert "slo-alerts-shop-availability" in generated.read_text()
    for promtool in promtools():
        for file in (tmp_path / "rules.yml", generated):
            status, words = verdict(promtool, "check", "rules", file, folder=tmp_path)
            assert status == 0, words
    (tmp_path / "ferrometer.toml").write_text("[slo]\navailability = 90\n")
    assert "could never fire" in printed().stderr
