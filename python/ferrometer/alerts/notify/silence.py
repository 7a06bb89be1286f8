"""Silences: who said for how long that which alerts are not to be told."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ferrometer.alerts.api import moment
from ferrometer.alerts.notify.matcher import Matcher, all_match

#: Seconds for which one that is over is still shown.
KEPT = 5 * 86_400.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match are not told between two moments."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str
    updated_at: float

    def state(self, now: float) -> str:
        """As Alertmanager calls it."""
        return "pending" if now < self.starts_at else "active" if now < self.ends_at else "expired"

    def mutes(self, labels: Mapping[str, str], now: float) -> bool:
        """Whether such an alert is silent now."""
        return self.starts_at <= now < self.ends_at and all_match(self.matchers, labels)

    def told(self, now: float) -> dict[str, Any]:
        """As Alertmanager's API has it."""
        return {
            "id": self.id,
            "status": {"state": self.state(now)},
            "updatedAt": moment(self.updated_at),
            "comment": self.comment,
            "createdBy": self.created_by,
            "startsAt": moment(self.starts_at),
            "endsAt": moment(self.ends_at),
            "matchers": [
                {
                    "name": one.name,
                    "value": one.value,
                    "isRegex": one.sign in ("=~", "!~"),
                    "isEqual": one.sign in ("=", "=~"),
                }
                for one in self.matchers
            ],
        }


def read(told: Mapping[str, Any], now: float) -> Silence:
    """One that was posted or kept. Raises ValueError for what is none."""
    matchers = []
    for one in told.get("matchers") or ():
        sign = (
            ("=~" if one.get("isRegex") else "=")
            if one.get("isEqual", True)
            else ("!~" if one.get("isRegex") else "!=")
        )
        matchers.append(Matcher(str(one["name"]), sign, str(one["value"])))
    if not matchers or all(one.matches({}) for one in matchers):
        raise ValueError("a silence needs a matcher that not every alert has")
    starts, ends = _seconds(told["startsAt"]), _seconds(told["endsAt"])
    if ends <= starts:
        raise ValueError("a silence must end after it starts")
    return Silence(
        str(told.get("id") or uuid.uuid4()),
        tuple(matchers),
        starts,
        ends,
        str(told.get("createdBy") or ""),
        str(told.get("comment") or ""),
        _seconds(told["updatedAt"]) if "updatedAt" in told else now,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()


def kept(silences: Iterable[Silence], now: float) -> list[Silence]:
    """Those that are not over for long."""
    return [one for one in silences if now - one.ends_at < KEPT]


def muting(silences: Sequence[Silence], labels: Mapping[str, str], now: float) -> list[str]:
    """The ids of those that mute such an alert."""
    return [one.id for one in silences if one.mutes(labels, now)]
