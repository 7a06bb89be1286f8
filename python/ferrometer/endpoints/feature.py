"""What is measured can be read: the section ``[endpoints]``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import TEXTS, Form, option, text, texts
from ferrometer.endpoints.access import Auth, Network
from ferrometer.endpoints.routes import observability_routes
from ferrometer.health.checks import HealthChecks
from ferrometer.stats.service import ServiceStats

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


def _token(value: object) -> object:
    return list(texts(value)) if isinstance(value, list) else text(value)


@dataclass(frozen=True, slots=True)
class EndpointsSettings:
    """Where the endpoints are, and who may read them."""

    path: str = option("", "Put before the endpoints' paths.", aliases=("FERROMETER_PATH",))
    auth_token: Any = option(
        None,
        "Bearer token, or a list of them; in the environment one token, taken whole.",
        form=Form("a string or a list of strings", _token, str),
        aliases=("FERROMETER_AUTH_TOKEN",),
        secret=True,
    )
    allow: Any = option(
        None, "Networks that may read; everybody by default.", form=TEXTS, aliases=("FERROMETER_ALLOW",)
    )
    cors_origins: Any = option(
        (), "Origins whose pages may read.", form=TEXTS, aliases=("FERROMETER_CORS_ORIGINS",)
    )
    flat_health: bool = option(
        False, "Whether /health has the flat form.", aliases=("FERROMETER_FLAT_HEALTH",)
    )


class Endpoints(Feature):
    """``/metrics``, ``/stats``, ``/health`` and their neighbours, as routes of the application."""

    section = "endpoints"
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
        self.routes = observability_routes(
            registry=runtime.registry,
            stats=self._stats,
            health=self._health,
            path=chosen.path,
            auth=chosen.auth_token,
            allow=chosen.allow,
            cors_origins=chosen.cors_origins,
            flat_health=chosen.flat_health,
            more=runtime.routes,
        )


FEATURE = Endpoints
