"""What is shown: the routes, and the tables that features bring for the live page."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ferrometer._runtime.panel import Column, Table, ready_made
from ferrometer.history.source import QueryError, Source
from ferrometer.history.values import Sample, ask, value_of

#: The window of rates, on a history that has a sample each second.
WINDOW = "30s"
#: Seconds after which the latest sample is not of now: nobody records any more.
_OLD = 15.0
_BY = "method, endpoint"
_TIMES = "http_request_duration_seconds"


def _quantile(q: float, by: str) -> str:
    # By the bins where there are any, else by the buckets.
    grouped = f"le, {by}" if by else "le"
    plain = f"sum by ({by})" if by else "sum"
    return (
        f"histogram_quantile({q:g}, {plain} (rate({_TIMES}[{WINDOW}])))"
        f" or histogram_quantile({q:g}, sum by ({grouped}) (rate({_TIMES}_bucket[{WINDOW}])))"
    )


def _share(by: str) -> str:
    grouped = f"sum by ({by})" if by else "sum"
    failed, whole = (
        f"{grouped} (rate(http_requests_total{labels}[{WINDOW}]))" for labels in ('{status=~"5.."}', "")
    )
    return f"({failed} or 0 * {whole}) / ({whole} > 0)"


ROUTES = Table(
    "Routes",
    ("method", "endpoint"),
    (
        Column("Rate", f"sum by ({_BY}) (rate(http_requests_total[{WINDOW}]))", "/s"),
        Column("Errors", _share(_BY), "ratio"),
        *(Column(f"p{q * 100:g}", _quantile(q, _BY), "s") for q in (0.5, 0.95, 0.99)),
        Column(
            "First byte, p95", _quantile(0.95, _BY).replace(_TIMES, "http_response_first_byte_seconds"), "s"
        ),
        Column("Requests", f"sum by ({_BY}) (http_requests_total)"),
    ),
)
#: The line at the top.
_SUMMARY = (
    Column("Requests", f"sum(rate(http_requests_total[{WINDOW}]))", "/s"),
    Column("Errors", _share(""), "ratio"),
    *(Column(f"p{q * 100:g}", _quantile(q, ""), "s") for q in (0.5, 0.95, 0.99)),
    Column("In flight", "sum(http_requests_in_flight)"),
    Column("Workers", "count(process_resident_memory_bytes)"),
    Column("Firing", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its labels, and a number for each column, None where there is none."""

    labels: tuple[str, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known at one moment."""

    summary: tuple[tuple[str, str], ...] = ()
    rows: tuple[Row, ...] = field(default=())
    #: Seconds since 1970 of the latest sample, when it is not of now.
    ended: float | None = None


def tables() -> tuple[Table, ...]:
    """Every table that there may be."""
    return (ROUTES, *(table for panel in ready_made() for table in panel.tables))


def present(source: Source, found: Sequence[Table], at: float | None) -> tuple[Table, ...]:
    """Those of which the source has metrics; the routes always."""
    return tuple(table for table in found if table is ROUTES or rows(source, table, at))


def read(source: Source, table: Table) -> Shown:
    """The table, and the summary. Raises OSError when nobody answers."""
    at = ended(source)
    told = ((column, _vector(source, column.query, at)) for column in _SUMMARY)
    summary = tuple((column.title, text(found[0].value, column.unit)) for column, found in told if found)
    return Shown(summary, tuple(rows(source, table, at)), at)


def ended(source: Source) -> float | None:
    """When the latest sample was recorded, if that is not now: of a dead application."""
    found = _latest(source, "max(timestamp(http_requests_in_flight))", None)
    if found is None:
        found = _latest(source, _last_within("5m:1s"), None)
    if found is None and (found := _latest(source, _last_within("1d:1m"), None)) is not None:
        # Steps of a minute see what is there at their own end: seconds tell what came after the last of them.
        found = _latest(source, _last_within("1m:1s"), found + 60.0) or found
    return None if found is None or time.time() - found < _OLD else found


def _last_within(window: str) -> str:
    return f"max(max_over_time(timestamp(http_requests_in_flight)[{window}]))"


def _latest(source: Source, query: str, at: float | None) -> float | None:
    answer = _vector(source, query, at)
    return _number(answer[0]) if answer else None


def rows(source: Source, table: Table, at: float | None) -> list[Row]:
    """The rows, by their labels."""
    columns = [_by_labels(source, table, column, at) for column in table.columns]
    names = sorted({labels for column in columns for labels in column})
    return [Row(labels, tuple(column.get(labels) for column in columns)) for labels in names]


def _by_labels(
    source: Source, table: Table, column: Column, at: float | None
) -> Mapping[tuple[str, ...], float]:
    query = re.sub(r"\$(?:window|table)", WINDOW, column.query)
    found = {}
    for sample in _vector(source, query, at):
        value = _number(sample)
        if not math.isnan(value):
            found[tuple(sample.labels.get(name, "") for name in table.by)] = value
    return found


def _vector(source: Source, query: str, at: float | None) -> list[Sample]:
    moment = [] if at is None else [("time", repr(at))]
    try:
        value = value_of(ask(source, "query", [("query", query), *moment]))
    except QueryError:
        return []  # a function that this server does not have, or a metric of another kind
    return [one for one in value if isinstance(one, Sample)] if isinstance(value, list) else []


def _number(sample: Sample) -> float:
    return sample.value if isinstance(sample.value, float) else float(sample.value.count)


def ordered(found: Sequence[Row], by: int, *, down: bool, sought: str, table: Table) -> list[Row]:
    """The rows that have all words of ``sought``, sorted by a column; the labels are the first columns."""
    words = sought.lower().split()
    chosen = [row for row in found if all(word in " ".join(row.labels).lower() for word in words)]
    labels = len(table.by)
    if by < labels:
        return sorted(chosen, key=lambda row: row.labels[by], reverse=down)
    known = [row for row in chosen if row.values[by - labels] is not None]
    rest = [row for row in chosen if row.values[by - labels] is None]
    # What is not known is last, whichever way.
    return sorted(known, key=lambda row: row.values[by - labels] or 0.0, reverse=down) + rest


def cells(row: Row, table: Table) -> Iterator[str]:
    """The texts of a row."""
    yield from (printable(label) for label in row.labels)
    for value, column in zip(row.values, table.columns, strict=True):
        yield text(value, column.unit)


def printable(label: str) -> str:
    """A label's value; a terminal obeys what is in a text."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in label)


_SCALES = {
    "s": ((1e-6, "µs", 1e6), (1e-3, "ms", 1e3), (1.0, "s", 1.0)),
    "B": ((1.0, "B", 1.0), (2**10, "KiB", 2**-10), (2**20, "MiB", 2**-20), (2**30, "GiB", 2**-30)),
}


def text(value: object, unit: str = "") -> str:
    """A number for people, such as ``12.3 ms``; nothing where there is none."""
    if not isinstance(value, float) or math.isnan(value):
        return ""
    if unit == "ratio":
        return f"{100 * value:.3g} %"
    if unit == "bool":
        return "yes" if value else "no"
    if unit == "time":
        return f"{datetime.fromtimestamp(value):%m-%d %H:%M:%S}"
    if math.isinf(value):
        return str(value)
    if scale := _SCALES.get(unit.removesuffix("/s")):
        name, factor = next(((n, f) for least, n, f in reversed(scale) if abs(value) >= least), scale[0][1:])
        return f"{value * factor:.3g} {name}{'/s' if unit.endswith('/s') else ''}"
    number = f"{value:.0f}" if value == int(value) and abs(value) < 1e7 else f"{value:.4g}"
    return f"{number} {unit}".strip()
