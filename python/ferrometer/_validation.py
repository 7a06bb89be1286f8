"""Names and exemplars: what the exposition formats allow, refused where the mistake is made."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: The most characters that all labels of one exemplar may have together (OpenMetrics 1.0).
EXEMPLAR_RUNES = 128


def full_name(kind: str, name: str, namespace: str, subsystem: str, unit: str) -> str:
    """The family's name: parts joined, a counter's ``_total`` taken off, the unit put on.

    Raises ValueError when a part or the whole is no metric name.
    """
    if not name:
        raise ValueError("Metric name should not be empty")
    full = "_".join(part for part in (namespace, subsystem, name) if part)
    if kind == "counter":
        full = full.removesuffix("_total")
    if unit and not full.endswith("_" + unit):
        full += "_" + unit
    if unit and kind in ("info", "stateset"):
        raise ValueError("Metric name is of a type that cannot have a unit: " + full)
    # Colons are for recording rules, but prometheus_client has always let them pass.
    if not (full.isascii() and full.replace(":", "_").isidentifier()):
        good = "".join(c if c.isascii() and (c.isalnum() or c in "_:") else "_" for c in full)
        good = "_" + good if good[:1].isdigit() else good
        raise ValueError(f"invalid metric name {full!r}: letters, digits, '_' and ':' only, e.g. {good!r}")
    return full


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
        if not (name.isascii() and name.isidentifier()):
            raise ValueError(f"Invalid label metric name: {name!r}; letters, digits and '_' only")
        if name.startswith("__"):
            raise ValueError(f"Reserved label metric name: {name}; names with '__' belong to Prometheus")
        if name in reserved:
            raise ValueError(f"Reserved label metric name: {name}; the metric's own samples use it")
    if len(set(checked)) != len(checked):
        raise ValueError(f"Duplicated label name in {checked}")
    return checked


def validate_exemplar(exemplar: Mapping[str, str]) -> None:
    """Raises ValueError when the exemplar's labels are malformed or too long."""
    runes = 0
    for name, value in exemplar.items():
        label_names((name,), ())
        runes += len(name) + len(value)
    if runes > EXEMPLAR_RUNES:
        raise ValueError(f"Exemplar labels have {runes} UTF-8 characters, exceeding the limit of {EXEMPLAR_RUNES}")
