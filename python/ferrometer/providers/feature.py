"""Health of providers in an application: the section ``[providers]``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.native_route import native_answer
from ferrometer._runtime.options import option
from ferrometer.background.collector import FunctionCollector
from ferrometer.metrics.exposed import expose_once
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.providers.probes import Probe, Probes, parse
from ferrometer.providers.record import track
from ferrometer.sharing.troubles import TableWatch

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime

PATH = "/health/dashboard"


@dataclass(frozen=True, slots=True)
class ProvidersSettings:
    """How the health of providers is found out. All workers of a directory go by what was set last."""

    window: float = option(300.0, "Seconds that are looked back on.")
    error_weight: float = option(2.0, "What the error rate is multiplied with before it is taken from 1.")
    target: float = option(2.0, "The p99 of the first token, in seconds, that lowers no score.")
    latency_weight: float = option(1.0, "Exponent of target / p99; 0: times do not matter.")
    unavailable_after: int = option(5, "So many failures in a row make a model unavailable.")
    healthy_from: float = option(0.8, "From this score on a provider is healthy.")
    degraded_from: float = option(0.5, "From this score on it is degraded, and below it unhealthy.")
    health_below: float | None = option(
        None, "A provider whose score is below makes `/health` degraded; without it, none does."
    )
    callers_key: bool = option(
        False, "Whether callers bring the provider's key: 401 and 403 are theirs then."
    )
    caller_statuses: tuple[float, ...] = option(
        (400.0, 413.0, 422.0), "Statuses of HTTP that say nothing about the provider."
    )
    interval: float = option(30.0, "Seconds between two rounds of probes, which one worker makes for all.")
    probe_timeout: float = option(10.0, "Seconds that a probe may take.")
    probes: tuple[str, ...] = option((), "Addresses to ask: `provider=https://host/path`.")

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"[providers] {name} must be from {low:g} to {high:g}, not {value!r}")
        if self.degraded_from > self.healthy_from:
            raise ValueError(
                f"[providers] degraded_from must be at most healthy_from ({self.healthy_from:g}), "
                f"not {self.degraded_from:g}"
            )
        for status in self.caller_statuses:
            if status not in range(400, 600):
                raise ValueError(f"[providers] caller_statuses must be from 400 to 599, not {status!r}")


_RANGES = (
    ("window", 1, 86_400),
    ("error_weight", 0, 1000),
    ("target", 0.001, 3600),
    ("latency_weight", 0, 100),
    ("unavailable_after", 1, 1_000_000),
    ("healthy_from", 0, 1),
    ("degraded_from", 0, 1),
    ("health_below", 0, 1),
    ("interval", 0.1, 86_400),
    ("probe_timeout", 0.01, 3600),
)


class Providers(Feature):
    """Tells how well the providers do that the application calls, over all workers.

    Every call of ``inference()`` and of watched clients counts, and what ``ferrometer.providers.record`` was
    told. ``probes`` ask those that nobody calls: by provider, or provider and model, a function, a coroutine
    function or an address. Metrics, and JSON at ``/health/dashboard``. See docs/providers.md.
    """

    section = "providers"
    Settings = ProvidersSettings

    def __init__(
        self,
        *,
        window: float | None = None,
        error_weight: float | None = None,
        target: float | None = None,
        latency_weight: float | None = None,
        unavailable_after: int | None = None,
        healthy_from: float | None = None,
        degraded_from: float | None = None,
        health_below: float | None = None,
        callers_key: bool | None = None,
        caller_statuses: Collection[int] | None = None,
        interval: float | None = None,
        probe_timeout: float | None = None,
        probes: Mapping[str | tuple[str, str], Probe] | None = None,
    ) -> None:
        super().__init__(
            window=window,
            error_weight=error_weight,
            target=target,
            latency_weight=latency_weight,
            unavailable_after=unavailable_after,
            healthy_from=healthy_from,
            degraded_from=degraded_from,
            health_below=health_below,
            callers_key=callers_key,
            caller_statuses=None if caller_statuses is None else tuple(map(float, caller_statuses)),
            interval=interval,
            probe_timeout=probe_timeout,
        )
        self._given_probes = dict(probes or {})
        self._probes = Probes({}, 1.0)
        self._chosen = ProvidersSettings()
        self._forget: Callable[[], None] | None = None
        self._table = TableWatch("providers' health", _core.providers_shared)

    def open(self, runtime: Runtime) -> None:
        """Registers the metrics, the endpoint and the collector."""
        if sys.platform != "linux":
            raise OSError("the health of providers is there on Linux only")
        self._chosen = chosen = runtime.settings(self)
        probes: dict[str | tuple[str, str], Probe] = {}
        probes.update(parse(chosen.probes))
        probes.update(self._given_probes)
        self._probes = Probes(probes, chosen.probe_timeout)
        expose(runtime.registry, namespace=runtime.namespace or "")
        runtime.route(PATH, native_answer(_core.dashboard_route, PATH))
        runtime.every("providers", 30.0, self._table.look)
        if self._probes:
            collector = FunctionCollector(
                "provider probes",
                self._probes.run,
                interval=chosen.interval,
                timeout=chosen.probe_timeout + 5.0,
                scope="machine",
                stale="keep",
            )
            collector.lease = "-".join(filter(None, ("provider-probes", runtime.namespace)))
            runtime.collect(collector)
        if chosen.health_below is not None:
            runtime.check("providers", self._check)

    def start(self) -> None:
        """Begins to record calls; the settings are those of all workers from now on."""
        chosen = self._chosen
        _core.configure_providers(
            window=chosen.window,
            error_weight=chosen.error_weight,
            target=chosen.target,
            latency_weight=chosen.latency_weight,
            unavailable_after=chosen.unavailable_after,
            healthy_from=chosen.healthy_from,
            degraded_from=chosen.degraded_from,
        )
        self._table.look()
        if self._forget is None:  # the child of a fork has its parent's
            statuses = frozenset(int(status) for status in chosen.caller_statuses)
            self._forget = track(callers_key=chosen.callers_key, caller_statuses=statuses)

    def close(self, deadline: float) -> None:
        """Records no more calls."""
        if self._forget is not None:
            self._forget()
            self._forget = None

    def _check(self) -> dict[str, Any]:
        """For ``/health``: the providers whose score is too low."""
        below = self._chosen.health_below or 0.0
        low = {name: round(score, 3) for name, _, _, _, score in _core.list_providers() if score < below}
        return {"healthy": not low, "low_scores": low}


def expose(registry: CollectorRegistry = REGISTRY, *, namespace: str = "") -> None:
    """Shows the health of providers in a registry; ``instrument(app, Providers())`` does it by itself."""
    for space in (None, namespace):
        register = partial(_core.register_provider_metrics, registry._native, space)
        expose_once(registry, "providers", space, register)


FEATURE = Providers
