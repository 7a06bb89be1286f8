"""Draws `docs/overhead.svg`: what each middleware adds to a request, on a logarithmic scale.

Text takes the page's colour (black, or white where the reader prefers dark), so it reads on both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from benches.row import CONTROL, FLOOR, OURS

ROW = "middleware"
LABELS = {
    OURS: "Ferrometer, everything on",
    FLOOR: "an empty Python middleware",
    "starlette_exporter": "starlette_exporter",
    "fastapi-instrumentator": "prometheus-fastapi-instrumentator",
    "opentelemetry": "OpenTelemetry (metrics only)",
    "pytheus": "pytheus",
}
LEFT, WIDTH, BAR, GAP, TOP = 245, 760, 22, 12, 58
PLOT = WIDTH - LEFT - 95  # room for the figure behind the longest bar

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .soft { fill: #59636e; font-size: 12px; }
  .grid { stroke: #8c959f; stroke-opacity: .35; }
  .bar { fill: #8c959f; }
  .ours { fill: #b7410e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .soft { fill: #9198a1; }
    .ours { fill: #f0763c; }
  }
"""


def overheads(run: Mapping[str, Any]) -> dict[str, float]:
    """Nanoseconds that each middleware adds, smallest first."""
    [row] = [row for row in run["rows"] if row["key"] == ROW]
    figures = {name: float(figure["median"]) for name, figure in row["figures"].items() if name != CONTROL}
    return dict(sorted(figures.items(), key=lambda item: item[1]))


def draw(run: Mapping[str, Any]) -> str:
    """The picture as SVG."""
    values = overheads(run)
    # One decade below the smallest: a logarithmic scale has no zero, and no bar should look like nothing.
    low = 10 ** (math.floor(math.log10(min(values.values()))) - 1)
    high = max(values.values())

    def x(value: float) -> float:
        return LEFT + PLOT * (math.log10(value / low) / math.log10(high / low))

    bottom = TOP + len(values) * (BAR + GAP)
    height = bottom + 44
    machine = run["machine"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'     aria-label="{escape(_sentence(values))}">',
        f"<style>{STYLE}</style>",
        '<text class="title" x="12" y="24">What a metrics middleware adds to each request</text>',
        '<text class="soft" x="12" y="42">over the bare ASGI application; a logarithmic scale</text>',
    ]
    tick = low
    while tick <= high:
        at = f"{x(tick):.1f}"
        parts += [
            f'<line class="grid" x1="{at}" y1="{TOP - 6}" x2="{at}" y2="{bottom}"/>',
            f'<text class="soft" x="{at}" y="{bottom + 16}" text-anchor="middle">{_time(tick)}</text>',
        ]
        tick *= 10
    for index, (name, value) in enumerate(values.items()):
        y = TOP + index * (BAR + GAP)
        kind = "ours" if name == OURS else "bar"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(LABELS.get(name, name))}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{x(value) - LEFT:.1f}" height="{BAR}" rx="3"/>',
            f'<text x="{x(value) + 8:.1f}" y="{y + 16}">{_time(value)}</text>',
        ]
    where = f"{machine['processor']}, Python {machine['python']}; medians; python -m benches"
    parts += [f'<text class="soft" x="12" y="{height - 8}">{escape(where)}</text>', "</svg>", ""]
    return "\n".join(parts)


def _sentence(values: Mapping[str, float]) -> str:
    return "Overhead for each request: " + ", ".join(
        f"{LABELS.get(n, n)} {_time(v)}" for n, v in values.items()
    )


def _time(nanoseconds: float) -> str:
    if nanoseconds >= 1e3:
        return f"{nanoseconds / 1e3:.3g} µs"
    return f"{nanoseconds:.3g} ns"
