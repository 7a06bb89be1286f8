"""Circuit breakers of an application: the section ``[breaker]``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.native_route import native_answer
from ferrometer._runtime.options import option
from ferrometer.metrics.exposed import expose_once
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.troubles import TableWatch

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class BreakersSettings:
    """How breakers are shown."""

    path: str = option("/breakers", "Path of the list of all breakers, below the endpoints' path.")


class Breakers(Feature):
    """Shows the state of all breakers as metrics, and as JSON at ``/breakers``, which can change one, too."""

    section = "breaker"
    Settings = BreakersSettings

    def __init__(self, *, path: str | None = None) -> None:
        super().__init__(path=path)
        #: Whether other workers can come by the breakers of this one.
        self._table = TableWatch("circuit breakers", _core.breakers_shared)

    def open(self, runtime: Runtime) -> None:
        """Registers the metrics and the endpoint."""
        chosen: BreakersSettings = runtime.settings(self)
        expose(runtime.registry, namespace=runtime.namespace or "")
        answer = native_answer(
            lambda: _core.breaker_route(path=chosen.path, may_change=runtime.is_protected), chosen.path
        )
        runtime.route(chosen.path, answer, methods=("GET", "POST"))
        runtime.every("breaker table", 30.0, self._table.look)


def expose(registry: CollectorRegistry = REGISTRY, *, namespace: str = "") -> None:
    """Shows the breakers of all workers in a registry; ``instrument(app, Breakers())`` does it by itself."""
    for space in (None, namespace):
        expose_once(
            registry, "breakers", space, partial(_core.register_breaker_metrics, registry._native, space)
        )


FEATURE = Breakers
