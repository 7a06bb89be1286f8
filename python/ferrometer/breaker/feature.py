"""Circuit breakers of an application: the section ``[breaker]``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.breaker.breaker import tell_troubles
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ferrometer._runtime.runtime import Runtime

_log = logging.getLogger("ferrometer")


@dataclass(frozen=True, slots=True)
class BreakersSettings:
    """How breakers are shown."""

    path: str = option("/breakers", "Path of the list of all breakers, below the endpoints' path.")


class Breakers(Feature):
    """Shows the state of all breakers: as metrics, and as JSON at ``/breakers``."""

    section = "breaker"
    Settings = BreakersSettings

    def __init__(self, *, path: str | None = None) -> None:
        super().__init__(path=path)
        self._was_shared: bool | None = None

    def open(self, runtime: Runtime) -> None:
        """Registers the metrics and the endpoint."""
        chosen: BreakersSettings = runtime.settings(self)
        expose(runtime.registry, namespace=runtime.namespace or "")
        runtime.route(chosen.path, _answer)
        runtime.every("breaker table", 30.0, self._look)

    def _look(self) -> None:
        """Says it when the file behind the breakers is gone: workers that start now do not see them."""
        tell_troubles()
        shared = _core.breakers_shared()
        if self._was_shared and not shared:
            _log.warning(
                "the circuit breakers' file in the shared directory is gone: workers that start from now on "
                "do not share the state of this one; restart all of them"
            )
        self._was_shared = shared


def expose(registry: CollectorRegistry = REGISTRY, *, namespace: str = "") -> None:
    """Shows the breakers of all workers in a registry; ``instrument(app, Breakers())`` does it by itself."""
    _core.register_breaker_metrics(registry._native, namespace)


def _answer(request: Request) -> Response:
    from starlette.responses import JSONResponse

    names = ("name", "state", "forced", "rejected", "trials")
    return JSONResponse({"breakers": [dict(zip(names, row, strict=True)) for row in _core.list_breakers()]})


FEATURE = Breakers
