"""``ferrometer query``: a PromQL expression, asked of a URL or of a directory."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ferrometer.cli.arguments import token_variable
from ferrometer.history.source import QueryError, open_source
from ferrometer.history.values import NativeHistogram, Number, Sample, Series, ask, value_of

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands

_BARS = "▁▂▃▄▅▆▇█"
#: Points of a line that fits into a terminal.
_POINTS = 60
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser(
        "query", help="a PromQL expression, asked of a URL or of a shared directory"
    )
    command.add_argument(
        "where", metavar="URL|DIR", help="the endpoints, a Prometheus, or what workers share"
    )
    command.add_argument("expression", help="such as 'sum by (endpoint) (rate(http_requests_total[5m]))'")
    command.add_argument("--time", metavar="SECONDS", help="seconds since 1970 (now)")
    command.add_argument("--since", metavar="DURATION", help="a line of so long until then: 15m, 1h30m")
    command.add_argument("--step", type=float, metavar="SECONDS", help="from one point of it to the next")
    command.add_argument("--json", action="store_true", help="the value as Prometheus writes it")
    token_variable(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    return run(
        options.where,
        options.expression,
        at=options.time,
        since=options.since,
        step=options.step,
        as_json=options.json,
        token=options.token,
    )


def run(
    where: str,
    expression: str,
    *,
    at: str | None = None,
    since: str | None = None,
    step: float | None = None,
    as_json: bool = False,
    token: str | None = None,
) -> int:
    """Prints the value; returns the exit status."""
    try:
        source = open_source(where, token)
        parameters = [("query", expression)]
        path = "query"
        if since is not None:
            end = time.time() if at is None else float(at)
            seconds = duration(since)
            path = "query_range"
            step = step or max(1.0, math.ceil(seconds / (_POINTS - 1)))
            bounds = {"start": end - seconds, "end": end, "step": step}
            parameters += [(name, repr(float(value))) for name, value in bounds.items()]
        elif at is not None:
            parameters.append(("time", at))
        data = ask(source, path, parameters)
    except QueryError as error:
        print(f"ferrometer query: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"ferrometer query: {error}", file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(data))
        return 0
    value = value_of(data)
    for line in _lines(value):
        print(line)
    return 0


def duration(text: str) -> float:
    """The seconds of ``90``, ``15m`` or ``1h30m``. Raises ValueError for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration: {text!r}; write 90, 15m or 1h30m")
    return float(sum(int(number) * _UNITS[unit] for number, unit in parts))


def _lines(value: float | str | Sequence[Sample] | Sequence[Series]) -> list[str]:
    if isinstance(value, float | str):
        return [_show(value) if isinstance(value, float) else value]
    if not value:
        return ["no series"]
    rows = [
        (_name(entry.labels), _show(entry.value))
        if isinstance(entry, Sample)
        else (_name(entry.labels), _line(entry))
        for entry in value
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {shown}" for name, shown in rows]


def _name(labels: Mapping[str, str]) -> str:
    pairs = ",".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in labels.items()
        if name != "__name__"
    )
    text = labels.get("__name__", "") + (f"{{{pairs}}}" if pairs or "__name__" not in labels else "")
    # A terminal obeys what is in a text.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _show(value: Number) -> str:
    if isinstance(value, NativeHistogram):
        return f"{value.count:g} observations, sum {value.sum:g}, {len(value.buckets)} bins"
    return f"{value:.6g}" if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")


def _line(series: Series) -> str:
    points = [(at, value) for at, value in series.points if not isinstance(value, NativeHistogram)]
    if not points:
        return f"{len(series.points)} histograms"
    finite = [value for _, value in points if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    span = high - low

    def bar(value: float) -> str:
        if not math.isfinite(value):
            return " "
        return _BARS[round((value - low) / span * (len(_BARS) - 1))] if span > 0 else _BARS[0]

    shown = points[:: max(1, math.ceil(len(points) / _POINTS))]
    first, last = (datetime.fromtimestamp(at, UTC).astimezone() for at in (points[0][0], points[-1][0]))
    line = "".join(bar(value) for _, value in shown)
    values = f"{_show(low)} to {_show(high)}, now {_show(points[-1][1])}"
    return f"{line}  {values}  ({first:%H:%M:%S} to {last:%H:%M:%S})"
