"""Templates: promtool expands the same texts to the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ferrometer.alerts.template import Template, TemplateError
from tests.alerts.promtools import promtools, verdict

LABELS = {"__name__": "m", "instance": "gpu-1.example.org:9100", "job": "gateway", "quoted": 'a "b" \\ <c>'}
VALUES = [
    0.0,
    1.0,
    -1.0,
    0.05,
    0.000012345,
    1234567.891,
    123456.0,
    1e18,
    1e-7,
    3.0000001,
    999.9999,
    1024.0,
    86400.5,
]
TEXTS = [
    "plain",
    "{{ $value }}",
    "{{ . }}"[:0] + "{{ .Value }}",
    "{{ $labels.instance }} of {{ .Labels.job }}",
    "[{{ $labels.missing }}]",
    "{{ $value | humanize }}",
    "{{ $value | humanize1024 }}B",
    "{{ $value | humanizeDuration }}",
    "{{ $value | humanizePercentage }}",
    "{{ humanizeTimestamp 1435065584.128 }}",
    '{{ printf "%.2f" $value }}',
    '{{ $value | printf "%.0f|%8.3f|%-8.1f|%e|%g" 1.0 2.0 3.0 4.0 }}',
    '{{ printf "%s %q %v %d %05d" $labels.job $labels.quoted $labels.job 42 42 }}',
    "{{ if gt $value 5.0 }}high{{ else if eq $value 0.0 }}zero{{ else }}low{{ end }}",
    "{{ if and (gt $value 0.0) (lt $value 2.0) }}near one{{ end }}",
    '{{ if or (eq $labels.job "x") (ne $labels.job "gateway") }}a{{ else }}b{{ end }}',
    "{{ if not $labels.missing }}missing{{ end }}",
    "{{- /* a comment */ -}}  trimmed",
    "a {{- $value -}} b",
    '{{ $x := $labels.job }}{{ $x }}{{ $x = "other" }}{{ $x }}',
    "{{ with $labels.job }}{{ . }}{{ end }}{{ with $labels.missing }}no{{ else }}none{{ end }}",
    '{{ toUpper $labels.job }}{{ toLower "ABC" }}{{ title "abc def" }}',
    '{{ reReplaceAll "(.*):([0-9]+)" "$1 port $2" $labels.instance }}',
    '{{ match "^gate" $labels.job }}',
    '{{ len $labels.job }}{{ index $labels "job" }}',
    '{{ query "sort(up)" | first | value }}',
    '{{ query "sort(up)" | first | label "instance" }}',
    '{{ range query "sort(up)" }}{{ .Labels.instance }}={{ .Value }};{{ end }}',
    '{{ range $i, $s := query "sort(up)" }}{{ $i }}:{{ $s.Value }} {{ end }}',
    '{{ with query "absent(nothing)" }}{{ . | first | value | humanizePercentage }}{{ end }}',
    '{{ range sortByLabel "instance" (query "up") }}{{ .Labels.instance }} {{ end }}',
    '{{ print 1 2.5 "a" }}{{ println $labels.job }}',
    "{{ html $labels.quoted }}",
    "{{ stripPort $labels.instance }}",
    "{{ true }}{{ eq 1 1 }}{{ lt 1 2 }}",
]
UP = [
    {"Labels": {"__name__": "up", "instance": name}, "Value": value}
    for name, value in (("a", 1.0), ("b", 2.0))
]
ANSWERS = {
    "up": UP,
    "sort(up)": [{**one, "Labels": one["Labels"]} for one in UP],
    "absent(nothing)": [{"Labels": {}, "Value": 1.0}],
}


@pytest.mark.parametrize("value", VALUES)
def test_promtool_expands_to_the_same(value: float, tmp_path: Path) -> None:
    annotations = {f"a{number}": text for number, text in enumerate(TEXTS)}
    expanded = {
        name: Template(text).expand(LABELS, value, ANSWERS.__getitem__) for name, text in annotations.items()
    }
    own = {name: text for name, text in LABELS.items() if name != "__name__"}
    rule = {"alert": "A", "expr": "m", "annotations": annotations}
    series = "m{" + ",".join(f"{name}={json.dumps(text)}" for name, text in own.items()) + "}"
    test = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series, "values": f"{value!r}x3"},
                    {"series": 'up{instance="a"}', "values": "1x3"},
                    {"series": 'up{instance="b"}', "values": "2x3"},
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "1m",
                        "alertname": "A",
                        "exp_alerts": [{"exp_labels": own, "exp_annotations": expanded}],
                    }
                ],
            }
        ],
    }
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    (tmp_path / "test.yml").write_text(json.dumps(test))
    for promtool in promtools():
        status, words = verdict(promtool, "test", "rules", "test.yml", folder=tmp_path)
        assert status == 0, words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ $value", "no end }}"),
        ("{{ if $value }}", "end }} is missing"),
        ("{{ end }}", "without a beginning"),
        ("{{ nothing 1 }}", "'nothing' not defined"),
        ("{{ $x }}", "undefined variable"),
        ('{{ define "a" }}{{ template "a" }}{{ end }}', "must not call templates"),
        ("{{ ( 1 }}", "not closed"),
        ("{{ 1 | }}", "empty part"),
        ("{{ @ }}", "unexpected"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        Template(text)


def test_what_has_no_meaning_is_told_in_place_of_the_text() -> None:
    for text in (
        '{{ query "up" | first }}',
        "{{ humanize $labels.job }}",
        "{{ len 1 }}",
        "{{ first 1 2 3 }}",
    ):
        with pytest.raises(TemplateError):
            Template(text).expand(LABELS, 1.0, lambda _: [])


def test_no_template_takes_for_ever() -> None:
    nested = "{{ range . }}" * 12 + "x" + "{{ end }}" * 12
    with pytest.raises(TemplateError, match="too long"):
        Template("{{ $r := query `many` }}" + nested.replace("range .", "range $r")).expand(
            {}, 1.0, lambda _: [{}] * 50
        )
