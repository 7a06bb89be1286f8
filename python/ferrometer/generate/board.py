"""Dashboards as plain data; `grafana_json.py` makes Grafana's JSON of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: The window of a rate; Grafana chooses it, at least four scrapes long.
WINDOW = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: lines over the time that is shown, or of each line its latest value.

    :param lines: expressions and legends, such as ``("sum(up)", "{{job}}")``.
    :param unit: Grafana's word for it.
    :param warn: from this value on it is yellow, from ``bad`` on red; the other way about where ``bad`` is
        less than ``warn``.
    :param alert: the ready-made rule on the same matter: its runbook is linked.
    :param kind: ``lines``, ``values``, ``health`` (1 is UP, 0 is DOWN) or ``heatmap``.
    :param source: what exposes its metrics, where that is not the application: ``node``, ``kubernetes``, or
        ``native`` for native histograms.
    """

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = "lines"
    warn: float | None = None
    bad: float | None = None
    alert: str = ""
    source: str = ""
    most: float | None = None

    @property
    def has_exemplars(self) -> bool:
        """Whether traces are shown: of what comes from the buckets of a histogram."""
        return self.kind == "lines" and any("_bucket" in expression for expression, _ in self.lines)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a headline."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; ``slug`` is the end of its uid and the name of its file."""

    slug: str
    title: str
    about: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z0-9-]+", self.slug):
            raise ValueError(f"a board's slug is of small letters, digits and '-', and not {self.slug!r}")


def one(title: str, unit: str, expression: str, legend: str = "", **more: object) -> Panel:
    """A panel with one expression."""
    return Panel(title, unit, ((expression, legend),), **more)  # type: ignore[arg-type]


def rate(metric: str, by: str = "") -> str:
    """How much a counter grows a second, over all series or ``by`` labels."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[{WINDOW}]))"


def quantile(q: float, histogram: str, by: str = "", labels: str = "") -> str:
    """A percentile by a histogram's buckets."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({q:g}, sum by ({grouped}) (rate({histogram}_bucket{labels}[{WINDOW}])))"


def share(part: str, whole: str, by: str = "") -> str:
    """The share of a counter in another: 0 where the part has no series, nothing where all stands still."""
    total = rate(whole, by)
    return f"({rate(part, by)} or 0 * {total}) / ({total} > 0)"


def percentiles(histogram: str, *quantiles: float) -> tuple[tuple[str, str], ...]:
    """A line for each percentile."""
    return tuple((quantile(q, histogram), f"p{q * 100:g}") for q in quantiles)


FAILED = 'http_requests_total{status=~"5.."}'
ALL = "http_requests_total"
TIMES = "http_request_duration_seconds"
ERRORS = share(FAILED, ALL)
HITS = (
    f"{rate('cache_hits_total', 'cache_type')} / ({rate('cache_hits_total', 'cache_type')}"
    f" + {rate('cache_misses_total', 'cache_type')})"
)
POOL = 'sum by (pool) (db_pool_connections{state="active"}) / sum by (pool) (db_pool_connections_max)'
