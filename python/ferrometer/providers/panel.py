"""The health of providers and their circuit breakers, on the live page."""

from __future__ import annotations

from ferrometer._runtime.panel import Chart, Column, Line, Panel, Table, Tile

PANELS = (
    Panel(
        name="providers",
        title="Providers",
        when=r"provider_availability|\w*circuit_breaker_state",
        tiles=(
            Tile("Available", "sum(provider_availability)", "", "providers"),
            Tile("Unavailable", "count(provider_availability == 0) or vector(0)", "", "providers"),
            Tile("Lowest score", 'min({__name__=~".*provider_health_score"})'),
            Tile("Highest error rate", "max(provider_error_rate)", "ratio"),
            Tile(
                "Breakers open",
                'sum({__name__=~".*circuit_breaker_state",state="open"})',
                "",
                "no call goes through",
            ),
        ),
        charts=(
            Chart(
                "Health score", "", (Line('{__name__=~".*provider_health_score"}', "{provider}"),), most=1.0
            ),
            Chart("Error rate", "ratio", (Line("provider_error_rate", "{provider}"),)),
            Chart(
                "First token, p99",
                "s",
                (Line('{__name__=~".*provider_first_token_seconds",quantile="0.99"}', "{provider}"),),
            ),
            Chart(
                "Tokens per second", "/s", (Line('{__name__=~".*provider_tokens_per_second"}', "{provider}"),)
            ),
            Chart(
                "Calls that breakers refused",
                "/s",
                (
                    Line(
                        'sum by (provider) (rate({__name__=~".*circuit_breaker_rejected_total"}[$window]))',
                        "{provider}",
                    ),
                ),
            ),
        ),
        tables=(
            Table(
                "Providers",
                ("provider",),
                (
                    Column("Available", "provider_availability", "bool", good=1.0),
                    Column("Score", '{__name__=~".*provider_health_score"}'),
                    Column("Error rate", "provider_error_rate", "ratio"),
                    Column(
                        "First token, p50",
                        '{__name__=~".*provider_first_token_seconds",quantile="0.5"}',
                        "s",
                    ),
                    Column(
                        "First token, p99",
                        '{__name__=~".*provider_first_token_seconds",quantile="0.99"}',
                        "s",
                    ),
                    Column("Tokens", '{__name__=~".*provider_tokens_per_second"}', "/s"),
                ),
            ),
            Table(
                "Models",
                ("provider", "model"),
                (
                    Column("Available", '{__name__=~".*provider_model_availability"}', "bool", good=1.0),
                    Column("Score", '{__name__=~".*provider_model_health_score"}'),
                    Column("Error rate", '{__name__=~".*provider_model_error_rate"}', "ratio"),
                ),
            ),
            Table(
                "Circuit breakers",
                ("provider",),
                (
                    Column(
                        "Closed", '{__name__=~".*circuit_breaker_state",state="closed"}', "bool", good=1.0
                    ),
                    Column("Trials", '{__name__=~".*circuit_breaker_trials"}'),
                    Column("Refused", '{__name__=~".*circuit_breaker_rejected_total"}'),
                ),
            ),
        ),
    ),
)
