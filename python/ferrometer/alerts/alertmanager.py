"""Alerts for a real Alertmanager: posted when they fire and end, and each minute as long as they last."""

from __future__ import annotations

import base64
import json
import logging
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

from ferrometer._runtime.http_client import post
from ferrometer.alerts import api
from ferrometer.alerts.evaluate import RESOLVED_FOR, Alert, GroupState

_log = logging.getLogger("ferrometer")

#: Seconds between two posts of an alert that goes on firing: one that restarts has forgotten it.
RESEND = 60.0
#: Seconds for which an alert counts as firing after its last post.
LASTS = 4 * RESEND
#: Seconds of one POST.
TIMEOUT = 10.0
#: Alerts that may wait, and alerts of one POST.
QUEUE, BATCH = 20_000, 500


class Alertmanager:
    """One Alertmanager by its URL, such as ``http://user:password@alertmanager:9093``.

    Raises ValueError for a URL that is none.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            # The URL itself may hold a password.
            raise ValueError("[alerts] alertmanagers: a URL is like http://alertmanager:9093")
        host = parts.netloc.rpartition("@")[2]
        self.host = host
        self._url = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/api/v2/alerts"
        self._headers = {"Content-Type": "application/json"}
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()

    def send(self, items: Sequence[Any]) -> None:
        """Posts alerts, each as it is known last. Raises LaterError and RefusedError."""
        latest: dict[str, dict[str, Any]] = {}
        for told in items:
            latest[json.dumps(told["labels"], sort_keys=True)] = told
        now = time.time()
        # What waited for an Alertmanager that was away has been told anew since.
        fresh = [told for told in latest.values() if not told["lasts"] or told["until"] > now]
        if fresh:
            body = json.dumps([_body(told) for told in fresh]).encode()
            post(self._url, body, self._headers, TIMEOUT)


def due(groups: Iterable[GroupState], now: float) -> list[dict[str, Any]]:
    """The alerts that are to be told at ``now``; they count as told."""
    found = []
    for state in (rule for group in groups for rule in group.rules):
        for alert in state.active.values():
            if _is_due(alert, now):
                alert.sent_at = now
                lasts = alert.state == "firing"
                until = now + LASTS if lasts else alert.resolved_at
                found.append(
                    {
                        "labels": dict(alert.labels),
                        # Those of the last time that it fired, also once it is over.
                        "annotations": dict(alert.annotations),
                        "since": alert.fired_at,
                        "until": until,
                        "lasts": lasts,
                    }
                )
    return found


def _is_due(alert: Alert, now: float) -> bool:
    if alert.state == "pending":
        return False
    if alert.state == "inactive" and (alert.sent_at == 0.0 or now - alert.resolved_at > RESOLVED_FOR):
        return False
    return alert.resolved_at > alert.sent_at or not 0 <= now - alert.sent_at < RESEND


def _body(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "labels": told["labels"],
        "annotations": told["annotations"],
        "startsAt": api.moment(told["since"]),
        "endsAt": api.moment(max(told["until"], told["since"] + 0.001)),
    }


class Announcer:
    """Says in the log which alerts begin and end, once each."""

    def __init__(self) -> None:
        self._firing: set[tuple[tuple[str, str], ...]] = set()

    def tell(self, groups: Iterable[GroupState]) -> None:
        """Compares with the last time."""
        firing = {
            alert.labels: alert
            for group in groups
            for rule in group.rules
            for alert in rule.active.values()
            if alert.state == "firing"
        }
        for labels in firing.keys() - self._firing:
            words = firing[labels].annotations
            summary = words.get("summary") or words.get("description") or ""
            _log.warning("alert fires: %s%s", _shown(labels), f": {summary}" if summary else "")
        for labels in self._firing - firing.keys():
            _log.warning("alert is over: %s", _shown(labels))
        self._firing = set(firing)

    def go_on(self, groups: Iterable[GroupState]) -> None:
        """What fires now has been said by another process."""
        self._firing = {
            alert.labels
            for group in groups
            for rule in group.rules
            for alert in rule.active.values()
            if alert.state == "firing"
        }


def _shown(labels: tuple[tuple[str, str], ...]) -> str:
    rest = ", ".join(f"{name}={value}" for name, value in labels if name != "alertname")
    return dict(labels).get("alertname", "") + (f" ({rest})" if rest else "")
