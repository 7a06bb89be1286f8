"""The feature: the namespace of an application's families, and what ends by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.instruments.call import MAX_AGE, end_old_streams
from ferrometer.instruments.exporter import sweep
from ferrometer.instruments.family import families_of
from ferrometer.instruments.genai import set_conventions

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class InstrumentsSettings:
    """What only the application knows: inference, cost, budgets, tools."""

    conventions: tuple[str, ...] = option(
        ("native",), "Names that inference is recorded under: `native`, `gen_ai@1.41`, `gen_ai@0.1`."
    )
    sweep_seconds: float = option(
        30.0, "Seconds between two looks for series of sessions and users whose `ttl` is over."
    )
    stream_seconds: float = option(
        MAX_AGE, "Seconds without a chunk after which a stream that nobody closed counts as abandoned."
    )


class Instruments(Feature):
    """Gives the families of docs/instruments.md the application's namespace, and ends old series.

    The families can be recorded without it, too: a namespace is then an argument of
    ``get_metrics_exporter``, and series end when the next one is updated.
    """

    section = "instruments"
    Settings = InstrumentsSettings

    def __init__(
        self,
        *,
        conventions: Sequence[str] | None = None,
        sweep_seconds: float | None = None,
        stream_seconds: float | None = None,
    ) -> None:
        super().__init__(conventions=conventions, sweep_seconds=sweep_seconds, stream_seconds=stream_seconds)

    def open(self, runtime: Runtime) -> None:
        """Families that are made from now on have the application's namespace."""
        chosen: InstrumentsSettings = runtime.settings(self)
        for name in ("sweep_seconds", "stream_seconds"):
            if not getattr(chosen, name) > 0:
                raise ValueError(f"[instruments] {name} must be above 0, not {getattr(chosen, name)!r}")
        set_conventions(chosen.conventions, runtime.registry)
        families = families_of(runtime.registry)
        families.namespace = runtime.namespace
        runtime.every(
            "instruments", chosen.sweep_seconds, lambda: self._sweep(runtime, chosen.stream_seconds)
        )

        def models(request: object) -> Response:
            costs = families.costs
            namespace = (costs.namespace if costs is not None else None) or families.namespace
            prefix = f"{namespace}_" if namespace else ""
            return Response(
                _core.models_stats(runtime.registry._native, prefix), media_type="application/json"
            )

        # As the own port answers it.
        runtime.route("/models/stats", models)

    def _sweep(self, runtime: Runtime, age: float) -> None:
        sweep(runtime.registry)
        end_old_streams(age)
        if (costs := families_of(runtime.registry).costs) is not None:
            costs.sweep()


FEATURE = Instruments
