"""Prometheus' naming conventions as rules: those of ``promtool check metrics``, and what it cannot see."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families


class Family(NamedTuple):
    """A metric's definition; a counter's name is without ``_total``."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


_BASE_UNITS = frozenset({
    "amperes", "bytes", "celsius", "grams", "joules", "kelvin", "kelvins", "meters", "metres", "moles",
    "seconds", "volts",
})  # fmt: skip
_PREFIXES = (
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto",
    "kilo", "kibi", "mega", "mibi", "mebi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
)  # fmt: skip
_OTHER_UNITS = {
    "bits": "bytes", "calories": "joules", "days": "seconds", "fahrenheit": "celsius", "hours": "seconds",
    "inches": "meters", "minutes": "seconds", "miles": "meters", "ounces": "grams", "percent": "ratio",
    "pounds": "grams", "weeks": "seconds", "yards": "meters",
}  # fmt: skip
_ABBREVIATIONS = frozenset(["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"])
_TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
_RESERVED_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
_SNAKE = re.compile(r"^[a-z_][a-z0-9_]*$")


def of_definition(family: Family, allow: Collection[str] = ()) -> list[str]:
    """What breaks the conventions in a family's name, help, type and label names."""
    exposed = f"{family.name}_total" if family.kind == "counter" else family.name
    if family.name in allow or exposed in allow:
        return [] if family.help.strip() else [f"{exposed}: no help text"]
    return [f"{exposed}: {words}" for words in _problems(family)]


def _problems(family: Family) -> Iterator[str]:
    name, kind = family.name, family.kind
    parts = name.split("_")
    if not family.help.strip():
        yield "no help text"
    if kind == "unknown" or kind == "untyped":
        yield "no type"
    if ":" in name:
        yield 'a name with ":" is a recording rule\'s'
    elif not _SNAKE.match(name):
        yield "names are written in snake_case"
    if name.endswith("_total") and kind != "counter":
        yield 'only a counter\'s name ends in "_total"'
    if name.endswith("_info") and kind not in ("info", "gauge"):
        yield 'only an info\'s name ends in "_info"'
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix) and suffix not in _RESERVED_SUFFIXES.get(kind, ()):
            yield f'"{suffix}" is for histograms and summaries'
    for word in _TYPES:
        if word in parts:
            yield f'the type "{word}" does not belong in the name'
    yield from _units(parts)
    for label in family.labels:
        if not _SNAKE.match(label):
            yield f'label "{label}": names are written in snake_case'
        if (label == "le" and kind != "histogram") or (label == "quantile" and kind != "summary"):
            yield f'the label "{label}" is reserved'
        if f"_by_{label}" in name:
            yield f'"_by_{label}" repeats a label in the name'


def _units(parts: list[str]) -> Iterator[str]:
    for part in parts:
        if part in _OTHER_UNITS:
            yield f'"{_OTHER_UNITS[part]}" is the base unit, not "{part}"'
        for prefix in _PREFIXES:
            if part.startswith(prefix) and part.removeprefix(prefix) in _BASE_UNITS:
                yield f'"{part.removeprefix(prefix)}" is the base unit, not "{part}"'
    for part in parts[1:]:
        if part in _ABBREVIATIONS:
            yield f'"{part}" is an abbreviated unit'


def of_text(text: str, allow: Collection[str] = ()) -> list[str]:
    """What is wrong with a text exposition: definitions and samples."""
    problems: list[str] = []
    told = re.findall(r"^# TYPE (\S+) ", text, flags=re.MULTILINE)
    problems += [f"{name}: TYPE twice" for name in sorted({n for n in told if told.count(n) > 1})]
    created = {f"{name.removesuffix('_total')}_created" for name in told}
    for family in text_string_to_metric_families(text):
        if family.name in created:
            continue  # a companion that the format itself asks for
        own = {"histogram": {"le"}, "gaugehistogram": {"le"}, "summary": {"quantile"}}.get(family.type, set())
        shapes = {
            tuple(sorted(set(sample.labels) - own))
            for sample in family.samples
            if family.type not in ("info", "unknown") and not sample.name.endswith("_info")
        }
        labels = tuple(sorted({label for shape in shapes for label in shape}))
        problems += of_definition(Family(family.name, family.type, family.documentation, labels), allow)
        if len(shapes) > 1:
            problems.append(f"{family.name}: its series differ in their label names: {sorted(shapes)}")
        problems += _of_samples(family.name, family.type, family.samples)
    return problems


def _of_samples(name: str, kind: str, samples: Iterable[object]) -> Iterator[str]:
    seen: set[tuple[object, ...]] = set()
    for sample in samples:
        key = (sample.name, *sorted(sample.labels.items()))  # type: ignore[attr-defined]
        value: float = sample.value  # type: ignore[attr-defined]
        if key in seen:
            yield f"{name}: the series {key} is there twice"
        seen.add(key)
        if kind == "counter" and not (math.isfinite(value) and value >= 0):
            yield f"{name}: a counter at {value}"
        if key[0] == f"{name}" and name.endswith("_info") and value != 1:
            yield f"{name}: an info at {value}"
        if name.endswith("_ratio") and kind == "gauge" and value == value and not 0 <= value <= 1:
            yield f"{name}: a ratio at {value:g} is outside of 0..1"
