"""Each ready-made rule fires where it should and nowhere else: on our engine and by promtool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrometer.alerts.packs import PACKS, USUAL, pack
from tests.alerts.pack_cases import CASES, Case
from tests.alerts.promtools import promtools, verdict
from tests.alerts.test_promtool import ours

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"


@pytest.mark.parametrize("name", PACKS)
def test_every_rule_has_a_test_and_a_runbook(name: str) -> None:
    group = pack(name, "https://runbooks.example/")
    alerts = [rule.alert for rule in group.rules if rule.alert]
    assert alerts == list(CASES[name])
    headings = re.findall(r"^## (\w+)$", (RUNBOOKS / f"{name}.md").read_text(), re.MULTILINE)
    assert headings == alerts
    for rule in (each for each in group.rules if each.alert):
        page = f"https://runbooks.example/{name}.html#{rule.alert.lower()}"
        assert rule.annotations["runbook_url"] == page


def test_packs_that_are_usual_say_nothing_twice() -> None:
    alerts = [rule.alert for name in USUAL for rule in pack(name).rules]
    assert len(set(alerts)) == len(alerts)
    with pytest.raises(ValueError, match="there is no pack 'other'; there are capacity, ferrometer, gateway"):
        pack("other")


def _tests(alert: str, case: Case) -> Iterator[dict[str, Any]]:
    by = case.labels or {"alertname": alert}
    labels = "{" + ",".join(f'{name}="{value}"' for name, value in by.items()) + "}"
    for series, count in ((case.fires, 1), (case.silent, 0)):
        yield {
            "name": f"{alert} {'fires' if count else 'is silent'}",
            "interval": case.interval,
            "input_series": [{"series": each, "values": values} for each, values in series.items()],
            # Labels and not words: the templates have tests of their own.
            "promql_expr_test": [
                {
                    "expr": f'count by ({", ".join(by)}) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": case.at,
                    "exp_samples": [{"labels": labels, "value": 1}] * count,
                },
                {
                    # Nothing else fires, whatever the service lacks.
                    "expr": f'count(ALERTS{{alertstate="firing",alertname!~"{alert}|{case.also}"}})',
                    "eval_time": case.at,
                },
            ],
        }


@pytest.mark.parametrize("name", PACKS)
def test_each_fires_and_does_not(name: str, tmp_path: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "ferrometer", "rules", "print", name],
        capture_output=True,
        text=True,
        check=True,
    )
    # Days are told in fewer steps than an application takes.
    (tmp_path / "rules.yml").write_text(printed.stdout.replace("interval: 5m", "interval: 30m"))
    tests = [test for alert, case in CASES[name].items() for test in _tests(alert, case)]
    text = json.dumps(
        {
            "rule_files": ["rules.yml"],
            "evaluation_interval": "30m" if name == "capacity" else "1m",
            "tests": tests,
        }
    )
    (tmp_path / "test.yml").write_text(text)
    status, words = ours(tmp_path, "test.yml")
    assert status == 0, words
    for promtool in promtools():
        for action, file in (("check", "rules.yml"), ("test", "test.yml")):
            status, words = verdict(promtool, action, "rules", file, folder=tmp_path)
            assert status == 0, words
