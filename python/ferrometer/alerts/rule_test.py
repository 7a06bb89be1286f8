"""``ferrometer rules test``: promtool's unit tests of rules, on this engine, with the same verdicts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ferrometer import _core
from ferrometer.alerts import rule_file
from ferrometer.alerts.duration import milliseconds, text_of
from ferrometer.alerts.evaluate import EvaluationError, GroupState, Labels, Sample, merged, vector
from ferrometer.alerts.rule import Group

_FILE = {"rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"}
_TEST = {
    "name",
    "interval",
    "input_series",
    "alert_rule_test",
    "promql_expr_test",
    "external_labels",
    "external_url",
    "start_timestamp",
}
#: Samples of one series.
_MOST = 1_000_000


def run(path: Path) -> list[str]:
    """What fails in a file of tests; nothing when all is well.

    Raises OSError when a file cannot be read, ValueError ``FILE:LINE: why`` for one that is malformed.
    """
    tree = _load(path)
    groups = list(_groups(path, tree))
    interval = _duration(tree, "evaluation_interval", "1m")
    failures = []
    for number, test in enumerate(tree.get("tests") or (), 1):
        _known(path, test, _TEST)
        name = test.get("name") or f"test {number}"
        run_of = _Run(path, test, groups, interval, tree.get("group_eval_order") or ())
        run_of.is_fuzzy = str(tree.get("fuzzy_compare")).lower() == "true"
        found = run_of.failures()
        failures += [f"{name}: {failure}" for failure in found]
    return failures


def _load(path: Path) -> Mapping[str, Any]:
    try:
        tree = rule_file.load(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}:{error}") from None
    _known(path, tree, _FILE)
    return tree  # type: ignore[no-any-return]  # _known has looked


def _known(path: Path, node: object, keys: set[str]) -> None:
    if not isinstance(node, rule_file.Located):
        raise ValueError(f"{path}:1: a mapping with {', '.join(sorted(keys))} is expected")
    for key in node:
        if key not in keys:
            raise ValueError(
                f"{path}:{node.lines[key]}: unknown key {key!r}; the keys are {', '.join(sorted(keys))}"
            )


def _groups(path: Path, tree: Mapping[str, Any]) -> Iterator[Group]:
    for pattern in tree.get("rule_files") or ():
        files = sorted(path.parent.glob(pattern)) if not Path(pattern).is_absolute() else [Path(pattern)]
        if not files:
            raise FileNotFoundError(f"{path}: no rule file {pattern}")
        for file in files:
            groups, faults = rule_file.read(file)
            if faults:
                raise ValueError(faults[0])
            yield from groups


def _duration(node: Mapping[str, Any], key: str, default: str) -> int:
    return milliseconds(str(node.get(key) or default)) or milliseconds(default)


class _Run:
    """One test: its samples, its rules, its expectations."""

    def __init__(
        self,
        path: Path,
        test: Mapping[str, Any],
        groups: Sequence[Group],
        interval: int,
        order: Sequence[str],
    ) -> None:
        self._path = path
        self._test = test
        #: Whether a value may be the next one to what is expected.
        self.is_fuzzy = False
        self._start = _start(test.get("start_timestamp"))
        self._interval = interval
        self._groups = [GroupState(group) for group in _ordered(groups, order)]
        self._store = _core.SampleStore()
        self._load: list[tuple[int, Labels, float | None]] = []
        self._before: dict[int, set[Labels]] = {}
        step = _duration(test, "interval", "1m")
        for series in test.get("input_series") or ():
            labels = _series_labels(str(series["series"]))
            for number, value in enumerate(values(str(series["values"]))):
                if value is not _ABSENT:
                    self._load.append((number * step, labels, None if value is _STALE else float(value)))  # type: ignore[arg-type]
        self._load.sort(key=lambda each: each[0])
        self._loaded = 0

    def failures(self) -> list[str]:
        alerts = [
            (milliseconds(str(each["eval_time"])), each) for each in self._test.get("alert_rule_test") or ()
        ]
        expressions = [
            (milliseconds(str(each.get("eval_time") or "0s")), each)
            for each in self._test.get("promql_expr_test") or ()
        ]
        last = max((at for at, _ in (*alerts, *expressions)), default=0)
        known = {state.rule.alert for group in self._groups for state in group.rules if state.rule.alert}
        failures = []
        seen: dict[int, dict[str, list[_Seen]]] = {}
        at = 0
        while at <= last:
            self._samples_till(at)
            for number, group in enumerate(self._groups):
                failures += self._evaluate(number, group, at)
            for due, _ in alerts:
                if at <= due < at + self._interval:
                    seen[due] = self._firing()
            at += self._interval
        self._samples_till(last)
        for due, each in alerts:
            if not each.get("alertname"):
                raise ValueError(
                    f"{self._path}: an item of alert_rule_test has no alertname, at eval_time {text_of(due)}"
                )
            failures += _compare_alerts(each, due, seen.get(due, {}).get(each["alertname"], []), known)
        for due, each in expressions:
            failures += self._compare_expression(each, due)
        return failures

    def _samples_till(self, at: int) -> None:
        while self._loaded < len(self._load) and self._load[self._loaded][0] <= at:
            time, labels, value = self._load[self._loaded]
            self._store.push(labels, self._start + time, value)
            self._loaded += 1

    def _ask(self, expression: str, seconds: float) -> list[Sample]:
        _, answer = self._store.instant(expression, round(seconds * 1000))
        return vector(answer)

    def _evaluate(self, number: int, group: GroupState, at: int) -> list[str]:
        failures = []
        for index, state in enumerate(group.rules):
            key = number * 100_000 + index
            try:
                made = state.evaluate(self._ask, (self._start + at) / 1000, group.group.limit)
            except EvaluationError as error:
                failures.append(f"rule {state.rule.name} at {text_of(at)}: {error}")
                continue
            now = {sample.labels for sample in made}
            for gone in self._before.get(key, set()) - now:
                self._store.push(gone, self._start + at, None)
            for sample in made:
                self._store.push(sample.labels, self._start + at, sample.value)
            self._before[key] = now
        return failures

    def _firing(self) -> dict[str, list[_Seen]]:
        found: dict[str, list[_Seen]] = {}
        for group in self._groups:
            for state in group.rules:
                for alert in state.active.values():
                    if alert.state == "firing":
                        seen = _Seen(alert.labels, tuple(sorted(alert.annotations.items())))
                        found.setdefault(state.rule.alert, []).append(seen)
        return found

    def _compare_expression(self, each: Mapping[str, Any], due: int) -> list[str]:
        expression = str(each["expr"])
        where = f"expr: {expression!r}, time: {text_of(due)}"
        try:
            got = {
                sample.labels: sample.value for sample in self._ask(expression, (self._start + due) / 1000)
            }
        except EvaluationError as error:
            return [f"{where}, err: {error}"]
        wanted: dict[Labels, float] = {}
        for sample in each.get("exp_samples") or ():
            if "histogram" in sample:
                raise ValueError(f"{self._path}: native histograms in exp_samples are not supported")
            wanted[_series_labels(str(sample.get("labels") or "{}"))] = float(
                str(sample["value"]).replace("Inf", "inf")
            )
        if got.keys() == wanted.keys() and all(self._is_equal(got[key], wanted[key]) for key in got):
            return []
        return [f"{where},\n    exp: {_shown(wanted)}\n    got: {_shown(got)}"]

    def _is_equal(self, one: float, other: float) -> bool:
        if one == other or (math.isnan(one) and math.isnan(other)):
            return True
        return self.is_fuzzy and other in (math.nextafter(one, math.inf), math.nextafter(one, -math.inf))


@dataclass(frozen=True, order=True, slots=True)
class _Seen:
    labels: Labels
    annotations: Labels


def _ordered(groups: Sequence[Group], order: Sequence[str]) -> list[Group]:
    rank = {name: at for at, name in enumerate(order)}
    return sorted(groups, key=lambda group: rank.get(group.name, len(rank)))


def _compare_alerts(each: Mapping[str, Any], due: int, got: list[_Seen], known: Iterable[str]) -> list[str]:
    name = each["alertname"]
    wanted = []
    for alert in each.get("exp_alerts") or ():
        labels = merged((), {**(alert.get("exp_labels") or {}), "alertname": name}, None)
        annotations = tuple(sorted((key, text) for key, text in (alert.get("exp_annotations") or {}).items()))
        wanted.append(_Seen(labels, annotations))
    if sorted(wanted) == sorted(got) and (not wanted or name in known):
        return []
    return [f"alertname: {name}, time: {text_of(due)},\n    exp: {_alerts(wanted)}\n    got: {_alerts(got)}"]


def _alerts(alerts: Sequence[_Seen]) -> str:
    return str(
        [{"labels": dict(seen.labels), "annotations": dict(seen.annotations)} for seen in sorted(alerts)]
    )


def _shown(samples: Mapping[Labels, float]) -> str:
    return str([(dict(labels), value) for labels, value in sorted(samples.items())])


def _start(given: object) -> int:
    """Milliseconds since 1970 at which a test begins: seconds, or a time by RFC 3339."""
    if given is None:
        return 0
    try:
        return round(float(str(given)) * 1000)
    except ValueError:
        return round(datetime.fromisoformat(str(given)).timestamp() * 1000)


_PAIR = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w.]*))\s*(?:=\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`)\s*)?(?:,|$)'
)


def _series_labels(text: str) -> Labels:
    match = re.fullmatch(r"\s*([A-Za-z_:][\w:]*)?\s*(?:\{(.*)\})?\s*", text, re.DOTALL)
    if match is None:
        raise ValueError(f'no series: {text!r}; write name{{label="value"}}')
    labels = {"__name__": match[1] or ""}
    rest, position = match[2] or "", 0
    while position < len(rest.rstrip()):
        pair = _PAIR.match(rest, position)
        if pair is None:
            raise ValueError(f'no series: {text!r}; write name{{label="value"}}')
        quoted, plain, value = pair.groups()
        if value is None:
            labels["__name__"] = quoted if quoted is not None else plain
        else:
            labels[quoted if quoted is not None else plain] = _unquoted(value)
        position = pair.end()
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    known = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: known.get(match[1], match[1]), text[1:-1])


_STALE, _ABSENT = object(), object()
_NUMBER = r"[+-]?(?:Inf|inf|NaN|nan|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)"
_ITEM = re.compile(
    rf"({_NUMBER})(?:([+-])({_NUMBER.replace('[+-]?', '', 1)}))?(?:x(\d+))?|(_)(?:x(\d+))?|(stale)"
)


def values(text: str) -> Iterator[object]:
    """The samples of promtool's notation: ``1+2x3``, ``5x2``, ``_x4``, ``stale``. Raises ValueError."""
    if "{{" in text:
        raise ValueError("native histograms in input_series are not supported")
    for item in text.split():
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"no values: {item!r}; write 1 2, 1+2x3, _ or stale")
        start, sign, change, times, gap, gaps, stale = match.groups()
        if int(times or 0) > _MOST or int(gaps or 0) > _MOST:
            raise ValueError(f"too many values: {item!r}")
        if stale:
            yield _STALE
        elif gap:
            for _ in range(int(gaps or 1)):
                yield _ABSENT
        else:
            value = float(start)
            step = float(change) * (-1 if sign == "-" else 1) if change else 0.0
            for _ in range(int(times) + 1 if times else 1):
                yield value
                value += step
