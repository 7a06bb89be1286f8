"""The endpoints as one application, or as routes to put into another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ferrometer._core import HttpMetrics
from ferrometer._runtime.runtime import Answer, RouteRequest
from ferrometer.endpoints.access import Access, Auth, Network
from ferrometer.endpoints.cors import Cors
from ferrometer.endpoints.endpoint import Endpoint
from ferrometer.endpoints.handlers import Answers, off_loop
from ferrometer.endpoints.protection import EndpointsSettings, protection
from ferrometer.health.checks import HealthChecks
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.share import detect
from ferrometer.stats.service import ServiceStats

_PATHS = ("/metrics", "/metrics/", "/stats", "/polling", "/health", "/monitor", "/live", "/ready")
_PROBES = ("/live", "/ready")


def endpoint_paths(path: str = "") -> tuple[str, ...]:
    """Every path that is served below ``path``."""
    _check_path(path)
    return tuple(path + name for name in _PATHS)


def observability_routes(
    *,
    registry: CollectorRegistry | None = None,
    metrics: HttpMetrics | None = None,
    stats: ServiceStats | None = None,
    health: HealthChecks | None = None,
    path: str = "",
    auth: Auth | None = None,
    allow: str | Iterable[str | Network] | None = None,
    cors_origins: str | Iterable[str] | None = None,
    flat_health: bool | None = None,
) -> list[Route]:
    """The endpoints as Starlette routes.

    ``metrics`` is what a middleware records into (``MetricsMiddleware(app).metrics``): where it is
    given, the requests in the JSON, the registry and the namespace are its own. ``stats`` tells the
    rest; without one nothing but the process is known.

    ``/live`` and ``/ready`` say one word each and answer everybody: a Kubernetes probe carries no
    credentials. ``auth`` and ``allow`` (see ``ferrometer.access``) guard all others.
    ``flat_health=True`` makes the flat form of ``/health`` the default; a request may ask for either
    with ``?format=flat`` or ``?format=nested``. What is None is taken from the environment and the
    configuration file, as ``instrument()`` does.
    """
    if registry is None:
        registry = metrics.registry if metrics is not None else REGISTRY
    if stats is None:
        stats = ServiceStats(metrics.namespace if metrics is not None else None, registry, requests=metrics)
    chosen = protection(auth=auth, allow=allow, cors_origins=cors_origins, flat_health=flat_health)
    return routes_of(
        replace(chosen, path=path),
        registry=registry,
        stats=stats,
        health=HealthChecks() if health is None else health,
    )


def routes_of(
    chosen: EndpointsSettings,
    *,
    registry: CollectorRegistry,
    stats: ServiceStats,
    health: HealthChecks,
    more: Sequence[RouteRequest] = (),
    access: Access | None = None,
) -> list[Route]:
    """The routes by these settings; ``more`` are the endpoints of features, ``access`` who may read."""
    answers = Answers(registry, stats, health, chosen.flat_health, native_histograms=chosen.native_histograms)
    path, cors = chosen.path, Cors(chosen.cors_origins)
    guarded, everybody = access or Access(chosen.auth_token, chosen.allow), Access()
    routes = []
    for name, full in zip(_PATHS, endpoint_paths(path), strict=True):
        word = name.strip("/")
        endpoint = Endpoint(getattr(answers, word), everybody if name in _PROBES else guarded, cors)
        routes.append(Route(full, endpoint, name=f"ferrometer_{word}", include_in_schema=False))
    for request in more:
        access = guarded if request.protected else everybody
        endpoint = Endpoint(_answer(request.answer), access, cors, request.methods)
        routes.append(Route(path + request.path, endpoint, include_in_schema=False))
    return routes


def _answer(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    if iscoroutinefunction(answer):
        return answer

    async def answered(request: Request) -> Response:
        return cast("Response", await off_loop(lambda: answer(request)))

    return answered


def observability_app(
    *,
    registry: CollectorRegistry | None = None,
    metrics: HttpMetrics | None = None,
    stats: ServiceStats | None = None,
    health: HealthChecks | None = None,
    auth: Auth | None = None,
    allow: str | Iterable[str | Network] | None = None,
    cors_origins: str | Iterable[str] | None = None,
    flat_health: bool | None = None,
) -> Starlette:
    """The endpoints as an application: mount it (``app.mount("/observability", ...)``) or serve it alone.

    The arguments are those of ``observability_routes``. Under a server with several workers it shows the
    numbers of all, as ``instrument()`` does; ``FERROMETER_SHARED=false`` leaves each alone.
    """
    detect()
    return Starlette(
        routes=observability_routes(
            registry=registry,
            metrics=metrics,
            stats=stats,
            health=health,
            auth=auth,
            allow=allow,
            cors_origins=cors_origins,
            flat_health=flat_health,
        )
    )


def _check_path(path: object) -> None:
    if not isinstance(path, str):
        raise TypeError(f"path must be a str such as '/observability', not {type(path).__name__}")
    if path and (not path.startswith("/") or path.endswith("/") or set(path) & set("{}?# \t\r\n")):
        raise ValueError(
            f"path {path!r} must start with '/', not end with one, and hold no space, '?', '#' or braces;"
            f" write '/observability', or '' for the root"
        )
