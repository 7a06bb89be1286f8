"""Time intervals, as in Alertmanager: when a route is silent, or the only times when it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """All of these must hold; an empty one always does."""

    times: Ranges
    weekdays: Ranges
    days_of_month: Ranges
    months: Ranges
    years: Ranges
    zone: tzinfo

    def contains(self, seconds: float) -> bool:
        """Whether this moment lies in it."""
        at = datetime.fromtimestamp(seconds, self.zone)
        minute = at.hour * 60 + at.minute
        return (
            any(start <= minute < end for start, end in self.times or ((0, 1440),))
            and _within((at.weekday() + 1) % 7, self.weekdays)
            and (not self.days_of_month or any(_is_day(at, *one) for one in self.days_of_month))
            and _within(at.month, self.months)
            and _within(at.year, self.years)
        )


def _within(value: int, ranges: Ranges) -> bool:
    return not ranges or any(start <= value <= end for start, end in ranges)


def _is_day(at: datetime, start: int, end: int) -> bool:
    """Days below 0 count from the end of the month."""
    following = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=at.tzinfo)
    length = (following - datetime(at.year, at.month, 1, tzinfo=at.tzinfo)).days
    first, last = (day if day > 0 else length + 1 + day for day in (start, end))
    return max(1, first) <= at.day <= min(length, last)


def read(node: Mapping[str, Any]) -> Interval:
    """One of a configuration. Raises ValueError for what is none."""
    known = {"times", "weekdays", "days_of_month", "months", "years", "location"}
    if unknown := set(node) - known:
        raise ValueError(
            f"a time interval has no key {min(unknown)!r}; its keys are {', '.join(sorted(known))}"
        )
    try:
        zone: tzinfo = ZoneInfo(node["location"]) if "location" in node else UTC
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"there is no time zone {node['location']!r}") from None
    return Interval(
        times=tuple(
            (_minute(one["start_time"]), _minute(one["end_time"])) for one in node.get("times") or ()
        ),
        weekdays=_ranges(node.get("weekdays") or (), _DAYS, 0, 0, 6),
        days_of_month=_ranges(node.get("days_of_month") or (), (), 0, -31, 31),
        months=_ranges(node.get("months") or (), _MONTHS, 1, 1, 12),
        years=_ranges(node.get("years") or (), (), 0, 1, 9999),
        zone=zone,
    )


def _minute(text: str) -> int:
    if _CLOCK.fullmatch(text) is None:
        raise ValueError(f"no time of a day: {text!r}; write 09:00")
    return int(text[:2]) * 60 + int(text[3:])


def _ranges(texts: Sequence[str], words: Sequence[str], first: int, least: int, most: int) -> Ranges:
    made = []
    for text in texts:
        ends = [
            words.index(end.lower()) + first if end.lower() in words else _whole(end)
            for end in text.split(":")
        ]
        start, end = (ends * 2)[:2]
        is_right = all(least <= one <= most and (one or least == 0) for one in ends)
        if len(ends) > 2 or not is_right:
            raise ValueError(f"no range: {text!r}")
        if start > end and (start > 0) == (end > 0):
            raise ValueError(f"the range {text!r} ends before it begins")
        made.append((start, end))
    return tuple(made)


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,4}", text):
        raise ValueError(f"no day, month or year: {text!r}")
    return int(text)
