"""The budgets, on the live page."""

from __future__ import annotations

from ferrometer._runtime.panel import Chart, Column, Line, Panel, Table, Tile

PANELS = (
    Panel(
        name="objectives",
        title="Objectives",
        when=r"slo:objective:ratio",
        tiles=(
            Tile("Objectives", "count(slo:objective:ratio)"),
            Tile("Budget left", "min(slo:period_error_budget_remaining:ratio)", "ratio", "of the worst"),
            Tile("Burn rate", "max(slo:current_burn_rate:ratio)", "", "of the fastest; 1 uses it up in time"),
        ),
        charts=(
            Chart(
                "Budget left",
                "ratio",
                (Line("slo:period_error_budget_remaining:ratio", "{sloth_slo}"),),
                most=1.0,
            ),
            Chart("Burn rate", "", (Line("slo:current_burn_rate:ratio", "{sloth_slo}"),), most=1.0),
        ),
        tables=(
            Table(
                "Objectives",
                ("sloth_service", "sloth_slo"),
                (
                    Column("Target", "slo:objective:ratio", "ratio"),
                    Column("Budget left", "slo:period_error_budget_remaining:ratio", "ratio"),
                    Column("Bad, 5 min", "slo:sli_error:ratio_rate5m", "ratio"),
                    Column("Bad, 1 h", "slo:sli_error:ratio_rate1h", "ratio"),
                    Column("Bad, 3 d", "slo:sli_error:ratio_rate3d", "ratio"),
                    Column("Burn rate", "slo:current_burn_rate:ratio"),
                    Column("Days", "slo:time_period:days"),
                ),
            ),
        ),
    ),
)
