"""One objective as plain data, and the rules that it becomes.

The series have Sloth's names, so that its dashboards show them. Windows and factors are those of Google's SRE
workbook: two windows at a time, so that an alert begins soon and ends soon.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ferrometer.alerts.rule import Group, Rule

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_SHORT = ("5m", "30m", "1h", "2h", "6h")
_HOURS = {"5m": 1 / 12, "30m": 0.5, "1h": 1.0, "2h": 2.0, "6h": 6.0, "1d": 24.0, "3d": 72.0}


class BurnRate(NamedTuple):
    """When the budget is used too fast: both windows lose this share of it, measured over the long one."""

    severity: str
    short: str
    long: str
    share: float
    wait: str

    def factor(self, days: float) -> float:
        """How many times faster than the whole period allows."""
        return self.share * days * 24 / _HOURS[self.long]


BURN_RATES = (
    BurnRate("page", "5m", "1h", 0.02, "0s"),
    BurnRate("page", "30m", "6h", 0.05, "0s"),
    BurnRate("ticket", "2h", "1d", 0.10, "0s"),
    BurnRate("ticket", "6h", "3d", 0.10, "0s"),
)
#: What Alertmanager's routes ask for.
_SEVERITIES = {"page": "critical", "ticket": "warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The share of events that must be good, in a period.

    :param name: of the objective: ``availability``.
    :param target: percent of good events, from 0 to 100 and neither: ``99.9``.
    :param total: PromQL: events a second, over ``{{window}}``: ``sum(rate(jobs_total[{{window}}]))``.
    :param errors: the same of bad events. No series of them means that none was bad.
    :param days: the period, from 28 to 35 days.
    :param least_events: alerts need so many events in their long window; a few failures at night are no
        outage.
    :param seconds: of an objective on the duration of requests: the bound that ``errors`` asks for, which the
        histogram must have. :meth:`latency` sets it.

    Raises ValueError for a target that no alert could tell from its opposite.
    """

    name: str
    target: float
    total: str
    errors: str
    description: str = ""
    days: int = 30
    least_events: float = 100.0
    labels: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"an objective's name is of letters, digits, '_', '.' and '-', and not {self.name!r}"
            )
        where = f"objective {self.name!r}"
        if not 0 < self.target < 100:
            raise ValueError(f"{where}: target is a percentage between 0 and 100, not {self.target!r}")
        if not 28 <= self.days <= 35:
            raise ValueError(f"{where}: days must be from 28 to 35, not {self.days!r}")
        if not 0 <= self.least_events < math.inf:
            raise ValueError(f"{where}: least_events must be 0 or more, not {self.least_events!r}")
        fastest = max(rate.factor(self.days) for rate in BURN_RATES)
        if fastest * self.budget >= 1:
            least = 100 * (1 - 1 / fastest)
            raise ValueError(
                f"{where}: with a target of {self.target:g} % the budget cannot burn {fastest:g} times"
                " too fast even when every event is bad, so its alert could never fire; choose more than"
                f" {least:.2f} %"
            )
        for key, text in (("total", self.total), ("errors", self.errors)):
            if "{{window}}" not in text:
                raise ValueError(f"{where}: {key} needs {{{{window}}}}, as in rate(x[{{{{window}}}}])")

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        # Without the noise of binary fractions: 1 - 0.999 is not 0.001.
        return float(f"{1 - self.target / 100:.12g}")

    @staticmethod
    def availability(
        target: float, *, name: str = "availability", match: str = "", days: int = 30, least: float = 100.0
    ) -> Objective:
        """Requests that are not answered with 5xx. ``match`` chooses some: ``endpoint="/chat"``."""
        comma = "," if match else ""
        return Objective(
            name=name,
            target=target,
            total=f"sum(rate(http_requests_total{{{match}}}[{{{{window}}}}]))",
            errors=f'sum(rate(http_requests_total{{{match}{comma}status=~"5.."}}[{{{{window}}}}]))',
            description=f"{target:g} % of the requests are not answered with 5xx.",
            days=days,
            least_events=least,
        )

    @staticmethod
    def latency(
        target: float,
        seconds: float,
        *,
        name: str = "latency",
        match: str = "",
        days: int = 30,
        least: float = 100.0,
    ) -> Objective:
        """Requests that end within ``seconds``, a bound of the buckets of the durations."""
        if not 0 < seconds < math.inf:
            raise ValueError(f"objective {name!r}: seconds must be more than 0, not {seconds!r}")
        family, comma = "http_request_duration_seconds", "," if match else ""
        # Prometheus 3 writes 1.0 where 2 has what was scraped.
        bound = f"{seconds:g}".replace(".", "[.]")
        good = f'le=~"{bound}([.]0)?"'
        total = f"sum(rate({family}_count{{{match}}}[{{{{window}}}}]))"
        return Objective(
            name=name,
            target=target,
            total=total,
            errors=f"({total} - sum(rate({family}_bucket{{{match}{comma}{good}}}[{{{{window}}}}])))",
            description=f"{target:g} % of the requests end within {seconds:g} s.",
            days=days,
            least_events=least,
            seconds=seconds,
        )

    def groups(self, service: str, runbooks: str = "") -> tuple[Group, ...]:
        """The recording rules and alerts. ``runbooks`` is the address of docs/runbooks."""
        identity = f"{service}-{self.name}"
        labels = {
            **self.labels,
            "sloth_id": identity,
            "sloth_service": service,
            "sloth_slo": self.name,
        }
        select = f'{{sloth_id="{identity}"}}'
        made = (
            (f"slo-recordings-{identity}", None, tuple(self._recorded(labels))),
            # Hundreds of samples each: what changes in days is not asked for by the second.
            (f"slo-days-{identity}", "5m", tuple(self._days(labels, select))),
            (f"slo-meta-{identity}", None, tuple(self._meta(labels, select))),
            (f"slo-alerts-{identity}", None, tuple(self._alerts(labels, select, runbooks))),
        )
        return tuple(
            Group(name=name, interval=interval, rules=rules, file=f"[slo] {self.name}")
            for name, interval, rules in made
        )

    def _recorded(self, labels: Mapping[str, str]) -> Iterator[Rule]:
        for window in _SHORT:
            total = self.total.replace("{{window}}", window)
            # No series of errors is no error, but only where there are events.
            errors = f"({self.errors.replace('{{window}}', window)} or 0 * {total})"
            own = {**labels, "sloth_window": window}
            if window in ("5m", "1h", "6h"):
                yield Rule(record=f"slo:requests:rate{window}", expr=total, labels=own)
            if window == "5m":
                yield Rule(record="slo:errors:rate5m", expr=errors, labels=own)
            yield Rule(
                record=f"slo:sli_error:ratio_rate{window}", expr=f"{errors} / ({total} > 0)", labels=own
            )

    def _days(self, labels: Mapping[str, str], select: str) -> Iterator[Rule]:
        for window in ("1d", "3d", f"{self.days}d"):
            own = {**labels, "sloth_window": window}
            # Steps of five minutes weigh all times alike, whatever the distance of the samples is.
            errors, total = (
                f"sum(sum_over_time(slo:{word}:rate5m{select}[{window}:5m]))"
                for word in ("errors", "requests")
            )
            if window in ("1d", "3d"):
                yield Rule(
                    record=f"slo:requests:rate{window}",
                    expr=f"{total} * 300 / {int(_HOURS[window] * 3600)}",
                    labels=own,
                )
            yield Rule(
                record=f"slo:sli_error:ratio_rate{window}", expr=f"{errors} / ({total} > 0)", labels=own
            )

    def _meta(self, labels: Mapping[str, str], select: str) -> Iterator[Rule]:
        target, budget, days = f"{self.target / 100:.12g}", f"{self.budget:.12g}", f"{self.days}d"
        for name, expr in (
            ("slo:objective:ratio", f"vector({target})"),
            ("slo:error_budget:ratio", f"vector({budget})"),
            ("slo:time_period:days", f"vector({self.days})"),
            ("slo:current_burn_rate:ratio", f"sum(slo:sli_error:ratio_rate5m{select}) / {budget}"),
            ("slo:period_burn_rate:ratio", f"sum(slo:sli_error:ratio_rate{days}{select}) / {budget}"),
            (
                "slo:period_error_budget_remaining:ratio",
                f"1 - sum(slo:sli_error:ratio_rate{days}{select}) / {budget}",
            ),
        ):
            yield Rule(record=name, expr=expr, labels=labels)
        about = {
            "sloth_mode": "ferrometer",
            "sloth_objective": f"{self.target:g}",
            "sloth_spec": "ferrometer",
        }
        yield Rule(record="sloth_slo_info", expr="vector(1)", labels={**labels, **about})

    def _alerts(self, labels: Mapping[str, str], select: str, runbooks: str) -> Iterator[Rule]:
        for rate in BURN_RATES:
            threshold = f"{rate.factor(self.days) * self.budget:.12g}"
            events = f"slo:requests:rate{rate.long}{select} * {int(_HOURS[rate.long] * 3600)}"
            both = " and on (sloth_id) ".join(
                f"(slo:sli_error:ratio_rate{window}{select} > {threshold})"
                for window in (rate.short, rate.long)
            )
            expr = f"{both} and on (sloth_id) ({events} >= {self.least_events:g})"
            annotations = {
                "summary": f"{self.name}: the error budget burns {rate.factor(self.days):g} times too fast",
                "description": f"{{{{ $value | humanizePercentage }}}} of {rate.short} is bad; of"
                f" {rate.long} so many that {rate.share:.0%} of the budget of {self.days} days are gone.",
            }
            if runbooks:
                annotations["runbook_url"] = f"{runbooks.rstrip('/')}/slo.html#errorbudgetburn"
            yield Rule(
                alert="ErrorBudgetBurn",
                # The short window's own label would be another alert's.
                expr=f"max by ({', '.join(sorted(labels))}) ({expr})",
                wait=rate.wait,
                labels={
                    "severity": _SEVERITIES[rate.severity],
                    "sloth_severity": rate.severity,
                    "short": rate.short,
                    "long": rate.long,
                },
                annotations=annotations,
            )
