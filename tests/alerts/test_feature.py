"""Rules in an application: evaluated by one worker, told by the API, going on after a death and a restart."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import ferrometer
from ferrometer.alerts import Alerts, Group, Rule
from tests.real.uvicorn import uvicorn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")


def until(found: Callable[[], Any], what: str = "") -> Any:
    deadline = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < deadline, what or "it did not happen"
        time.sleep(0.1)
    return value


def test_an_alert_waits_fires_and_ends() -> None:
    app, registry = Starlette(), ferrometer.CollectorRegistry()
    depth = ferrometer.Gauge("depth", "", ["queue"], registry=registry)
    rules = [
        Rule(record="queue:depth:double", expr="2 * depth"),
        Rule(
            alert="Deep",
            expr="queue:depth:double > 10",
            wait="1s",
            labels={"severity": "page"},
            annotations={"summary": "{{ $labels.queue }} holds {{ $value | humanize }}"},
        ),
    ]
    ferrometer.instrument(app, Alerts(rules=rules, interval=0.5), registry=registry)
    depth.labels("jobs").set(6)
    depth.labels("mail").set(1)
    with TestClient(app) as client:

        def alerts() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = client.get("/api/v1/alerts").json()["data"]["alerts"]
            return found

        def value(expression: str) -> list[dict[str, Any]]:
            answer = client.get("/api/v1/query", params={"query": expression}).json()
            found: list[dict[str, Any]] = answer["data"]["result"]
            return found

        fired = until(lambda: [alert for alert in alerts() if alert["state"] == "firing"])
        assert len(fired) == 1
        assert fired[0]["labels"] == {"alertname": "Deep", "queue": "jobs", "severity": "page"}
        assert fired[0]["annotations"] == {"summary": "jobs holds 12"}
        assert fired[0]["value"] == "1.2e+01"
        until(lambda: value('ALERTS{alertstate="firing",alertname="Deep",queue="jobs",severity="page"}'))
        assert float(value("ALERTS_FOR_STATE")[0]["value"][1]) == pytest.approx(time.time(), abs=60)
        assert {one["metric"]["queue"] for one in value("queue:depth:double")} == {"jobs", "mail"}
        groups = client.get("/api/v1/rules").json()["data"]["groups"]
        assert [rule["type"] for rule in groups[0]["rules"]] == ["recording", "alerting"]
        assert groups[0]["rules"][1]["state"] == "firing"
        assert groups[0]["rules"][1]["health"] == "ok"
        text = client.get("/metrics").text
        assert 'ferrometer_rule_evaluations_total{group="python"}' in text
        assert "ALERTS" not in text, "of the history, and not of the registry"
        depth.labels("jobs").set(0)
        until(lambda: alerts() == [])
        until(lambda: value('ALERTS{alertstate="firing"}') == [], "the series ends")


def test_faults_are_told_and_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rules.yml").write_text(
        "groups:\n- name: bad\n  rules: [{alert: A, expr: 'up =='}]\n"
        "- name: good\n  rules: [{alert: Down, expr: 'up == 0'}, {alert: Same, expr: 'vector(1)'},"
        ' {alert: Two, expr: \'label_replace(vector(1), "a", "b", "", "") or vector(1)\', labels: {a: c}}]\n'
    )
    app, registry = Starlette(), ferrometer.CollectorRegistry()
    with caplog.at_level(logging.WARNING, "ferrometer"):
        ferrometer.instrument(app, Alerts(rules=[tmp_path / "*.yml"], interval=0.5), registry=registry)
    assert "rules.yml:3: rule 'A': expr:" in caplog.text
    assert "rule Down is skipped. Prometheus only" in caplog.text
    with TestClient(app) as client:
        groups = until(lambda: client.get("/api/v1/rules").json()["data"]["groups"])
        rules = {rule["name"]: rule for rule in groups[0]["rules"]}
        assert rules["Down"]["health"] == "err"
        assert "Prometheus only" in rules["Down"]["lastError"]
        assert rules["Same"]["state"] == "firing"
        assert "same labelset" in rules["Two"]["lastError"]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        ferrometer.instrument(Starlette(), Alerts(rules=["nothing.yml"]), registry=registry)
    with pytest.raises(ValueError, match=r"\[alerts\] interval"):
        ferrometer.instrument(Starlette(), Alerts(interval=0), registry=registry)
    with pytest.raises(ValueError, match="rule 'A': expr"):
        Rule(alert="A", expr="(")
    with pytest.raises(ValueError, match="interval must be more than 0"):
        Group(name="a", rules=(), interval="0s")


WORKERS = """
import ferrometer
from starlette.applications import Starlette

app = Starlette()
ferrometer.instrument(
    app,
    ferrometer.Page(),
    ferrometer.History(directory=DIRECTORY),
    ferrometer.Alerts(
        rules=[ferrometer.alerts.Rule(alert="Always", expr="vector(1) > 0", wait="2s")], interval=0.5
    ),
)
"""


def _alerts(base: str) -> list[dict[str, Any]]:
    try:
        with urllib.request.urlopen(base + "/api/v1/alerts", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["alerts"]
            return found
    except OSError:
        return []


def test_alerts_outlive_their_worker_and_a_restart(tmp_path: Path) -> None:
    history = tmp_path / "kept"
    source = "import ferrometer.alerts\n" + WORKERS.replace("DIRECTORY", repr(str(history)))

    def firing(base: str) -> list[str]:
        return [alert["activeAt"] for alert in _alerts(base) if alert["state"] == "firing"]

    with uvicorn(source, tmp_path, "--workers", "2") as base:
        since = until(lambda: firing(base))
        query = urllib.parse.quote("count(process_start_time_seconds)")
        until(
            lambda: (
                '"2"'
                in urllib.request.urlopen(f"{base}/api/v1/query?query={query}", timeout=30).read().decode()
            )
        )
        for pid in _workers(base):
            # Each of them in turn, so that the one that evaluates is among them.
            os.kill(pid, signal.SIGKILL)
            time.sleep(3)
            assert until(lambda: firing(base)) == since, "the same alert goes on firing"
    with uvicorn(source, tmp_path) as base:
        assert until(lambda: firing(base)) == since, "a restart does not begin anew"


def _workers(base: str) -> list[int]:
    query = urllib.parse.quote("process_start_time_seconds")
    with urllib.request.urlopen(f"{base}/api/v1/query?query={query}", timeout=30) as answer:
        return [int(one["metric"]["pid"]) for one in json.load(answer)["data"]["result"]]
