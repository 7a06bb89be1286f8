"""``ferrometer.query(...)``: an expression, and its value as Python objects."""

from __future__ import annotations

import math
import os
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, overload

from ferrometer.history.source import QueryError, Source, open_source


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """A native histogram."""

    count: float
    sum: float
    #: Lower and upper bound and count of each bin that holds something.
    buckets: tuple[tuple[float, float, float], ...]


Number: TypeAlias = "float | NativeHistogram"


class Sample(NamedTuple):
    """A series' value at one time."""

    labels: Mapping[str, str]
    value: Number
    #: Seconds since 1970.
    time: float


class Series(NamedTuple):
    """A series' values at several times."""

    labels: Mapping[str, str]
    #: Seconds since 1970, and the value then.
    points: tuple[tuple[float, Number], ...]


Time: TypeAlias = "float | datetime"


@overload
def query(
    expression: str,
    *,
    time: Time | None = None,
    where: str | os.PathLike[str] | None = None,
    token: str | None = None,
) -> float | str | list[Sample] | list[Series]: ...
@overload
def query(
    expression: str,
    *,
    start: Time,
    end: Time | None = None,
    step: float | None = None,
    where: str | os.PathLike[str] | None = None,
    token: str | None = None,
) -> list[Series]: ...
def query(
    expression: str,
    *,
    time: Time | None = None,
    start: Time | None = None,
    end: Time | None = None,
    step: float | None = None,
    where: str | os.PathLike[str] | None = None,
    token: str | None = None,
) -> float | str | list[Sample] | list[Series]:
    """The value of a PromQL expression: now, at ``time``, or from ``start`` to ``end`` by ``step`` seconds.

    An instant vector is a list of ``Sample``, a range vector a list of ``Series``; a scalar is a float.
    Without ``step`` there are about 250 points. ``where`` is a URL (of the endpoints, or of any Prometheus),
    or the directory that workers share or shared; None is the history of this process. It blocks: in a
    coroutine, call it with ``asyncio.to_thread``.

    Raises QueryError, a ValueError, for an expression that has no answer; RuntimeError where this process has
    no history; OSError when a URL does not answer.
    """
    source = open_source(where, token)
    if start is None:
        if end is not None or step is not None:
            raise ValueError("end and step need a start")
        parameters = [("query", expression)]
        if time is not None:
            parameters.append(("time", _seconds(time)))
        return value_of(ask(source, "query", parameters))
    if time is not None:
        raise ValueError("either time, or start and end")
    begin, finish = float(_seconds(start)), clock.time() if end is None else float(_seconds(end))
    if step is None:
        step = max(1.0, math.ceil((finish - begin) / 250))
    parameters = [
        ("query", expression),
        ("start", repr(begin)),
        ("end", repr(finish)),
        ("step", repr(float(step))),
    ]
    return _matrix(ask(source, "query_range", parameters)["result"])


def ask(source: Source, path: str, parameters: Sequence[tuple[str, str]]) -> Any:
    """The data of an answer. Raises QueryError for an error."""
    answer = source.get(path, parameters)
    if answer.get("status") != "success":
        raise QueryError(str(answer.get("errorType", "")), str(answer.get("error", "no answer")))
    return answer["data"]


def value_of(data: Mapping[str, Any]) -> float | str | list[Sample] | list[Series]:
    """The value in the data of an answer to a query."""
    result = data["result"]
    match data["resultType"]:
        case "scalar":
            return _number(result[1])
        case "string":
            return str(result[1])
        case "vector":
            return [_sample(entry) for entry in result]
        case _:
            return _matrix(result)


def _sample(entry: Mapping[str, Any]) -> Sample:
    if "histogram" in entry:
        at, value = entry["histogram"]
        return Sample(entry["metric"], _histogram(value), float(at))
    at, value = entry["value"]
    return Sample(entry["metric"], _number(value), float(at))


def _matrix(result: Sequence[Mapping[str, Any]]) -> list[Series]:
    found = []
    for entry in result:
        points: list[tuple[float, Number]] = [
            (float(at), _number(value)) for at, value in entry.get("values", ())
        ]
        points += [(float(at), _histogram(value)) for at, value in entry.get("histograms", ())]
        found.append(Series(entry["metric"], tuple(sorted(points, key=lambda point: point[0]))))
    return found


def _number(text: str) -> float:
    return float(text)  # "NaN", "+Inf" and "-Inf" too


def _histogram(value: Mapping[str, Any]) -> NativeHistogram:
    buckets = tuple(
        (float(lower), float(upper), float(count)) for _, lower, upper, count in value.get("buckets", ())
    )
    return NativeHistogram(float(value["count"]), float(value["sum"]), buckets)


def _seconds(moment: Time) -> str:
    return repr(moment.timestamp() if isinstance(moment, datetime) else float(moment))
