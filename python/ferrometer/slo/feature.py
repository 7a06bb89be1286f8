"""The feature: the section ``[slo]``, and objectives of code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.http.feature import Http, HttpSettings
from ferrometer.metrics.types import Histogram
from ferrometer.slo.objective import Objective

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True)
class SloSettings:
    """The section ``[slo]``."""

    availability: float | None = option(None, "Percent of the requests that must not be answered with 5xx.")
    latency: float | None = option(None, "Percent of the requests that must end within `latency_seconds`.")
    latency_seconds: float = option(0.5, "A bound of the duration histogram, in seconds.")
    days: int = option(30, "The period of the budget, from 28 to 35 days.")
    least_requests: float = option(100.0, "Requests that an alert's long window must have seen.")
    service: str | None = option(None, "The label `sloth_service`; the namespace by default.")


class Objectives(Feature):
    """Watches error budgets: ``Objectives(Objective.availability(99.9), Objective.latency(99, 0.5))``.

    Each becomes recording rules with Sloth's names (``slo:sli_error:ratio_rate5m`` ...) and alerts of several
    windows and burn rates, which ``Alerts`` evaluates; it is switched on. What is recorded is kept for 35
    days. The live page shows what is left of each budget.

    Raises ValueError when the application starts for a target that no alert can watch.
    """

    section = "slo"
    Settings = SloSettings
    needs: ClassVar[tuple[str, ...]] = ("alerts",)

    def __init__(
        self,
        *objectives: Objective,
        availability: float | None = None,
        latency: float | None = None,
        latency_seconds: float | None = None,
        days: int | None = None,
        least_requests: float | None = None,
        service: str | None = None,
    ) -> None:
        super().__init__(
            availability=availability,
            latency=latency,
            latency_seconds=latency_seconds,
            days=days,
            least_requests=least_requests,
            service=service,
        )
        self._given = objectives

    def open(self, runtime: Runtime) -> None:
        """Makes the rules."""
        chosen: SloSettings = runtime.settings(self)
        made = [*self._given, *objectives_of(chosen)]
        names = [objective.name for objective in made]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"[slo] there are two objectives called {name!r}")
        _check_bounds(made, runtime)
        service = chosen.service or runtime.namespace or "application"
        for one in made:
            # A rule that cannot be is refused now, and not once the application runs.
            one.groups(service)
        runtime.rules += [partial(one.groups, service) for one in made]


def objectives_of(chosen: SloSettings) -> list[Objective]:
    """Those of the section. Raises ValueError for a target that no alert can watch."""
    made = []
    if chosen.availability is not None:
        made.append(
            Objective.availability(chosen.availability, days=chosen.days, least=chosen.least_requests)
        )
    if chosen.latency is not None:
        made.append(
            Objective.latency(
                chosen.latency, chosen.latency_seconds, days=chosen.days, least=chosen.least_requests
            )
        )
    return made


def _check_bounds(objectives: list[Objective], runtime: Runtime) -> None:
    http = next((feature for feature in runtime.features if isinstance(feature, Http)), None)
    settings: HttpSettings | None = None if http is None else runtime.settings(http)
    bounds = (
        Histogram.DEFAULT_BUCKETS[:-1] if settings is None or settings.buckets is None else settings.buckets
    )
    for objective in objectives:
        seconds = objective.seconds
        if seconds is None or seconds in bounds:
            continue
        below = [bound for bound in bounds if bound < seconds][-1:]
        above = [bound for bound in bounds if bound > seconds][:1]
        nearest = " or ".join(f"{bound:g}" for bound in (*below, *above))
        raise ValueError(
            f"[slo] objective {objective.name!r}: its seconds must be a bound of the duration histogram,"
            f" not {seconds:g}: choose {nearest}, the nearest bounds, or add it to buckets in [metrics]"
        )


FEATURE = Objectives
