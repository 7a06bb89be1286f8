"""`ferrometer rules test` gives promtool's verdicts, on tests of ours and on all of Prometheus's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.alerts.promtools import examples, promtools, verdict

RULES = """
groups:
  - name: service
    rules:
      - record: service:errors:ratio
        expr: sum by (service) (rate(errors_total[292s])) / sum by (service) (rate(requests_total[292s]))
        labels: {source: rule}
      - alert: HighErrors
        expr: service:errors:ratio > 0.05
        for: 2m
        keep_firing_for: 3m
        labels: {severity: '{{ if gt $value 0.5 }}page{{ else }}ticket{{ end }}'}
        annotations: {summary: '{{ $labels.service }} fails {{ $value | humanizePercentage }}'}
      - alert: Gone
        expr: absent(requests_total)
  - name: second
    rules:
      - alert: Many
        expr: count(ALERTS{alertstate="firing"}) > 0
"""
TEST = """
rule_files: [rules.yml]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - {series: 'requests_total{service="a"}', values: '0+100x40'}
      - {series: 'errors_total{service="a"}', values: '0+20x12 240x28'}
      - {series: 'requests_total{service="b"}', values: '0+10x10 _x5 stale'}
    alert_rule_test:
      - {eval_time: 2m, alertname: HighErrors, exp_alerts: []}
      - eval_time: EVAL
        alertname: HighErrors
        exp_alerts:
          - exp_labels: {service: a, severity: SEVERITY, source: rule}
            exp_annotations: {summary: 'a fails 20%'}
      - {eval_time: 1m, alertname: Gone}
    promql_expr_test:
      - expr: 'service:errors:ratio{service="a"}'
        eval_time: 2m
        exp_samples: [{labels: 'service:errors:ratio{service="a",source="rule"}', value: RATIO}]
      - expr: 'ALERTS_FOR_STATE{alertname="HighErrors"}'
        eval_time: 3m
        exp_samples:
          - labels: 'ALERTS_FOR_STATE{alertname="HighErrors",service="a",severity="ticket",source="rule"}'
            value: SINCE
      - {expr: 'requests_total{service="b"}', eval_time: 5m}
"""
RIGHT = {"EVAL": "2m30s", "SEVERITY": "ticket", "RATIO": "0.2", "SINCE": "15"}


def ours(folder: Path, *files: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ferrometer", "rules", "test", *files],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"EVAL": "2m"},
        {"SEVERITY": "page"},
        {"RATIO": "0.21"},
        {"SINCE": "30"},
        {"EVAL": "10m"},
        {"EVAL": "2m15s"},
    ],
    ids=str,
)
def test_the_verdict_is_promtools(change: dict[str, str], tmp_path: Path) -> None:
    text = TEST
    for word, value in {**RIGHT, **change}.items():
        text = text.replace(word, value)
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "test.yml").write_text(text)
    status, words = ours(tmp_path, "test.yml")
    # No sample is at the left end of a window: there, Prometheus 2 and 3 disagree.
    for promtool in promtools():
        assert verdict(promtool, "test", "rules", "test.yml", folder=tmp_path)[0] == status, words
    if not change:
        assert status == 0, words


#: It has native histograms, which are refused by name; its other tests are run below.
REFUSED = {"unittest.yml"}


def test_prometheus_own_examples_have_the_same_verdicts() -> None:
    folder = examples()
    newest = promtools()[-1]
    if newest.parent.name != "prometheus3":
        pytest.skip("needs promtool 3: make real-prometheus3")
    compared = 0
    for file in sorted(folder.glob("*.yml")):
        if "tests:" not in file.read_text() or file.name in REFUSED:
            continue
        theirs, words = verdict(newest, "test", "rules", file.name, folder=folder)
        status, said = ours(folder, file.name)
        assert bool(status) == bool(theirs), f"{file.name}\n{words}\n{said}"
        compared += 1
    assert compared >= 8


def test_prometheus_own_example_without_native_histograms(tmp_path: Path) -> None:
    import yaml

    folder = examples()
    tree = yaml.safe_load((folder / "unittest.yml").read_text())
    tree["tests"] = [test for test in tree["tests"] if "{{schema" not in str(test)]
    tree["rule_files"] = [str(folder / name) for name in tree["rule_files"]]
    assert len(tree["tests"]) >= 3
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tree))
    theirs, words = verdict(promtools()[-1], "test", "rules", "test.yml", folder=tmp_path)
    assert theirs == 0, words
    status, said = ours(tmp_path, "test.yml")
    assert status == 0, said
    status, said = ours(folder, "unittest.yml")
    assert (status, "native histograms in input_series are not supported" in said) == (1, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("groups: [", "rules.yml:1: no YAML"),
        ("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up ==", "rules.yml:4: rule 'A': expr:"),
        ("groups:\n- name: a\n  rules:\n  - alert: A\n    exp: up", "rules.yml:5: a rule has no key 'exp'"),
        ("groups:\n- name: a\n  rules:\n  - {alert: A, record: b, expr: up}", "not both"),
        ("groups:\n- name: a\n  rules:\n  - {record: 'a b', expr: up}", "no metric has such a name"),
        ("groups:\n- name: a\n  rules:\n  - {alert: A, expr: up, for: 5x}", "for: not a duration: '5x'"),
        (
            "groups:\n- name: a\n  rules:\n  - {alert: A, expr: up, labels: {'a-b': c}}",
            "no label has the name 'a-b'",
        ),
        (
            "groups:\n- name: a\n  rules:\n  - {alert: A, expr: up, annotations: {x: '{{ nope }}'}}",
            "'nope' not defined",
        ),
        (
            "groups:\n- {name: a, rules: []}\n- {name: a, rules: []}",
            "rules.yml:3: there are two groups called 'a'",
        ),
        ("groups:\n- {name: '', rules: []}", "a group has a name"),
        ("rules: []", "a rule file has one key, groups"),
    ],
)
def test_malformed_files_are_refused_as_promtool_does(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "ferrometer", "rules", "check", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert words in done.stderr
    # Prometheus 3 takes any name; a file that Prometheus 2 reads as well does not use them.
    assert any(verdict(each, "check", "rules", "rules.yml", folder=tmp_path)[0] == 1 for each in promtools())


def test_what_python_prints_promtool_reads(tmp_path: Path) -> None:
    from ferrometer.alerts import Group, Rule, rule_file, to_yaml

    group = Group(
        name="a: b",
        interval="30s",
        labels={"team": "gpu"},
        rules=(
            Rule(record="a:b", expr="sum(x)"),
            Rule(
                alert="Full # really",
                expr='x{a="b"} > 1',
                wait="90m",
                keep_firing_for="1d",
                labels={"severity": "page"},
                annotations={"summary": 'line\n"two" {{ $value }}'},
            ),
        ),
    )
    text = to_yaml([group])
    (tmp_path / "rules.yml").write_text(text)
    for promtool in promtools():
        status, words = verdict(promtool, "check", "rules", "rules.yml", folder=tmp_path)
        assert status == 0, words
    groups, faults = rule_file.parse(text, "rules.yml")
    assert faults == []
    assert groups[0].rules[1].annotations == {"summary": 'line\n"two" {{ $value }}'}
    assert groups[0].rules[1].wait == "1h30m"
    assert groups[0].rules[1].labels == {"team": "gpu", "severity": "page"}
