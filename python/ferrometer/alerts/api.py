"""What `/api/v1/rules` and `/api/v1/alerts` tell, in Prometheus's form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ferrometer.alerts.duration import milliseconds
from ferrometer.alerts.evaluate import Alert, GroupState, RuleState

_NEVER = "0001-01-01T00:00:00Z"


def rules(groups: Sequence[GroupState], interval: float) -> dict[str, Any]:
    """The groups with the states of their rules."""
    return {"groups": [_group(group, interval) for group in groups]}


def alerts(
    groups: Iterable[GroupState], silent: Callable[[Alert], tuple[bool, list[str]]] | None = None
) -> dict[str, Any]:
    """The alerts that are pending or fire. Ours: ``silenced`` where nobody is told of one, ``inhibited``, the
    ids in ``silencedBy``, and ``silences`` where they can be set.

    ``silent`` tells whether an alert is inhibited, and the ids of silences that mute it.
    """
    found = []
    for alert in (one for group in groups for rule in group.rules for one in rule.active.values()):
        if alert.state != "inactive":
            told = _alert(alert)
            is_inhibited, ids = (False, []) if silent is None else silent(alert)
            if is_inhibited or ids:
                told |= {"silenced": True, "inhibited": is_inhibited, "silencedBy": ids}
            found.append(told)
    return {"alerts": found} | ({} if silent is None else {"silences": True})


def _group(state: GroupState, interval: float) -> dict[str, Any]:
    group = state.group
    return {
        "name": group.name,
        "file": group.file,
        "rules": [_rule(rule) for rule in state.rules],
        "interval": interval if group.interval is None else milliseconds(group.interval) / 1000,
        "limit": group.limit,
        "evaluationTime": state.seconds,
        "lastEvaluation": moment(state.evaluated_at),
    }


def _rule(state: RuleState) -> dict[str, Any]:
    rule = state.rule
    labels = {**state.labels, **rule.labels}
    told: dict[str, Any] = {"name": rule.name, "query": rule.expr}
    if rule.alert:
        own = _alerts(state)
        firing = "firing" if any(each["state"] == "firing" for each in own) else "pending"
        told |= {
            "state": firing if own else "inactive",
            "duration": milliseconds(rule.wait) / 1000,
            "keepFiringFor": milliseconds(rule.keep_firing_for) / 1000,
            "labels": labels,
            "annotations": dict(rule.annotations),
            "alerts": own,
        }
    elif labels:
        told["labels"] = labels
    told["health"] = "err" if state.error else "ok" if state.evaluated_at else "unknown"
    if state.error:
        told["lastError"] = state.error
    told |= {
        "evaluationTime": state.seconds,
        "lastEvaluation": moment(state.evaluated_at),
        "type": "alerting" if rule.alert else "recording",
    }
    return told


def _alerts(state: RuleState) -> list[dict[str, Any]]:
    return [_alert(alert) for alert in state.active.values() if alert.state != "inactive"]


def _alert(alert: Alert) -> dict[str, Any]:
    told: dict[str, Any] = {
        "labels": dict(alert.labels),
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": moment(alert.active_at),
        "value": exponent(alert.value),
    }
    if alert.keep_firing_since:
        told["keepFiringSince"] = moment(alert.keep_firing_since)
    return told


def moment(seconds: float) -> str:
    """A time as RFC 3339 in UTC; 0 is never."""
    if not seconds:
        return _NEVER
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exponent(value: float) -> str:
    """A number as Prometheus writes those of alerts: 1e+00."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    return next(text for precision in range(17) if float(text := f"{value:.{precision}e}") == value)


def state(groups: Iterable[GroupState], now: float) -> dict[str, Any]:
    """What another process, or the next start, needs to go on."""
    return {
        "at": now,
        "rules": [
            {
                "group": group.group.name,
                "file": group.group.file,
                "alert": rule.rule.alert,
                "expr": rule.rule.expr,
                "active": [
                    {
                        "labels": dict(alert.labels),
                        "annotations": alert.annotations,
                        "value": exponent(alert.value),
                        "state": alert.state,
                        "times": [
                            alert.active_at,
                            alert.fired_at,
                            alert.resolved_at,
                            alert.keep_firing_since,
                            alert.sent_at,
                        ],
                    }
                    for alert in rule.active.values()
                ],
            }
            for group in groups
            for rule in group.rules
            if rule.active
        ],
    }


def restore(groups: Iterable[GroupState], told: Mapping[str, Any], now: float, tolerance: float) -> None:
    """Goes on from there, unless that is longer ago than ``tolerance`` seconds.

    The time in which nobody evaluated does not count for ``for``: a pending alert waits as much longer.
    """
    gap = now - float(told["at"])
    if not 0 <= gap <= tolerance:
        return
    known = {
        (group.group.file, group.group.name, rule.rule.alert, rule.rule.expr): rule
        for group in groups
        for rule in group.rules
    }
    for entry in told["rules"]:
        rule = known.get((entry["file"], entry["group"], entry["alert"], entry["expr"]))
        if rule is None:
            continue
        for one in entry["active"]:
            labels = tuple(sorted(one["labels"].items()))
            active, fired, resolved, keeps, sent = map(float, one["times"])
            alert = Alert(labels, dict(one["annotations"]), float(one["value"].replace("Inf", "inf")), active)
            alert.state, alert.fired_at, alert.resolved_at, alert.keep_firing_since = (
                one["state"],
                fired,
                resolved,
                keeps,
            )
            alert.sent_at = sent
            if alert.state == "pending":
                alert.active_at += gap
            rule.active[labels] = alert
