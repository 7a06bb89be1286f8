"""Durations as Prometheus writes them: ``5m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import re

_UNITS = (
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
)
_FORM = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")


def milliseconds(text: str) -> int:
    """The milliseconds of a duration. Raises ValueError for what is none."""
    match = _FORM.fullmatch(text)
    if text == "0":
        return 0
    if not text or match is None:
        raise ValueError(f"not a duration: {text!r}; write 30s, 5m or 1h30m")
    factors = (*(factor for _, factor in _UNITS), 1)
    return sum(int(number) * factor for number, factor in zip(match.groups(), factors, strict=True) if number)


def text_of(ms: int) -> str:
    """The shortest way to write it."""
    if ms == 0:
        return "0s"
    parts = []
    for unit, factor in (*_UNITS, ("ms", 1)):
        # As Prometheus: years and weeks only where nothing is left over.
        if unit in "yw" and ms % factor:
            continue
        if count := ms // factor:
            parts.append(f"{count}{unit}")
            ms -= count * factor
    return "".join(parts)
