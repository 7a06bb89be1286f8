"""Rules as plain data, and the YAML that Prometheus reads them from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ferrometer import _core
from ferrometer.alerts.duration import milliseconds, text_of
from ferrometer.alerts.template import Template

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alert (``alert``) or a recorded series (``record``) of one expression.

    ``wait`` is ``for`` of the rule file: how long the expression must have values before the alert fires, and
    ``keep_firing_for`` how long it goes on firing without; durations such as ``"5m"``.

    Raises ValueError where Prometheus would refuse the rule, with the name and the remedy.
    """

    expr: str
    alert: str = ""
    record: str = ""
    wait: str = "0s"
    keep_firing_for: str = "0s"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.alert) == bool(self.record):
            raise ValueError("a rule has an alert's name (alert) or a series' name (record), and not both")
        name = self.name
        if self.record:
            if not _METRIC.fullmatch(self.record):
                raise ValueError(
                    f"record {name!r}: no metric has such a name; use letters, digits, '_' and ':'"
                )
            if self.annotations or self.wait != "0s" or self.keep_firing_for != "0s":
                raise ValueError(
                    f"record {name!r}: for, keep_firing_for and annotations belong to alerts only"
                )
        if not self.expr.strip():
            raise ValueError(f"rule {name!r} has no expr")
        if problem := _core.check_expression(self.expr):
            raise ValueError(f"rule {name!r}: expr: {problem}")
        for word, duration in (("for", self.wait), ("keep_firing_for", self.keep_firing_for)):
            try:
                milliseconds(duration)
            except ValueError as error:
                raise ValueError(f"rule {name!r}: {word}: {error}") from None
        for label in self.labels:
            if not _LABEL.fullmatch(label) or label == "__name__":
                raise ValueError(f"rule {name!r}: no label has the name {label!r}")
        for annotation in self.annotations:
            if not _LABEL.fullmatch(annotation):
                raise ValueError(f"rule {name!r}: no annotation has the name {annotation!r}")
        if self.alert:
            for key, text in (*self.labels.items(), *self.annotations.items()):
                try:
                    Template(text)
                except ValueError as error:
                    raise ValueError(f"rule {name!r}: {key}: {error}") from None

    @property
    def name(self) -> str:
        """Of the alert or of the series."""
        return self.alert or self.record


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated in order, every ``interval``; None is the evaluation's own."""

    name: str
    rules: tuple[Rule, ...]
    interval: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    limit: int = 0
    #: Where it is from, for messages and the API.
    file: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a group has a name")
        if self.interval is not None and milliseconds(self.interval) <= 0:
            raise ValueError(f"group {self.name!r}: interval must be more than 0")


def to_yaml(groups: Iterable[Group]) -> str:
    """The groups as a rule file that Prometheus 2 and 3 and promtool read."""
    lines = ["groups:"]
    for group in groups:
        lines.append(f"  - name: {_quoted(group.name)}")
        if group.interval is not None:
            lines.append(f"    interval: {group.interval}")
        if group.limit:
            lines.append(f"    limit: {group.limit}")
        lines.append("    rules:")
        for rule in group.rules:
            word = "alert" if rule.alert else "record"
            lines.append(f"      - {word}: {_quoted(rule.name)}")
            lines.append(f"        expr: {_quoted(rule.expr)}")
            for key, duration in (("for", rule.wait), ("keep_firing_for", rule.keep_firing_for)):
                if milliseconds(duration):
                    lines.append(f"        {key}: {text_of(milliseconds(duration))}")
            # Labels of a group are not known to Prometheus 2: they are given to each rule.
            labels = {**group.labels, **rule.labels}
            for key, texts in (("labels", labels), ("annotations", rule.annotations)):
                if texts:
                    lines.append(f"        {key}:")
                    lines += [f"          {name}: {_quoted(text)}" for name, text in texts.items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A double-quoted scalar of YAML; JSON's strings are such."""
    return json.dumps(text, ensure_ascii=False)
