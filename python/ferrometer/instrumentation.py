"""``instrument(app)``: the middleware and the endpoints, in one line."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Lifespan

from ferrometer._core import HttpMetrics
from ferrometer._runtime.settings import Settings, settings
from ferrometer.background.collector import Collector, FunctionCollector
from ferrometer.background.scheduler import CollectorScheduler
from ferrometer.collectors.app.published import CallbackCollector, run_published
from ferrometer.collectors.defaults import default_collectors as usual_collectors
from ferrometer.endpoints import observability_routes
from ferrometer.endpoints.access import Auth, Network
from ferrometer.health.checks import Check, HealthChecks
from ferrometer.http.middleware import MetricsMiddleware
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.share import settle, shared_directory
from ferrometer.stats.service import SYSTEM_SECONDS, ServiceStats

_log = logging.getLogger("ferrometer")

_STATE = "ferrometer"


@dataclass(frozen=True, slots=True)
class Observability:
    """What ``instrument()`` added to an application; also ``app.state.ferrometer``."""

    health: HealthChecks
    stats: ServiceStats
    metrics: HttpMetrics
    registry: CollectorRegistry
    routes: tuple[Route, ...]
    collectors: CollectorScheduler

    @property
    def paths(self) -> tuple[str, ...]:
        """The endpoints' paths, for a rate limiter or an authentication layer that should let them pass."""
        return tuple(route.path for route in self.routes)


def instrument(
    app: Starlette,
    *,
    namespace: str | None = None,
    registry: CollectorRegistry = REGISTRY,
    sample: float | None = None,
    buckets: Sequence[float] | None = None,
    path: str | None = None,
    auth: Auth | None = None,
    allow: str | Iterable[str | Network] | None = None,
    cors_origins: str | Iterable[str] | None = None,
    health_checks: HealthChecks | Mapping[str, Check] | None = None,
    request_id: bool | None = None,
    skip_paths: Iterable[str] | None = None,
    skip_methods: Iterable[str] | None = None,
    flat_health: bool | None = None,
    fastapi_metrics: bool = True,
    collectors: Iterable[Collector] = (),
    default_collectors: bool = True,
    config: str | os.PathLike[str] | None = None,
    exemplars: bool | Callable[[], str | None] | None = None,
    shared: bool | str | os.PathLike[str] | None = None,
) -> Observability:
    """Measure every request of a FastAPI or Starlette application, and serve what was measured.

    Call it before the application starts; a second call returns what the first one made. Where an
    argument is ``None``, the environment and ``config.toml`` are asked (see ``ferrometer.config``).

    ``namespace`` prefixes the service's own families (``gpuproxy_requests_total`` ...). ``sample`` is
    the share of requests whose duration is recorded, in (0, 1]; counts are always exact. ``buckets``
    are the upper bounds of the duration histogram in seconds. ``path`` is put before the endpoints'
    paths. ``auth``, ``allow``, ``cors_origins``, ``flat_health``: see ``ferrometer.endpoints``.
    ``request_id`` accepts, makes and returns ``X-Request-ID``. Requests to ``skip_paths`` and
    ``skip_methods`` are not measured; those to the endpoints never are.

    The middleware goes around the whole application, around middleware that is added later too:
    the status counted is the status sent. The endpoints come before all routes, so that no
    catch-all hides them; but where the application has a route or a mount of exactly that path, even
    one added later, the application's own wins.

    FastAPI from 0.165 can measure requests itself (OpenTelemetry, ``http.server.request.duration``).
    That is another measurement in another place and counts nothing here, but every request is then
    measured twice; ``fastapi_metrics=False`` switches it off and leaves FastAPI's traces and logs.

    ``collectors`` run in the background from the application's start to its end, beside the default
    ones: process, runtime, control group, tracked caches and queues. One of yours replaces the default
    of its name; ``default_collectors=False`` leaves them all out.

    ``exemplars=True`` keeps, for each bucket of the request durations, the latest trace that fell into it:
    OpenTelemetry's active span, else the request's ``traceparent``. A function may tell the id instead.

    Under a server with several workers, every endpoint on any of them shows the numbers of all: they
    share a directory in memory. ``shared`` names it where the server is not recognised, ``True`` asks for
    one, ``False`` leaves each worker alone (see ``ferrometer.share``).
    """
    _check_app(app)
    existing = getattr(app.state, _STATE, None)
    if isinstance(existing, Observability):
        return existing
    if app.middleware_stack is not None:
        raise RuntimeError(
            "instrument() came too late: the application has started."
            " Call it right after the application is made"
        )
    for middleware in app.user_middleware:
        added: object = middleware.cls
        if added is MetricsMiddleware:
            raise ValueError(
                "the application already has MetricsMiddleware, which would count every request twice;"
                " remove app.add_middleware(MetricsMiddleware), instrument() adds it"
            )
    chosen = settings(
        {
            "namespace": namespace,
            "sample": sample,
            "buckets": None if buckets is None else tuple(buckets),
            "skip_paths": _strings("skip_paths", skip_paths),
            "skip_methods": _strings("skip_methods", skip_methods),
            "request_id": request_id,
            "exemplars": exemplars,
            "shared": shared,
            "path": path,
            "auth_token": auth,
            "allow": allow,
            "cors_origins": cors_origins,
            "flat_health": flat_health,
        },
        file=config,
    )
    settle(chosen.shared)
    metrics = HttpMetrics(registry, chosen.namespace, chosen.sample, chosen.buckets, chosen.exemplars)
    around = partial(
        MetricsMiddleware,
        metrics=metrics,
        skip_methods=chosen.skip_methods,
        request_id=chosen.request_id,
    )
    around(app, skip_paths=chosen.skip_paths)  # what is wrong with them must show now, not at start-up
    health = health_checks if isinstance(health_checks, HealthChecks) else HealthChecks(health_checks)
    stats = ServiceStats(chosen.namespace, registry, requests=metrics)
    routes = observability_routes(
        registry=registry,
        stats=stats,
        health=health,
        path=chosen.path,
        auth=chosen.auth_token,
        allow=chosen.allow,
        cors_origins=chosen.cors_origins,
        flat_health=chosen.flat_health,
    )
    background = _background(stats, registry, list(collectors), defaults=default_collectors)
    made = Observability(health, stats, metrics, registry, tuple(routes), background)
    _wrap(app, made, around, chosen, fastapi_metrics)
    app.router.routes[:0] = routes
    setattr(app.state, _STATE, made)
    return made


def _wrap(
    app: Starlette,
    made: Observability,
    around: Callable[..., ASGIApp],
    chosen: Settings,
    fastapi_metrics: bool,
) -> None:
    """Have the middleware stack, once it is built at start-up, built with ours around it.

    Not ``add_middleware``: what is added after it would stand outside, and what an outer middleware
    answers (a rate limiter's 429, the handler of unhandled exceptions) would not be counted.
    """
    build: Callable[[], ASGIApp] = app.build_middleware_stack

    def build_measured() -> ASGIApp:
        settle(chosen.shared)  # an application that was made before its workers were forked
        if shared_directory() and CallbackCollector.name not in made.collectors.status():
            made.collectors.add(CallbackCollector(registry=made.registry))
        _give_way(app, made.routes)
        _native_telemetry(app, keep=fastapi_metrics)
        app.router.lifespan_context = _with_collectors(app.router.lifespan_context, made)
        made.stats.system.watch()
        made.collectors.start()  # a server without lifespan, or a parent application, runs no other hook
        served = [route.path for route in made.routes if any(route is other for other in app.router.routes)]
        return around(build(), skip_paths=(*served, *chosen.skip_paths))

    app.build_middleware_stack = build_measured  # type: ignore[method-assign]  # Starlette offers no hook


def _background(
    stats: ServiceStats, registry: CollectorRegistry, own: Sequence[Collector], *, defaults: bool
) -> CollectorScheduler:
    background = CollectorScheduler(own, registry=registry)
    readings = FunctionCollector("system", stats.system.read, interval=SYSTEM_SECONDS, stale="keep")
    further = usual_collectors(registry, lookups=stats.cache, but=background.status()) if defaults else []
    for collector in (readings, *further):
        background.add(collector)
    run_published(registry, background)
    return background


def _with_collectors(lifespan: Lifespan[Any], made: Observability) -> Lifespan[Any]:
    """The application's lifespan with the collectors' around it."""

    @asynccontextmanager
    async def around(app: Any) -> AsyncIterator[Any]:
        made.stats.system.watch()
        async with made.collectors, lifespan(app) as state:
            yield state

    return around


def _give_way(app: Starlette, ours: Sequence[Route]) -> None:
    """Take out those of our routes whose path the application has a route of its own for."""
    mine = {id(route) for route in ours}
    taken = set(_exact_paths(route for route in app.router.routes if id(route) not in mine))
    for route in ours:
        if route.path.rstrip("/") in taken and route in app.router.routes:
            _log.info("%s is the application's own route; ferrometer leaves it alone", route.path)
            app.router.routes[:] = [other for other in app.router.routes if other is not route]


def _exact_paths(routes: Iterable[BaseRoute]) -> Iterable[str]:
    """The paths, without a trailing slash, that routes and mounts have without any parameter."""
    for route in routes:
        # FastAPI >= 0.137 keeps an included router as one route and tells its contents by this method.
        contents = getattr(route, "effective_route_contexts", None)
        if callable(contents):
            yield from _exact_paths(
                getattr(context, "starlette_route", None) or context for context in contents()
            )
        elif not isinstance(route, WebSocketRoute):
            path = getattr(route, "path", None)
            if isinstance(path, str) and "{" not in path and path.rstrip("/"):
                yield path.rstrip("/")


def _native_telemetry(app: Starlette, *, keep: bool) -> None:
    """FastAPI >= 0.165 measures requests too, when OpenTelemetry is configured: say so, or stop it."""
    config: Any = getattr(app, "_telemetry", None)
    enabled = getattr(getattr(app, "_native_telemetry", None), "enabled", None)
    if not isinstance(config, dict) or not callable(enabled) or not config.get("metrics"):
        return
    if not keep:
        config["metrics"] = False
    elif enabled():
        _log.info(
            "FastAPI's own telemetry measures every request as well (http.server.request.duration);"
            " instrument(app, fastapi_metrics=False) switches that off"
        )


def _check_app(app: object) -> None:
    if isinstance(app, Starlette):
        return
    if isinstance(app, type) and issubclass(app, Starlette):
        raise TypeError(
            f"instrument() takes an application, not the class {app.__name__}: write {app.__name__}()"
        )
    raise TypeError(
        f"instrument() takes a FastAPI or Starlette application, not {type(app).__name__};"
        f" for any other ASGI application write app = ferrometer.MetricsMiddleware(app)"
    )


def _strings(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(values, str):  # which `tuple` would take apart into letters
        raise TypeError(f"{name} must be a list of strings, not one string; write [{values!r}]")
    return None if values is None else tuple(values)
