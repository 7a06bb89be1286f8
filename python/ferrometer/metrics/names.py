"""Names and exemplars: what the exposition formats allow, refused where the mistake is made."""

from __future__ import annotations

import os
import sys
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: The most characters that all labels of one exemplar may have together (OpenMetrics 1.0).
EXEMPLAR_RUNES = 128

_INF = float("inf")


def full_name(kind: str, name: str, namespace: str, subsystem: str, unit: str) -> str:
    """The family's name: parts joined, a counter's ``_total`` taken off, the unit put on.

    Raises ValueError when a part or the whole is no metric name.
    """
    if not name:
        raise ValueError("Metric name should not be empty")
    for part in (name, namespace, subsystem, unit):
        if part and not isinstance(part, str):
            raise TypeError(
                f"a metric name is a str, and so are its parts; {part!r} is a {type(part).__name__}"
            )
    full = "_".join(part for part in (namespace, subsystem, name) if part)
    if kind == "counter":
        full = full.removesuffix("_total")
    if unit and not full.endswith("_" + unit):
        full += "_" + unit
    if unit and kind in ("info", "stateset"):
        raise ValueError("Metric name is of a type that cannot have a unit: " + full)
    if not is_plain_name(full) and legacy_names():
        good = "".join(c if c.isascii() and (c.isalnum() or c in "_:") else "_" for c in full)
        good = "_" + good if good[:1].isdigit() else good
        raise ValueError(f"invalid metric name {full!r}: letters, digits, '_' and ':' only, e.g. {good!r}")
    _refuse_surrogates(full)
    return full


def is_plain_name(name: str) -> bool:
    """Whether the exposition formats print a metric's name without quotes or escapes."""
    # Colons are for recording rules, but prometheus_client has always let them pass.
    return name.isascii() and name.replace(":", "_").isidentifier()


def is_plain_label(name: str) -> bool:
    """The same of a label's name."""
    return name.isascii() and name.isidentifier()


def legacy_names() -> bool:
    """Whether names are limited to letters, digits and underscores, as prometheus_client has been told."""
    peer = sys.modules.get("prometheus_client.validation")
    if asked := getattr(peer, "get_legacy_validation", None):
        return bool(asked())
    return os.environ.get("PROMETHEUS_LEGACY_NAME_VALIDATION", "False").lower() in ("true", "1", "t")


def _refuse_surrogates(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"invalid name {name!r}: a lone surrogate is no Unicode text") from None


def label_names(names: Iterable[str], reserved: Sequence[str]) -> tuple[str, ...]:
    """The label names as a tuple.

    Raises ValueError for a name that is malformed, reserved or given twice.
    """
    if isinstance(names, str) and len(names) > 1:
        raise ValueError(f"labelnames is the string {names!r}; give a list: [{names!r}]")
    checked = tuple(names)
    for name in checked:
        if not isinstance(name, str):
            raise ValueError(f"Invalid label metric name: {name!r} is a {type(name).__name__}, not a str")
        _refuse_surrogates(name)
        if not name or (not is_plain_label(name) and legacy_names()):
            raise ValueError(f"Invalid label metric name: {name!r}; letters, digits and '_' only")
        if name.startswith("__"):
            raise ValueError(f"Reserved label metric name: {name}; names with '__' belong to Prometheus")
        if name in reserved:
            raise ValueError(f"Reserved label metric name: {name}; the metric's own samples use it")
    if len(set(checked)) != len(checked):
        raise ValueError(f"Duplicated label name in {checked}")
    return checked


def bucket_bounds(buckets: Iterable[float | str]) -> tuple[float, ...]:
    """The upper bounds as numbers, with +Inf at the end.

    Raises ValueError when there are too few, when one is NaN or no number, and when they do not ascend.
    """
    if isinstance(buckets, str):
        raise ValueError(f"buckets is the string {buckets!r}; give a list of upper bounds: [0.1, 1, 10]")
    bounds = []
    for bound in buckets:
        try:
            bounds.append(float(bound))
        except ValueError:
            raise ValueError(
                f"bucket bound {bound!r} is no number; give upper bounds: [0.1, 1, 10]"
            ) from None
    if bounds[-1:] != [_INF]:
        bounds.append(_INF)
    if len(bounds) < 2:
        raise ValueError(f"Must have at least two buckets, not {bounds}: give an upper bound below +Inf")
    for left, right in pairwise(bounds):
        if not left < right:
            if left != left or right != right:
                raise ValueError(f"bucket bounds {left}, {right}: no value is below NaN; remove it")
            raise ValueError(
                f"Buckets not in sorted order: {left} is followed by {right}; bounds must ascend, each once"
            )
    return tuple(bounds)


def quantile_shares(quantiles: Iterable[float]) -> tuple[float, ...]:
    """The quantiles as numbers. Raises ValueError for one outside [0, 1] and for one given twice."""
    try:
        shares = tuple(float(q) for q in quantiles)
    except ValueError as error:
        raise ValueError(f"quantiles are numbers in [0, 1]: {error}; p99 is 0.99") from None
    for q in shares:
        if not 0 <= q <= 1:
            raise ValueError(f"quantiles are in [0, 1], not {q}: p99 is 0.99")
        if shares.count(q) > 1:
            raise ValueError(f"quantile {q} is given twice in {shares}; each makes a series of its own")
    return shares


def state_names(name: str, states: Iterable[str] | None) -> tuple[str, ...]:
    """The states of an enum. Raises ValueError when there is none, one is no str, or one is given twice."""
    if isinstance(states, str):
        raise ValueError(f"states is the string {states!r}; give a list: [{states!r}]")
    checked = tuple(states or ())
    if not checked:
        raise ValueError(
            f"No states provided for Enum metric: {name}; give a list of names, the first one holds"
        )
    for state in checked:
        if not isinstance(state, str):
            raise ValueError(f"state {state!r} of {name} is a {type(state).__name__}; give {str(state)!r}")
        if checked.count(state) > 1:
            raise ValueError(f"state {state!r} of {name} is given twice; each makes a series of its own")
    return checked


def validate_exemplar(exemplar: Mapping[str, str]) -> None:
    """Raises ValueError when the exemplar's labels are malformed or too long."""
    runes = 0
    for name, value in exemplar.items():
        label_names((name,), ())
        runes += len(name) + len(value)
    if runes > EXEMPLAR_RUNES:
        raise ValueError(
            f"Exemplar labels have {runes} UTF-8 characters, exceeding the limit of {EXEMPLAR_RUNES}"
        )
