"""Jobs, on the live page."""

from __future__ import annotations

from ferrometer._runtime.panel import Chart, Column, Line, Panel, Table, Tile


def _named(name: str) -> str:
    """A metric with or without a namespace."""
    return f'{{__name__=~"(.+_)?{name}"}}'


def _rate(name: str, window: str) -> str:
    return f'rate({{__name__=~"(.+_)?{name}"}}[{window}])'


_JOBS = Panel(
    name="jobs",
    title="Jobs",
    when=r"(\w+_)?job_started_total",
    tiles=(
        Tile("Running", f"sum({_named('job_in_flight')})"),
        Tile("Ended", "sum(rate(jobs_processed_total[$window]))", "/s"),
        Tile(
            "Failed",
            '(sum(rate(jobs_processed_total{status="failed"}[$table])))'
            " / (sum(rate(jobs_processed_total[$table])) > 0)",
            "ratio",
        ),
        Tile("Stuck", f"sum({_named('job_stuck')})"),
        Tile("Lost", f"sum({_named('job_lost_total')})", "", "since the start"),
        Tile(
            "Duration, p95",
            "histogram_quantile(0.95, sum by (le) (rate(job_processing_duration_seconds_bucket[$table])))",
            "s",
        ),
    ),
    charts=(
        Chart("Ended", "/s", (Line("sum by (status) (rate(jobs_processed_total[$window]))", "{status}"),)),
        Chart("Running", "", (Line(f"sum by (job_type) ({_named('job_in_flight')})", "{job_type}"),)),
        Chart(
            "Duration, p95",
            "s",
            (
                Line(
                    "histogram_quantile(0.95, sum by (le, job_type)"
                    f" ({_rate('job_duration_seconds_bucket', '$window')}))",
                    "{job_type}",
                ),
            ),
        ),
        Chart(
            "Wait, p95",
            "s",
            (
                Line(
                    "histogram_quantile(0.95, sum by (le, job_type)"
                    f" ({_rate('job_wait_seconds_bucket', '$window')}))",
                    "{job_type}",
                ),
            ),
        ),
    ),
    tables=(
        Table(
            "Types",
            ("job_type",),
            (
                Column("Running", f"sum by (job_type) ({_named('job_in_flight')})"),
                Column("Completed", f"sum by (job_type) ({_rate('job_completed_total', '$table')})", "/s"),
                Column("Failed", f"sum by (job_type) ({_rate('job_failed_total', '$table')})", "/s"),
                Column("Lost", f"sum by (job_type) ({_named('job_lost_total')})", "", 0.0),
                Column("Stuck", f"sum by (job_type) ({_named('job_stuck')})", "", 0.0),
                Column("Oldest", f"max by (job_type) ({_named('job_oldest_seconds')})", "s"),
            ),
        ),
    ),
)

PANELS = (_JOBS,)
