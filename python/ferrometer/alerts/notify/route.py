"""Routes, inhibitions and receivers, read from Alertmanager's configuration file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ferrometer.alerts.duration import milliseconds
from ferrometer.alerts.notify import interval
from ferrometer.alerts.notify.interval import Interval
from ferrometer.alerts.notify.matcher import Matcher, all_match, parse
from ferrometer.alerts.rule_file import Located, load

_TOP = {"global", "route", "receivers", "inhibit_rules", "time_intervals", "mute_time_intervals", "templates"}
_ROUTE = {
    *("receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "matchers", "match"),
    *("match_re", "continue", "routes", "mute_time_intervals", "active_time_intervals"),
}
_INHIBIT = {
    *("source_matchers", "target_matchers", "equal", "source_match", "source_match_re"),
    *("target_match", "target_match_re", "name"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where alerts go that match, and how they are grouped; what it does not say is its parent's."""

    receiver: str
    #: None: by all labels.
    group_by: tuple[str, ...] | None = ()
    group_wait: float = 30.0
    group_interval: float = 300.0
    repeat_interval: float = 4 * 3600.0
    matchers: tuple[Matcher, ...] = ()
    goes_on: bool = False
    muted: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    #: As Alertmanager writes it in its group keys.
    key: str = "{}"
    routes: tuple[Route, ...] = ()

    def of(self, labels: Mapping[str, str]) -> Iterator[Route]:
        """The routes that an alert takes: the deepest that match."""
        if not all_match(self.matchers, labels):
            return
        found = False
        for child in self.routes:
            taken = False
            for route in child.of(labels):
                taken = found = True
                yield route
            if taken and not child.goes_on:
                break
        if not found:
            yield self

    def group(self, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The labels by which an alert is grouped."""
        if self.group_by is None:
            return tuple(sorted(labels.items()))
        return tuple(sorted((name, labels[name]) for name in self.group_by if name in labels))


@dataclass(frozen=True, slots=True)
class Inhibition:
    """Alerts that match ``target`` are not told while one that matches ``source`` fires."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it."""

    route: Route
    #: Of each receiver: kinds such as ``webhook``, and what they were told.
    receivers: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]]
    inhibitions: tuple[Inhibition, ...] = ()
    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


def read(text: str, source: str) -> Configuration:
    """A configuration file of Alertmanager. Raises ValueError that names the line and the remedy."""
    try:
        tree = load(text)
        if not isinstance(tree, Located):
            raise ValueError("1: a configuration has the keys route and receivers")
        return _configuration(tree)
    except ValueError as error:
        raise ValueError(f"{source}:{error}") from None


def _configuration(tree: Located) -> Configuration:
    _known(tree, _TOP, "the configuration")
    receivers: dict[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {}
    for node in _list(tree, "receivers"):
        name = str(node.get("name") or "")
        if not name or name in receivers:
            raise ValueError(f"{node.line}: a receiver needs a name of its own, not {name!r}")
        kinds = [key for key in node if key != "name"]
        for key in kinds:
            if not key.endswith("_configs"):
                raise ValueError(f"{node.lines[key]}: a receiver has no key {key!r}")
        receivers[name] = tuple(
            (key.removesuffix("_configs"), entry) for key in kinds for entry in _list(node, key)
        )
    intervals: dict[str, tuple[Interval, ...]] = {}
    for key in ("time_intervals", "mute_time_intervals"):
        for node in _list(tree, key):
            with _line(node):
                intervals[str(node.get("name"))] = tuple(
                    interval.read(one) for one in node.get("time_intervals") or ()
                )
    top = tree.get("route")
    if not isinstance(top, Located):
        raise ValueError(f"{tree.line}: the configuration needs a route with a receiver")
    if any(key in top for key in ("matchers", "match", "match_re")):
        raise ValueError(f"{top.line}: the first route takes every alert, and has no matchers")
    route = _route(top, Route(""))
    for each in _all(route):
        if each.receiver not in receivers:
            known = ", ".join(receivers) or "none"
            raise ValueError(f"{top.line}: there is no receiver {each.receiver!r}; there are {known}")
        for name in (*each.muted, *each.active):
            if name not in intervals:
                raise ValueError(f"{top.line}: there is no time interval {name!r}")
    inhibitions = tuple(_inhibition(one) for one in _list(tree, "inhibit_rules"))
    return Configuration(route, receivers, inhibitions, intervals, tree.get("global") or {})


def _all(route: Route) -> Iterator[Route]:
    yield route
    for child in route.routes:
        yield from _all(child)


def _route(node: Located, parent: Route) -> Route:
    _known(node, _ROUTE, "a route")
    with _line(node):
        matchers = _matchers(node, "")
        names = [str(name) for name in node.get("group_by") or ()]
        own = replace(
            parent,
            receiver=str(node.get("receiver") or parent.receiver),
            group_by=(None if "..." in names else tuple(names)) if "group_by" in node else parent.group_by,
            matchers=matchers,
            goes_on=str(node.get("continue", "false")).lower() == "true",
            muted=tuple(node.get("mute_time_intervals") or ()),
            active=tuple(node.get("active_time_intervals") or ()),
            key=(f"{parent.key}/" if parent.receiver else "") + "{" + ",".join(map(str, matchers)) + "}",
            routes=(),
        )
        times: dict[str, float] = {}
        for key in ("group_wait", "group_interval", "repeat_interval"):
            if key in node:
                seconds = milliseconds(str(node[key])) / 1000
                if key != "group_wait" and not seconds > 0:
                    raise ValueError(f"{key} must be more than 0")
                times[key] = seconds
        own = replace(
            own,
            group_wait=times.get("group_wait", own.group_wait),
            group_interval=times.get("group_interval", own.group_interval),
            repeat_interval=times.get("repeat_interval", own.repeat_interval),
        )
        if not own.receiver:
            raise ValueError("the first route needs a receiver")
    return replace(own, routes=tuple(_route(child, own) for child in _list(node, "routes")))


def _inhibition(node: Located) -> Inhibition:
    _known(node, _INHIBIT, "an inhibition")
    with _line(node):
        return Inhibition(
            _matchers(node, "source_"), _matchers(node, "target_"), tuple(map(str, node.get("equal") or ()))
        )


def _matchers(node: Located, prefix: str) -> tuple[Matcher, ...]:
    found = [one for text in node.get(f"{prefix}matchers") or () for one in parse(str(text))]
    found += [Matcher(name, "=", str(value)) for name, value in (node.get(f"{prefix}match") or {}).items()]
    for name, value in (node.get(f"{prefix}match_re") or {}).items():
        # As Alertmanager has it, and as its group keys say it.
        found.append(Matcher(name, "=~", f"^(?:{value})$"))
    return tuple(sorted(found, key=lambda one: (one.name, one.value, one.sign)))


def _list(node: Located, key: str) -> Sequence[Located]:
    found = node.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, Located) for one in found):
        raise ValueError(f"{node.lines.get(key, node.line)}: {key} is a list of mappings")
    return found


def _known(node: Located, keys: set[str], what: str) -> None:
    for key in node:
        if key not in keys:
            raise ValueError(f"{node.lines.get(key, node.line)}: {what} has no key {key!r}")


class _line:  # noqa: N801  # reads as a statement
    """Faults in the block get the line of the node."""

    def __init__(self, node: Located) -> None:
        self._node = node

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, _: object) -> None:
        if isinstance(error, ValueError | KeyError | TypeError) and not str(error).split(":")[0].isdigit():
            raise ValueError(f"{self._node.line}: {error}") from None
