"""A baseline: what a histogram held at some time, as bins of the native grid."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferrometer import _core
from ferrometer.metrics.types import Histogram

_FORMAT = "ferrometer drift baseline"
_VERSION = 1
#: Bins of an octave.
_RESOLUTION = 128

Bins = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Counts by bin, ascending. ``save`` and ``load`` keep it as JSON."""

    bins: Bins

    @property
    def count(self) -> int:
        """How many values."""
        return sum(count for _, count in self.bins)

    @classmethod
    def of(cls, histogram: Histogram) -> Baseline:
        """What a histogram, or a child of one, has recorded so far in all workers."""
        return cls(_core.HistogramBins.of(histogram).pairs())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as JSON, in place of what was there."""
        written = Path(path).with_name(Path(path).name + ".new")
        about = {"format": _FORMAT, "version": _VERSION, "bins_per_octave": _RESOLUTION}
        written.write_text(json.dumps({**about, "bins": self.bins}) + "\n", encoding="utf-8")
        written.replace(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Baseline:
        """Reads it.

        Raises OSError when there is no such file, ValueError for what is no baseline, or one of another
        version or grid.
        """
        try:
            found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is no drift baseline: {error}") from None
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise ValueError(f"{path} is no drift baseline: save one with Baseline.of(histogram).save(path)")
        if found.get("version") != _VERSION or found.get("bins_per_octave") != _RESOLUTION:
            raise ValueError(
                f"{path} has version {found.get('version')} with {found.get('bins_per_octave')} bins "
                f"an octave; this is version {_VERSION} with {_RESOLUTION}: save the baseline anew"
            )
        return cls(_checked(found.get("bins"), path))


def _checked(bins: Any, path: str | os.PathLike[str]) -> Bins:
    pairs = bins if isinstance(bins, list) else None
    last = -(2**31) - 1
    checked: Bins = []
    for pair in [None] if pairs is None else pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(one) is int for one in pair)):
            raise ValueError(f"{path}: bins must be pairs of whole numbers, not {pair!r}")
        index, count = pair
        if not last < index < 2**31 or not 0 < count < 2**63:
            raise ValueError(f"{path}: bins must ascend and have counts above 0, unlike {pair!r}")
        last = index
        checked.append((index, count))
    return checked
