"""The pack ``jobs``: jobs that fail, hang, or vanish with their worker."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade

_ENDED = 'sum(rate(jobs_processed_total{status=~"completed|failed"}[10m]))'

RULES = (
    ReadyMade(
        "StuckJobs",
        'sum({__name__=~"(.+_)?job_stuck"}) > 5',
        wait="0s",
        severity="critical",
        summary="{{ $value }} jobs have run for too long",
        description="More than 5 jobs have run for over 2 hours, or what `stuck_seconds` in [jobs] says.",
    ),
    ReadyMade(
        "HighJobFailureRate",
        f'sum(rate(jobs_processed_total{{status="failed"}}[10m])) / {_ENDED} > 0.2',
        wait="10m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the jobs fail",
        description="More than 20 % of the jobs have failed for 10 minutes.",
    ),
    ReadyMade(
        "JobsLost",
        'sum by (job_type) (increase({__name__=~"(.+_)?job_lost_total"}[10m])) > 0',
        wait="0s",
        severity="warning",
        summary="{{ $value | humanize }} jobs of {{ $labels.job_type }} were lost",
        description="The process that ran them died before they ended.",
    ),
)
