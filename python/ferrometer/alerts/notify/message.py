"""What a notification says: the data of templates, and the webhook's body, version 4."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cmp_to_key
from typing import Any

from ferrometer.alerts.api import moment
from ferrometer.alerts.notify.dispatch import Entry, Labels, Notification
from ferrometer.alerts.template import Template, TemplateError


def fingerprint(labels: Labels) -> str:
    """Alertmanager's: FNV-1a of 64 bits over the sorted labels."""
    number = 0xCBF29CE484222325
    for name, value in labels:
        for byte in (*name.encode(), 255, *value.encode(), 255):
            number = ((number ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{number:016x}"


class Alerts(list[Mapping[str, Any]]):
    """A template's ``.Alerts``: all of them, ``.Alerts.Firing`` and ``.Alerts.Resolved``."""

    def get(self, name: str, default: Any = "") -> Any:
        """The part of a name."""
        if name not in ("Firing", "Resolved"):
            return default
        return Alerts(one for one in self if one["Status"] == name.lower())


def data(told: Notification, external: str = "") -> dict[str, Any]:
    """What templates see, with Alertmanager's names."""
    entries = [*((one, "firing") for one in told.firing), *((one, "resolved") for one in told.resolved)]
    entries.sort(key=lambda pair: _order(pair[0].labels))
    return {
        "Receiver": told.receiver,
        "Status": "firing" if told.firing else "resolved",
        "Alerts": Alerts(_alert(entry, status) for entry, status in entries),
        "GroupLabels": dict(told.group_labels),
        "CommonLabels": _common([dict(entry.labels) for entry, _ in entries]),
        "CommonAnnotations": _common([dict(entry.annotations) for entry, _ in entries]),
        "ExternalURL": external,
    }


@cmp_to_key
def _order(one: Labels, other: Labels) -> int:
    """Alertmanager's order: by job, by instance, fewer labels first, a label that is missing first."""
    mine, theirs = dict(one), dict(other)
    for name in ("job", "instance"):
        pair = [(name not in labels, labels.get(name, "")) for labels in (mine, theirs)]
        if pair[0] != pair[1]:
            return -1 if pair[0] < pair[1] else 1
    if len(mine) != len(theirs):
        return len(mine) - len(theirs)
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            return -1 if name not in mine or (name in theirs and mine[name] < theirs[name]) else 1
    return 0


def _alert(entry: Entry, status: str) -> dict[str, Any]:
    return {
        "Status": status,
        "Labels": dict(entry.labels),
        "Annotations": dict(entry.annotations),
        "StartsAt": moment(entry.starts_at),
        "EndsAt": moment(entry.ends_at),
        "GeneratorURL": "",
        "Fingerprint": fingerprint(entry.labels),
    }


def _common(mappings: list[dict[str, str]]) -> dict[str, str]:
    first, *others = mappings or [{}]
    return {
        key: value for key, value in sorted(first.items()) if all(one.get(key) == value for one in others)
    }


def webhook(told: Notification, external: str = "", most: int = 0) -> bytes:
    """The body of a webhook: JSON, version 4, with a line's end."""
    tree = data(told, external)
    alerts = tree["Alerts"]
    shown = alerts[:most] if most else alerts
    body = {
        "receiver": tree["Receiver"],
        "status": tree["Status"],
        "alerts": [{key[0].lower() + key[1:]: value for key, value in one.items()} for one in shown],
        "groupLabels": tree["GroupLabels"],
        "commonLabels": tree["CommonLabels"],
        "commonAnnotations": tree["CommonAnnotations"],
        "externalURL": external,
        "version": "4",
        "groupKey": told.group_key,
        "truncatedAlerts": len(alerts) - len(shown),
    }

    return json.dumps(body, ensure_ascii=False).encode() + b"\n"


def expanded(text: str | Template, told: Notification, external: str = "") -> str:
    """A text of the configuration with its templates; one that fails says so, and the message goes out."""
    template = text if isinstance(text, Template) else Template(text)
    try:
        return template.expand({}, 0.0, None, **data(told, external))
    except TemplateError as error:
        return f"<error expanding template: {error}>"


def title(told: Notification) -> str:
    """``[FIRING:2] HighErrorRate gateway``."""
    tree = data(told)
    words = " ".join(tree["GroupLabels"].values()) or tree["CommonLabels"].get("alertname", "alerts")
    count = f":{len(told.firing)}" if told.firing else ""
    return f"[{tree['Status'].upper()}{count}] {words}"


def text(told: Notification, most: int = 20) -> str:
    """A line for each alert, with its runbook."""
    lines = []
    entries = [*((one, "") for one in told.firing), *((one, "over: ") for one in told.resolved)]
    for entry, before in entries[:most]:
        words, labels = entry.annotations, dict(entry.labels)
        name = labels.get("alertname", "")
        said = (
            words.get("summary")
            or words.get("description")
            or ", ".join(f"{key}={value}" for key, value in labels.items() if key != "alertname")
        )
        link = f" {words['runbook_url']}" if "runbook_url" in words else ""
        lines.append(f"{before}{name}: {said}{link}")
    if len(entries) > most:
        lines.append(f"and {len(entries) - most} more")
    return "\n".join(lines)
