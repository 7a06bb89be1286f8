"""Trends and what is usual, on the live page: what the rules of the pack `capacity` record."""

from __future__ import annotations

from ferrometer._runtime.panel import Chart, Column, Line, Panel, Table, Tile


def _signal(title: str, signal: str, unit: str) -> Chart:
    select = f'{{signal="{signal}"}}'
    return Chart(
        title,
        unit,
        (
            Line(f"baseline:now{select}", "now"),
            Line(f"baseline:mean{select}", "usual at this time of day"),
            Line(f"baseline:mean{select} + 2 * baseline:deviation{select}", "usual, upper"),
            Line(f"clamp_min(baseline:mean{select} - 2 * baseline:deviation{select}, 0)", "usual, lower"),
        ),
    )


PANELS = (
    Panel(
        name="trends",
        title="Trends",
        when=r"capacity:used:ratio|baseline:now",
        tiles=(
            Tile("Full first", "min(capacity:full:days)", "", "days, by the trend of 6 hours"),
            Tile("Fullest", "max(capacity:used:ratio)", "ratio"),
            Tile("Days known", "max(baseline:days)", "", "of the last seven"),
        ),
        charts=(
            _signal("Requests", "requests", "/s"),
            _signal("Errors", "errors", "ratio"),
            _signal("Latency, p95", "latency", "s"),
            Chart("Used", "ratio", (Line("capacity:used:ratio", "{resource} {name}"),), most=1.0),
        ),
        tables=(
            Table(
                "Resources",
                ("resource", "name"),
                (
                    Column("Used", "capacity:used:ratio", "ratio"),
                    Column("A day", "capacity:trend:ratio_per_day", "ratio"),
                    Column("Days to full", "capacity:full:days"),
                    Column("In 3 days", "predict_linear(capacity:used:ratio[6h], 259200)", "ratio"),
                ),
            ),
        ),
    ),
)
