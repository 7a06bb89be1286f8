"""Views of the live page: what a feature shows there, as plain data.

A folder with a ``panel.py`` has views of its own: a tuple ``PANELS``. A view is there as long as one of its
metrics is, so it needs no feature to be on and shows the metrics of a dead application, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

#: What the page knows how to write: seconds, bytes, shares of 1, percent, dollars, moments since 1970 ...
UNITS = ("", "s", "B", "B/s", "/s", "ratio", "%", "usd", "°C", "W", "bool", "time")


@dataclass(frozen=True, slots=True)
class Tile:
    """One number. ``query`` is PromQL; of several values the first is shown."""

    title: str
    query: str
    unit: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Lines of a chart: one for each series of ``query``, called what ``legend`` says: ``{pool} idle``."""

    query: str
    legend: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the time that is shown; at most eight. The axis reaches to ``most`` at least."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. Where ``good`` is given, that value is shown as well and any other as bad."""

    title: str
    query: str
    unit: str = ""
    good: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A row for each combination of the values of the labels ``by``."""

    title: str
    by: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A view of the live page, behind a link of its own.

    ``$window`` in a query is the window for rates of the time that is shown, ``$table`` a longer one.

    :param name: what the address of the view says: letters, digits and ``-``.
    :param when: a regular expression; the view is there while a metric has such a name.
    """

    name: str
    title: str
    when: str
    tiles: tuple[Tile, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z0-9-]+", self.name) or self.name == "overview":
            raise ValueError(f"a panel's name is of letters, digits and '-', and not {self.name!r}")
        re.compile(self.when)
        units = {
            *(tile.unit for tile in self.tiles),
            *(chart.unit for chart in self.charts),
            *(column.unit for table in self.tables for column in table.columns),
        }
        if unknown := units.difference(UNITS):
            raise ValueError(f"panel {self.name}: unknown unit {min(unknown)!r}; the units are {UNITS}")

    def as_dict(self) -> dict[str, Any]:
        """What the page reads; what is None is left out."""
        return asdict(
            self, dict_factory=lambda pairs: {key: value for key, value in pairs if value is not None}
        )


@cache
def ready_made() -> tuple[Panel, ...]:
    """The views that the features bring, by their order on the page."""
    package = Path(__file__).parents[1]
    found: list[Panel] = []
    for file in sorted(package.glob("[!_]*/panel.py")):
        found += import_module(f"ferrometer.{file.parent.name}.panel").PANELS
    return unique(found)


def unique(panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """The same panels. Raises ValueError for two of one name."""
    known: dict[str, Panel] = {}
    for panel in panels:
        if known.setdefault(panel.name, panel) is not panel:
            raise ValueError(f"there are two panels called {panel.name!r}")
    return tuple(known.values())
