"""KIND alertmanager: six channels of Slack, by severity and by what a rule is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ferrometer.alerts.rule import Group, Rule
from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File
from ferrometer.generate.yaml_text import to_text

#: The file that holds the webhook's address: it is a secret, and stands in no configuration.
WEBHOOK_FILE = "/run/secrets/slack_webhook_url"

#: What a rule is about, by the metrics of its expression; the first that fits.
_TOPICS = (
    ("gpu", re.compile(r"\b\w*gpu_")),
    ("drift", re.compile(r"\bdrift_")),
    ("budget", re.compile(r"\b\w*budget_")),
    (
        "infra",
        re.compile(
            r"\bup\b|\b(?:cgroup|filesystem|node|process|postgres|pg|pgbouncer|redis|db_pool|disk|network|kube)_"
            r"|\bferrometer_(?:health_check|collector|delivery|worker)"
        ),
    ),
)
CHANNELS = ("alerts", "critical", *(name for name, _ in _TOPICS))

#: An alert that says less than another one of the same thing.
_IMPLIED = (
    ("HighDriftScore", "DriftDetected", "model"),
    ("BudgetExceeded", "BudgetWarning", "session_id"),
    ("ServiceDown", "HighErrorRate", "job"),
)


def topic(rule: Rule) -> str | None:
    """What an alert is about: its label ``topic``, or what its expression asks for."""
    named = rule.labels.get("topic")
    if named in CHANNELS:
        return named
    return next((name for name, metrics in _TOPICS if metrics.search(rule.expr)), None)


def files(deployment: Deployment) -> Iterator[File]:
    """``alertmanager.yml``."""
    yield File(
        "alertmanager.yml",
        "alertmanager",
        to_text(configuration(deployment)),
        (
            f"Put the address of Slack's webhook into the file that Alertmanager sees as {WEBHOOK_FILE}.",
            "A critical alert goes to its own channel and to that of its topic. What a rule is about is told"
            " by its label topic (gpu, drift, budget, infra), else by the metrics that it asks for.",
        ),
    )


def configuration(deployment: Deployment) -> dict[str, Any]:
    """The whole of it."""
    rules = [rule for group in deployment.groups for rule in group.rules if rule.alert]
    return {
        "global": {"resolve_timeout": "5m", "slack_api_url_file": WEBHOOK_FILE},
        "route": {
            "receiver": "alerts",
            "group_by": ["alertname", "job"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": list(_routes(rules)),
        },
        "inhibit_rules": list(_inhibitions(deployment.groups)),
        "receivers": [_receiver(name, f"#{deployment.channel}-{name}") for name in CHANNELS],
    }


def _routes(rules: Iterable[Rule]) -> Iterator[dict[str, Any]]:
    yield {
        "receiver": "critical",
        "matchers": ['severity="critical"'],
        "group_wait": "10s",
        "repeat_interval": "1h",
        "continue": True,
    }
    for name, _ in _TOPICS:
        yield {"receiver": name, "matchers": [f'topic="{name}"']}
        if alerts := sorted({rule.alert for rule in rules if topic(rule) == name}):
            yield {"receiver": name, "matchers": [f'alertname=~"{"|".join(alerts)}"']}


def _inhibitions(groups: Iterable[Group]) -> Iterator[dict[str, Any]]:
    known = {rule.alert for group in groups for rule in group.rules}
    yield {
        "source_matchers": ['severity="critical"'],
        "target_matchers": ['severity=~"warning|info"'],
        "equal": ["alertname", "job", "instance"],
    }
    for source, target, label in _IMPLIED:
        if {source, target} <= known:
            yield {
                "source_matchers": [f'alertname="{source}"'],
                "target_matchers": [f'alertname="{target}"'],
                "equal": [label],
            }


_TITLE = "{{ .Status | toUpper }} {{ .Alerts | len }}: {{ .CommonLabels.alertname }}"
_TEXT = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    "{{ if .Annotations.runbook_url }}<{{ .Annotations.runbook_url }}|Runbook>\n{{ end }}{{ end }}"
)


def _receiver(name: str, channel: str) -> dict[str, Any]:
    call = "<!channel> " if name == "critical" else ""
    slack = {"channel": channel, "send_resolved": True, "title": _TITLE, "text": f"{call}{_TEXT}"}
    return {"name": name, "slack_configs": [slack]}
