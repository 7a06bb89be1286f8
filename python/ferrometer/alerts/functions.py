"""The functions of templates, with Go's and Prometheus's results."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

from ferrometer.alerts.duration import milliseconds


class TemplateError(ValueError):
    """A template that has no meaning for what it was given."""


def go_float(value: float) -> str:
    """A number as Go's ``%v`` writes it: the shortest digits, an exponent below 1e-4 and from 1e+06 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(value)).normalize()
    sign, digits, _ = number.as_tuple()
    text, power, minus = "".join(map(str, digits)), number.adjusted() if value else 0, "-" if sign else ""
    if power < -4 or power >= 6:
        tail = f".{text[1:]}" if len(text) > 1 else ""
        return f"{minus}{text[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{text}"
    text = text.ljust(power + 1, "0")
    rest = text[power + 1 :]
    return f"{minus}{text[: power + 1]}{'.' + rest if rest else ''}"


def printed(value: Any) -> str:
    """A value as an action prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{printed(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + " ".join(printed(item) for item in value) + "]"
    return str(value)


def is_true(value: Any) -> bool:
    """What counts as true for ``if``: not empty, and not zero."""
    if isinstance(value, float):
        return value != 0
    return bool(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TemplateError("a truth value is no number")
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TemplateError(f"{value!r} is no number") from None


def _four(value: float) -> str:
    """``%.4g``"""
    if math.isnan(value) or math.isinf(value):
        return go_float(value)
    return f"{value:.4g}"


def humanize(value: Any) -> str:
    """With a metric prefix."""
    number = _number(value)
    if number == 0 or not math.isfinite(number):
        return _four(number)
    if abs(number) >= 1:
        prefix = ""
        for each in "kMGTPEZY":
            if abs(number) < 1000:
                break
            prefix = each
            number /= 1000
        return _four(number) + prefix
    prefix = ""
    for each in "munpfazy":
        if abs(number) >= 1:
            break
        prefix = each
        number *= 1000
    return _four(number) + prefix


def humanize1024(value: Any) -> str:
    """With a binary prefix."""
    number = _number(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return _four(number)
    prefix = ""
    for each in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
        if abs(number) < 1024:
            break
        prefix = each
        number /= 1024
    return _four(number) + prefix


def humanize_duration(value: Any) -> str:
    """Seconds as days, hours, minutes and seconds."""
    number = _number(value)
    if not math.isfinite(number):
        return _four(number)
    if number == 0:
        return "0s"
    if abs(number) >= 1:
        sign = "-" if number < 0 else ""
        whole = int(abs(number))
        seconds, minutes = whole % 60, whole // 60 % 60
        hours, days = whole // 3600 % 24, whole // 86_400
        if days:
            return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
        if hours:
            return f"{sign}{hours}h {minutes}m {seconds}s"
        if minutes:
            return f"{sign}{minutes}m {seconds}s"
        return f"{sign}{_four(abs(number))}s"
    prefix = ""
    for each in "munpfazy":
        if abs(number) >= 1:
            break
        prefix = each
        number *= 1000
    return f"{_four(number)}{prefix}s"


def humanize_percentage(value: Any) -> str:
    """A share of 1 in per cent."""
    number = _number(value)
    return (_four(number * 100) if math.isfinite(number) else go_float(number)) + "%"


def humanize_timestamp(value: Any) -> str:
    """Seconds since 1970 as a time in UTC."""
    number = _number(value)
    if not math.isfinite(number):
        return _four(number)
    try:
        at = datetime.fromtimestamp(number, UTC)
    except (OverflowError, ValueError, OSError):
        raise TemplateError(f"{go_float(number)} cannot be represented as a time") from None
    fraction = f".{at.microsecond:06d}".rstrip("0").rstrip(".") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


_VERB = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d*))?([a-zA-Z%])")


def printf(form: Any, *values: Any) -> str:
    """Go's ``printf``, as far as texts and numbers need it."""
    left = list(values)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        if verb in "vs":
            text = printed(value)
            text = text[: int(precision)] if precision else text
        elif verb == "q":
            text = '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
        elif verb in "feEgG" and isinstance(value, float):
            if (verb in "gG" and precision is None) or not math.isfinite(value):
                text = go_float(value)
            else:
                digits = 6 if precision is None else int(precision or 0)
                text = f"{value:{'+' if '+' in flags else ''}.{digits}{verb}}"
        elif verb in "dxXob" and isinstance(value, int) and not isinstance(value, bool):
            text = f"{value:{'+' if '+' in flags else ''}{verb}}"
        elif verb == "t" and isinstance(value, bool):
            text = printed(value)
        else:
            kind = {str: "string", int: "int", float: "float64", bool: "bool"}.get(type(value), "value")
            return f"%!{verb}({kind}={printed(value)})"
        if width:
            fill = "0" if "0" in flags and "-" not in flags and verb not in "vsq" else " "
            text = text.ljust(int(width)) if "-" in flags else text.rjust(int(width), fill)
        return text

    text = _VERB.sub(one, str(form))
    return text if not left else f"{text}%!(EXTRA {', '.join(printed(value) for value in left)})"


def _print(*values: Any) -> str:
    text = ""
    for number, value in enumerate(values):
        # As Go: a space between two of which neither is a text.
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += printed(value)
    return text


def _compare(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            raise TemplateError("incompatible types for comparison")
        return holds(one, other)

    return compared


def _equal(first: Any, second: Any, *more: Any) -> bool:
    for other in (second, *more):
        if type(first) is not type(other):
            raise TemplateError("incompatible types for comparison")
    return any(first == other for other in (second, *more))


def _and(first: Any, *more: Any) -> Any:
    for value in (first, *more):
        if not is_true(value):
            return value
    return (first, *more)[-1]


def _or(first: Any, *more: Any) -> Any:
    for value in (first, *more):
        if is_true(value):
            return value
    return (first, *more)[-1]


def _first(samples: Any) -> Any:
    if not samples:
        raise TemplateError("first() called on vector with no elements")
    return samples[0]


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        else:
            try:
                value = value[key]
            except (IndexError, TypeError, KeyError):
                raise TemplateError(f"there is nothing at {key!r}") from None
    return value


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        raise TemplateError("len of what has no length") from None


def _replace_all(pattern: Any, replacement: Any, text: Any) -> str:
    try:
        return re.sub(str(pattern), re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", str(replacement)), str(text))
    except (re.error, IndexError) as error:
        raise TemplateError(f"reReplaceAll: {error}") from None


def _match(pattern: Any, text: Any) -> bool:
    try:
        return re.search(str(pattern), str(text)) is not None
    except re.error as error:
        raise TemplateError(f"match: {error}") from None


def _strip_port(text: Any) -> str:
    return re.sub(r":\d+$", "", str(text)).strip("[]")


def _strip_domain(text: Any) -> str:
    return re.sub(r"^([^.:]+)\.[^:]*", r"\1", str(text))


def _parse_duration(text: Any) -> float:
    try:
        return milliseconds(str(text)) / 1000
    except ValueError as error:
        raise TemplateError(str(error)) from None


#: By the names that templates use.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "printf": printf,
    "print": _print,
    "println": lambda *values: " ".join(printed(value) for value in values) + "\n",
    "toUpper": lambda text: str(text).upper(),
    "toLower": lambda text: str(text).lower(),
    "title": lambda text: re.sub(r"\b\w", lambda match: match[0].upper(), str(text)),
    "reReplaceAll": _replace_all,
    "match": _match,
    "stripPort": _strip_port,
    "stripDomain": _strip_domain,
    "parseDuration": _parse_duration,
    "safeHtml": str,
    "html": lambda text: html.escape(str(text)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "urlquery": lambda text: quote_plus(str(text)),
    "first": _first,
    "value": lambda sample: _index(sample, "Value"),
    "strvalue": lambda sample: _index(_index(sample, "Labels"), "__value__"),
    "label": lambda name, sample: _index(_index(sample, "Labels"), name),
    "sortByLabel": lambda name, samples: sorted(
        samples, key=lambda sample: str(_index(sample["Labels"], name))
    ),
    "index": _index,
    "len": _length,
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "lt": _compare(lambda one, other: bool(one < other)),
    "le": _compare(lambda one, other: bool(one <= other)),
    "gt": _compare(lambda one, other: bool(one > other)),
    "ge": _compare(lambda one, other: bool(one >= other)),
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
}
