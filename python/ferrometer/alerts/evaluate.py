"""What rules make of an answer: alerts that are pending or fire, and recorded series. It has no clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ferrometer.alerts.duration import milliseconds
from ferrometer.alerts.rule import Group, Rule
from ferrometer.alerts.template import Template, TemplateError

Labels = tuple[tuple[str, str], ...]

#: Seconds for which a resolved alert is told to receivers.
RESOLVED_FOR = 15 * 60.0


class Sample(NamedTuple):
    """One value of an instant vector; labels in ascending order, ``__name__`` among them."""

    labels: Labels
    value: float


class EvaluationError(ValueError):
    """A rule that has no result; its alerts stay as they are."""


Ask = Callable[[str, float], Sequence[Sample]]


@dataclass(slots=True)
class Alert:
    """One alert: pending, firing, or inactive for a while after it fired."""

    labels: Labels
    annotations: dict[str, str]
    value: float
    active_at: float
    state: str = "pending"
    fired_at: float = 0.0
    resolved_at: float = 0.0
    keep_firing_since: float = 0.0
    #: When it was posted to Alertmanagers last.
    sent_at: float = 0.0


@dataclass(slots=True)
class RuleState:
    """A rule, and what it found last."""

    rule: Rule
    labels: Mapping[str, str]
    active: dict[Labels, Alert] = field(default_factory=dict)
    error: str = ""
    evaluated_at: float = 0.0
    seconds: float = 0.0
    templates: dict[str, Template] = field(init=False)

    def __post_init__(self) -> None:
        texts = {**self.rule.labels, **self.rule.annotations} if self.rule.alert else {}
        self.templates = {text: Template(text) for text in texts.values()}

    def evaluate(self, ask: Ask, now: float, limit: int = 0) -> list[Sample]:
        """The series that the rule records at ``now``; after an EvaluationError alerts are as before."""
        found = ask(self.rule.expr, now)
        return self._record(found, limit) if self.rule.record else self._alert(found, ask, now, limit)

    def _record(self, found: Sequence[Sample], limit: int) -> list[Sample]:
        made = [
            Sample(merged(sample.labels, {**self.labels, **self.rule.labels}, self.rule.record), sample.value)
            for sample in found
        ]
        if len({sample.labels for sample in made}) < len(made):
            raise EvaluationError("vector contains metrics with the same labelset after applying rule labels")
        if limit and len(made) > limit:
            raise EvaluationError(f"exceeded limit of {limit} with {len(made)} series")
        return made

    def _alert(self, found: Sequence[Sample], ask: Ask, now: float, limit: int) -> list[Sample]:
        rule, query = self.rule, self._querying(ask, now)
        fresh: dict[Labels, Alert] = {}
        for sample in found:
            own = {name: value for name, value in sample.labels if name != "__name__"}

            def expanded(text: str, own: Mapping[str, str] = own, value: float = sample.value) -> str:
                try:
                    return self.templates[text].expand(own, value, query)
                except TemplateError as error:
                    # As Prometheus: the alert must go out, whatever is wrong with its words.
                    return f"<error expanding template: {error}>"

            labels = {
                **self.labels,
                **{name: expanded(text) for name, text in rule.labels.items()},
                "alertname": rule.alert,
            }
            key = merged(sample.labels, labels, None)
            if key in fresh:
                raise EvaluationError(
                    "vector contains metrics with the same labelset after applying alert labels"
                )
            annotations = {name: expanded(text) for name, text in rule.annotations.items()}
            fresh[key] = Alert(key, annotations, sample.value, now)
        self._follow(fresh, now)
        firing = [alert for alert in self.active.values() if alert.state != "inactive"]
        if limit and len(firing) > limit:
            self.active.clear()
            raise EvaluationError(f"exceeded limit of {limit} with {len(firing)} alerts")
        return [sample for alert in firing for sample in _series(alert)]

    def _follow(self, fresh: Mapping[Labels, Alert], now: float) -> None:
        waits = milliseconds(self.rule.wait) / 1000
        keeps = milliseconds(self.rule.keep_firing_for) / 1000
        for key, alert in fresh.items():
            known = self.active.get(key)
            if known is None or known.state == "inactive":
                self.active[key] = alert
            else:
                known.value, known.annotations = alert.value, alert.annotations
        for key, alert in list(self.active.items()):
            if key in fresh:
                alert.keep_firing_since = 0.0
            elif alert.state == "pending":
                del self.active[key]
                continue
            elif alert.state == "inactive":
                if now - alert.resolved_at > RESOLVED_FOR:
                    del self.active[key]
                continue
            else:
                # An alert of the time 0, as tests have, is not one without a time.
                alert.keep_firing_since = alert.keep_firing_since or now or 1e-9
                if keeps <= 0 or now - alert.keep_firing_since >= keeps:
                    alert.state, alert.resolved_at = "inactive", now
                    continue
            if alert.state == "pending" and now - alert.active_at >= waits:
                alert.state, alert.fired_at = "firing", now

    @staticmethod
    def _querying(ask: Ask, now: float) -> Callable[[str], list[Mapping[str, Any]]]:
        def query(expression: str) -> list[Mapping[str, Any]]:
            try:
                return [
                    {"Labels": dict(sample.labels), "Value": sample.value} for sample in ask(expression, now)
                ]
            except EvaluationError as error:
                raise TemplateError(f"query: {error}") from None

        return query


def merged(labels: Labels, over: Mapping[str, str], name: str | None) -> Labels:
    """The labels with others over them; an empty one is none. ``name`` is the metric's."""
    both = {**dict(labels), **over}
    both.pop("__name__", None)
    if name is not None:
        both["__name__"] = name
    return tuple(sorted((key, value) for key, value in both.items() if value != ""))


def _series(alert: Alert) -> list[Sample]:
    state = merged(alert.labels, {"alertstate": alert.state}, "ALERTS")
    return [Sample(state, 1.0), Sample(merged(alert.labels, {}, "ALERTS_FOR_STATE"), alert.active_at)]


@dataclass(slots=True)
class GroupState:
    """A group, and the states of its rules."""

    group: Group
    rules: list[RuleState] = field(init=False)
    evaluated_at: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.rules = [RuleState(rule, self.group.labels) for rule in self.group.rules]


def vector(answer: str) -> list[Sample]:
    """The samples of an answer of the API to an instant query.

    Raises EvaluationError for an error, a matrix, a text, or native histograms, which no rule can compare.
    """
    told = json.loads(answer)
    if told["status"] != "success":
        raise EvaluationError(told["error"])
    data = told["data"]
    if data["resultType"] == "scalar":
        return [Sample((), _float(data["result"][1]))]
    if data["resultType"] != "vector":
        raise EvaluationError(f"rule result is not a vector or scalar, but a {data['resultType']}")
    return [
        Sample(tuple(sorted(entry["metric"].items())), _float(entry["value"][1]))
        for entry in data["result"]
        if "value" in entry
    ]


def _float(text: str) -> float:
    return float(text.replace("Inf", "inf"))
