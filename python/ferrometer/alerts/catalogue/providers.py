"""The pack ``providers``: other people's models, and the breakers before them."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade

RULES = (
    ReadyMade(
        "LowProviderHealthScore",
        'min by (provider) ({__name__=~"(.+_)?provider_health_score"}) < 0.5',
        wait="5m",
        severity="warning",
        summary="{{ $labels.provider }} has a health score of {{ $value | humanize }}",
        description="Its availability, errors and latency together have been bad for 5 minutes.",
    ),
    ReadyMade(
        "ProviderUnavailable",
        "min by (provider) (provider_availability) == 0",
        wait="2m",
        severity="critical",
        summary="{{ $labels.provider }} is not available",
        description="It has not answered for 2 minutes.",
    ),
    ReadyMade(
        "HighProviderErrorRate",
        "max by (provider) (provider_error_rate) > 0.05",
        wait="5m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the calls of {{ $labels.provider }} fail",
        description="More than 5 % of its calls have failed for 5 minutes.",
    ),
    ReadyMade(
        "CircuitBreakerOpen",
        'max by (provider) ({__name__=~"(.+_)?circuit_breaker_state",state="open"}) == 1',
        wait="1m",
        severity="warning",
        summary="the breaker of {{ $labels.provider }} is open",
        description="Calls of it have been refused for a minute.",
    ),
)
