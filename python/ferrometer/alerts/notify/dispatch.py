"""Who is told what and when. It has no clock, no thread and no socket: moments are handed in.

As Alertmanager does: alerts are grouped, a group waits, tells what has changed, repeats itself. Unlike it:
``repeat_interval`` is kept to the second, an alert that was never told is never told to be over, what is
silenced or inhibited is not over, and an alert that flaps is over only when it stays away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ferrometer.alerts.notify.matcher import all_match, quoted
from ferrometer.alerts.notify.route import Configuration, Inhibition, Route
from ferrometer.alerts.notify.silence import Silence, muting

Labels = tuple[tuple[str, str], ...]

#: Seconds in which beginnings are counted, and how many of them make an alert one that flaps.
FLAP_WINDOW, FLAPS = 3600.0, 3
#: The longest for which the end of one that flaps is held back.
LONGEST_HOLD = 840.0


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert that fires, or is over since ``ends_at``; with the words of when it fired."""

    labels: Labels
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float = 0.0


@dataclass(slots=True)
class _Log:
    """What a receiver was told of a group: which alerts fire, by their beginnings."""

    told: dict[Labels, float] = field(default_factory=dict)
    #: The same once what is on its way has arrived.
    pending: dict[Labels, float] | None = None
    at: float = 0.0

    @property
    def known(self) -> dict[Labels, float]:
        return self.told if self.pending is None else self.pending


@dataclass(slots=True)
class _Group:
    route: Route
    labels: Labels
    due: float
    entries: dict[Labels, Entry] = field(default_factory=dict)
    logs: dict[str, _Log] = field(default_factory=dict)

    @property
    def key(self) -> str:
        words = ", ".join(f"{name}={quoted(value)}" for name, value in self.labels)
        return f"{self.route.key}:{{{words}}}"


@dataclass(frozen=True, slots=True)
class Notification:
    """What one integration of a receiver is to be told of one group."""

    integration: str
    receiver: str
    group_key: str
    group_labels: Labels
    firing: tuple[Entry, ...]
    resolved: tuple[Entry, ...]
    #: For ``Dispatcher.confirm``.
    told: Mapping[Labels, float] = field(default_factory=dict, repr=False, compare=False)


class Dispatcher:
    """``integrations`` are those of each receiver, and whether they are told that an alert is over."""

    def __init__(self, configuration: Configuration, integrations: Mapping[str, Mapping[str, bool]]) -> None:
        self._configuration = configuration
        self._integrations = integrations
        self._groups: dict[str, _Group] = {}
        self._routes: dict[Labels, list[tuple[Route, Labels]]] = {}
        self._begun: dict[Labels, list[float]] = {}
        self._inhibitors: list[_Inhibitors] = []
        #: Whether ``state`` has changed since it was asked for.
        self.is_changed = False

    def take(self, entries: Iterable[Entry], now: float) -> None:
        """All alerts that fire or were over lately, as they are now."""
        seen: dict[Labels, Entry] = {entry.labels: entry for entry in entries}
        self._inhibitors = [_Inhibitors(rule, seen.values()) for rule in self._configuration.inhibitions]
        for group in self._groups.values():
            for labels, entry in group.entries.items():
                if labels not in seen and not entry.ends_at:
                    # Its rule is gone, or nobody evaluates it.
                    group.entries[labels] = Entry(labels, entry.annotations, entry.starts_at, now)
        routes: dict[Labels, list[tuple[Route, Labels]]] = {}
        for labels, entry in seen.items():
            routes[labels] = self._routes.get(labels) or self._routed(labels)
            self._count(entry, now)
            for route, by in routes[labels]:
                self._put(route, by, entry, now)
        self._routes = routes
        self._begun = {
            labels: times for labels, times in self._begun.items() if now - times[-1] < FLAP_WINDOW
        }

    def _routed(self, labels: Labels) -> list[tuple[Route, Labels]]:
        words = dict(labels)
        return [(route, route.group(words)) for route in self._configuration.route.of(words)]

    def _put(self, route: Route, by: Labels, entry: Entry, now: float) -> None:
        fresh = _Group(route, by, 0.0)
        group = self._groups.get(fresh.key)
        if group is None:
            if entry.ends_at:
                return
            # One that has been there for long need not wait for others.
            fresh.due = max(now, min(now, entry.starts_at) + route.group_wait)
            group = self._groups[fresh.key] = fresh
        if entry.ends_at and entry.labels not in group.entries:
            return
        group.entries[entry.labels] = entry

    def _count(self, entry: Entry, now: float) -> None:
        times = self._begun.setdefault(entry.labels, [])
        if entry.starts_at not in times:
            times.append(entry.starts_at)
            del times[:-16]
        while len(times) > 1 and now - times[0] > FLAP_WINDOW:
            times.pop(0)

    def due(self, now: float, silences: Sequence[Silence] = ()) -> list[Notification]:
        """What is to be told now; it counts as being on its way."""
        found: list[Notification] = []
        for key, group in list(self._groups.items()):
            if group.due - now > max(group.route.group_interval, group.route.group_wait):
                group.due = now  # the clock went back
            if group.due > now:
                continue
            group.due = now + group.route.group_interval
            if self._is_muted(group.route, now):
                group.due = min(group.due, now + 60)
                continue
            for integration, tells_end in self._integrations[group.route.receiver].items():
                told = self._told(group, integration, tells_end, now, silences)
                if told is not None:
                    found.append(told)
            self._forget(key, group)
        return found

    def _told(
        self, group: _Group, integration: str, tells_end: bool, now: float, silences: Sequence[Silence]
    ) -> Notification | None:
        log = group.logs.setdefault(integration, _Log())
        known = log.known
        firing: list[Entry] = []
        over: list[Entry] = []
        left = dict(known)
        for labels, entry in group.entries.items():
            is_muted = any(self.suppressed(labels, now, silences))
            if not entry.ends_at:
                if not is_muted:
                    firing.append(entry)
            elif labels in known and now - entry.ends_at >= self._hold(labels, group.route):
                del left[labels]
                if not is_muted:
                    over.append(entry)
        after = left | {entry.labels: entry.starts_at for entry in firing}
        is_new = any(entry.labels not in known for entry in firing)
        repeats = bool(firing) and not 0 <= now - log.at < group.route.repeat_interval
        next_repeat = (now if is_new or over or repeats else log.at) + group.route.repeat_interval
        if firing:
            group.due = min(group.due, max(now, next_repeat))
        if not is_new and not repeats and not (over and tells_end):
            if left != known:
                log.told, log.pending = left, None
                self.is_changed = True
            return None
        log.pending, log.at = after, now
        return Notification(
            integration,
            group.route.receiver,
            group.key,
            group.labels,
            tuple(sorted(firing, key=lambda one: one.labels)),
            tuple(sorted(over, key=lambda one: one.labels)) if tells_end else (),
            after,
        )

    def _hold(self, labels: Labels, route: Route) -> float:
        """Seconds that one must be over to be told so: more, the more often it has begun lately."""
        begun = len(self._begun.get(labels, ()))
        if begun < FLAPS:
            return 0.0
        return float(min(route.group_interval * 2.0 ** (begun - FLAPS), LONGEST_HOLD))

    def _is_muted(self, route: Route, now: float) -> bool:
        def within(name: str) -> bool:
            return any(one.contains(now) for one in self._configuration.intervals[name])

        return any(map(within, route.muted)) or bool(route.active and not any(map(within, route.active)))

    def _forget(self, key: str, group: _Group) -> None:
        known = {labels for log in group.logs.values() for labels in log.known}
        for labels, entry in list(group.entries.items()):
            if entry.ends_at and labels not in known:
                del group.entries[labels]
        if not group.entries and not any(log.pending is not None for log in group.logs.values()):
            del self._groups[key]
            self.is_changed = True

    def suppressed(
        self, labels: Labels, now: float, silences: Sequence[Silence]
    ) -> tuple[list[Labels], list[str]]:
        """Which alerts inhibit such a one, and the ids of the silences that mute it."""
        words = dict(labels)
        inhibitors = [found for one in self._inhibitors if (found := one.of(words)) is not None]
        return inhibitors, muting(silences, words, now)

    def entries(self) -> list[Entry]:
        """All alerts, each once."""
        known = {entry.labels: entry for group in self._groups.values() for entry in group.entries.values()}
        return list(known.values())

    def confirm(self, notification: Notification) -> None:
        """The receiver has it."""
        group = self._groups.get(notification.group_key)
        log = None if group is None else group.logs.get(notification.integration)
        if log is not None:
            log.told = dict(notification.told)
            if log.pending == log.told:
                log.pending = None
            self.is_changed = True

    def state(self) -> list[dict[str, Any]]:
        """What the next process needs to go on; what is on its way may be told twice, and is not lost."""
        self.is_changed = False
        return [
            {
                "route": group.route.key,
                "receiver": group.route.receiver,
                "labels": dict(group.labels),
                "due": group.due,
                "entries": [
                    [dict(one.labels), dict(one.annotations), one.starts_at, one.ends_at]
                    for one in group.entries.values()
                ],
                "logs": {
                    name: [log.at, [[dict(labels), since] for labels, since in log.told.items()]]
                    for name, log in group.logs.items()
                    if log.told
                },
            }
            for group in self._groups.values()
        ]

    def restore(self, told: Sequence[Mapping[str, Any]]) -> None:
        """Goes on from there; groups of routes that are no longer there are forgotten."""
        routes = {(route.key, route.receiver): route for route in _all(self._configuration.route)}
        for one in told:
            route = routes.get((one["route"], one["receiver"]))
            if route is None:
                continue
            group = _Group(route, _labels(one["labels"]), float(one["due"]))
            for labels, words, starts, ends in one["entries"]:
                key = _labels(labels)
                group.entries[key] = Entry(key, words, float(starts), float(ends))
            for name, (at, known) in one["logs"].items():
                group.logs[name] = _Log({_labels(labels): float(since) for labels, since in known}, None, at)
            self._groups[group.key] = group


class _Inhibitors:
    """The alerts that inhibit others by one rule, found by the values that must be equal."""

    def __init__(self, rule: Inhibition, entries: Iterable[Entry]) -> None:
        self._rule = rule
        self._any: dict[Labels | tuple[str, ...], Labels] = {}
        self._one_sided: dict[Labels | tuple[str, ...], Labels] = {}
        for entry in entries:
            words = dict(entry.labels)
            if entry.ends_at or not all_match(rule.source, words):
                continue
            self._any.setdefault(self._key(words), entry.labels)
            if not all_match(rule.target, words):
                self._one_sided.setdefault(self._key(words), entry.labels)

    def _key(self, words: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(words.get(name, "") for name in self._rule.equal)

    def of(self, words: Mapping[str, str]) -> Labels | None:
        """The labels of one that inhibits such an alert."""
        if not self._any or not all_match(self._rule.target, words):
            return None
        # One that is on both sides is not inhibited by its like, and so not by itself.
        among = self._one_sided if all_match(self._rule.source, words) else self._any
        return among.get(self._key(words))


def _labels(told: Mapping[str, str]) -> Labels:
    return tuple(sorted(told.items()))


def _all(route: Route) -> Iterable[Route]:
    yield route
    for child in route.routes:
        yield from _all(child)
