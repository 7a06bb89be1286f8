"""OpenTelemetry's names as Prometheus has them, by the specification of their compatibility."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_IN_LABELS = re.compile(r"[^a-zA-Z0-9]+")
_ANNOTATION = re.compile(r"\{.*\}")
#: Characters of an attribute's value that a label keeps.
TEXT_LIMIT = 1024

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def unit_of(unit: str) -> str:
    """The last part of a metric's name for a UCUM unit: ``seconds`` for ``s``."""
    unit = _ANNOTATION.sub("", unit)
    if unit in _UNITS:
        return _UNITS[unit]
    above, slash, below = (_IN_NAMES.sub("_", part) for part in unit.partition("/"))
    if slash and below:
        above, below = _UNITS.get(above, above), _PER.get(below, below)
        return f"{above}_per_{below}" if above else f"per_{below}"
    return _IN_NAMES.sub("_", unit).strip("_")


def name_of(name: str, unit: str, kind: str) -> str:
    """The family's name of an instrument: ``http.server.request.duration`` in ``s`` is
    ``http_server_request_duration_seconds``; a counter's is without ``_total``."""
    # Names that differ in case alone are the same instrument.
    full = _IN_NAMES.sub("_", name.lower())
    if kind == "counter":
        full = full.removesuffix("_total")
    unit = unit_of(unit)
    return full if not unit or full.endswith("_" + unit) else f"{full}_{unit}"


def label_of(key: str) -> str:
    """The label of an attribute."""
    label = _IN_LABELS.sub("_", "_" + key[1:] if key[:1].isdigit() else key)
    # What a histogram's buckets have for themselves.
    return "exported_le" if label == "le" else label


def text_of(value: object) -> str:
    """The value of an attribute as a label has it: text as it is, all else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def labels_of(
    scope: Mapping[str, str],
) -> Callable[[Mapping[str, Any] | None], list[tuple[str, str]]]:
    """What makes labels of the attributes of a measurement, beside those of the scope.

    Attributes whose labels have the same name are joined by ``;``. What cannot be told is left out.
    """

    def told(attributes: Mapping[str, Any] | None) -> list[tuple[str, str]]:
        labels = dict(scope)
        own: dict[str, str] = {}
        try:
            for key, value in attributes.items() if attributes else ():
                if isinstance(key, str) and key and value is not None:
                    label, text = label_of(key), text_of(value)
                    own[label] = f"{own[label]};{text}" if label in own else text
        except Exception:  # values of the application tell themselves: anything can come out of it
            own["otel_attributes"] = "unreadable"
        labels |= own
        # A label without text is the same as none.
        return [(label, text) for label, text in labels.items() if text]

    return told
