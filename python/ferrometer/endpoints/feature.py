"""What is measured can be read: the section ``[endpoints]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.routing import Route

from ferrometer._runtime.feature import Feature
from ferrometer.endpoints.access import Access, Auth, Network
from ferrometer.endpoints.protection import SECTION, EndpointsSettings
from ferrometer.endpoints.routes import routes_of
from ferrometer.health.checks import HealthChecks
from ferrometer.stats.service import ServiceStats

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


class Endpoints(Feature):
    """``/metrics``, ``/stats``, ``/health`` and their neighbours, as routes of the application."""

    section = SECTION
    Settings = EndpointsSettings

    def __init__(
        self,
        stats: ServiceStats,
        health: HealthChecks,
        *,
        path: str | None = None,
        auth: Auth | None = None,
        allow: str | Iterable[str | Network] | None = None,
        cors_origins: str | Iterable[str] | None = None,
        flat_health: bool | None = None,
    ) -> None:
        super().__init__(
            path=path, auth_token=auth, allow=allow, cors_origins=cors_origins, flat_health=flat_health
        )
        self._stats = stats
        self._health = health
        self.routes: list[Route] = []

    def open(self, runtime: Runtime) -> None:
        """Makes the routes, those that other features asked for among them: it is opened last."""
        chosen: EndpointsSettings = runtime.settings(self)
        runtime.access = Access(chosen.auth_token, chosen.allow)
        runtime.is_protected = chosen.auth_token is not None or chosen.allow is not None
        self.routes = routes_of(
            chosen,
            registry=runtime.registry,
            stats=self._stats,
            health=self._health,
            more=runtime.routes,
            access=runtime.access,
        )


FEATURE = Endpoints
