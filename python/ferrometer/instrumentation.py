"""``instrument(app)``: the middleware and the endpoints, in one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from anyio import CancelScope
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Lifespan

from ferrometer._core import HttpMetrics
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.runtime import Runtime
from ferrometer._runtime.sections import feature_class
from ferrometer._runtime.settings import Sources
from ferrometer.background.collector import Collector
from ferrometer.background.scheduler import CollectorScheduler
from ferrometer.collectors.feature import Collectors
from ferrometer.endpoints.access import Auth, Network
from ferrometer.endpoints.feature import Endpoints
from ferrometer.health.checks import Check, HealthChecks
from ferrometer.health.feature import Health
from ferrometer.http.feature import Http, HttpSettings
from ferrometer.http.middleware import MetricsMiddleware
from ferrometer.http.peer_arguments import explain
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.share import settle
from ferrometer.stats.service import ServiceStats

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
    runtime: Runtime
    #: The arguments of the call, to compare a second one with; a secret may be among them.
    given: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def paths(self) -> tuple[str, ...]:
        """The endpoints' paths, for a rate limiter or an authentication layer that should let them pass."""
        return tuple(route.path for route in self.routes)


def instrument(
    app: Starlette,
    *features: Feature,
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

    Call it before the application starts. A second call returns what the first one made, and raises
    ValueError when it asks for something else. Where an argument is ``None``, the environment and the
    configuration file are asked (see ``ferrometer.config``).

    ``features`` switch on more: ``instrument(app, ferrometer.History(), ferrometer.Logs(level="info"))``. A
    section of the file, such as ``[history]``, does the same. What is not named costs nothing.

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
    given = dict(locals())
    _check_app(given.pop("app"))
    existing = getattr(app.state, _STATE, None)
    if isinstance(existing, Observability):
        _check_same(existing.given, given)
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
    http = Http(
        namespace=namespace,
        sample=sample,
        buckets=buckets,
        skip_paths=skip_paths,
        skip_methods=skip_methods,
        request_id=request_id,
        exemplars=exemplars,
        shared=shared,
    )
    sources = Sources(config)
    chosen = sources.read(Http.section, HttpSettings, http.given)
    settle(chosen.shared)
    runtime = Runtime(
        namespace=chosen.namespace, registry=registry, sources=sources, collectors=list(collectors)
    )
    runtime.add(http)
    http.around(app, skip_paths=chosen.skip_paths)  # what is wrong with them must show now, not at start-up
    health = health_checks if isinstance(health_checks, HealthChecks) else HealthChecks(health_checks)
    stats = ServiceStats(chosen.namespace, registry, requests=http.metrics)
    runtime.add(Health(health))
    runtime.add(Collectors(stats, defaults=None if default_collectors else False))
    for feature in (*features, *_configured(sources, features)):
        runtime.add(feature)
    for check in runtime.checks:
        health.register(check.name, check.call, critical=check.critical)
    endpoints = Endpoints(
        stats, health, path=path, auth=auth, allow=allow, cors_origins=cors_origins, flat_health=flat_health
    )
    runtime.add(endpoints)
    made = Observability(
        health, stats, http.metrics, registry, tuple(endpoints.routes), runtime.scheduler, runtime, given
    )
    _wrap(app, made, http, chosen.shared, fastapi_metrics)
    app.router.routes[:0] = endpoints.routes
    setattr(app.state, _STATE, made)
    return made


if not TYPE_CHECKING:  # a type checker sees the arguments that there are

    def _explained(function: Callable[..., Observability]) -> Callable[..., Observability]:
        """The function, whose error for an argument that it does not have says what is meant."""
        known = [name for name, one in signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY]

        @wraps(function)
        def instrument(*arguments: Any, **keywords: Any) -> Observability:
            given = (name for name in keywords if name != "app")
            if words := explain("instrument", given, known):
                raise TypeError(words)
            return function(*arguments, **keywords)

        return instrument

    instrument = _explained(instrument)


def _check_same(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Refuses a second call that asks for something that the first one did not.

    What the second call leaves at its default is not asked for: a shared base package may have said more.
    """
    default = {name: one.default for name, one in signature(instrument).parameters.items()}
    default["features"] = ()
    other = [
        name
        for name, value in second.items()
        if not _equal(value, default[name]) and not _equal(value, first[name])
    ]
    if other:
        # Their names and not their values: one of them may be a secret.
        raise ValueError(
            f"the application is instrumented already, with other values of: {', '.join(other)}."
            " Give all arguments in the first call of instrument(), or leave the second one out"
        )


def _equal(one: object, other: object) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # an object whose comparison fails is another one
        return False


#: The features of every application; ``instrument()`` makes them.
DEFAULT: tuple[type[Feature], ...] = (Http, Health, Collectors, Endpoints)


def _configured(sources: Sources, given: Sequence[Feature]) -> Iterator[Feature]:
    """The features that were not passed as an argument: with a section in the file, or needed by others."""
    known = {feature.section for feature in given} | {feature.section for feature in DEFAULT}
    for section in sources.named():
        if section not in known:
            known.add(section)
            feature = feature_class(section)()
            yield feature
            given = (*given, feature)
    wanted = [section for feature in given for section in feature.needs]
    while wanted:
        section = wanted.pop()
        if section not in known:
            known.add(section)
            feature = feature_class(section)()
            yield feature
            wanted += feature.needs


def _wrap(
    app: Starlette,
    made: Observability,
    http: Http,
    shared: bool | str | None,
    fastapi_metrics: bool,
) -> None:
    """Have the middleware stack, once it is built at start-up, built with ours around it.

    Not ``add_middleware``: what is added after it would stand outside, and what an outer middleware
    answers (a rate limiter's 429, the handler of unhandled exceptions) would not be counted.
    """
    build: Callable[[], ASGIApp] = app.build_middleware_stack

    def build_measured() -> ASGIApp:
        settle(shared)  # an application that was made before its workers were forked
        _give_way(app, made.routes)
        _native_telemetry(app, keep=fastapi_metrics)
        app.router.lifespan_context = _with_runtime(app.router.lifespan_context, made.runtime)
        made.runtime.start()  # a server without lifespan, or a parent application, runs no other hook
        paths = [route.path for route in made.routes if any(route is other for other in app.router.routes)]
        served = [re.sub(r"\{\w+:path\}$", "*", path) for path in paths]
        return http.around(build(), skip_paths=(*served, *http.skip_paths))

    app.build_middleware_stack = build_measured  # type: ignore[method-assign]  # Starlette offers no hook


def _with_runtime(lifespan: Lifespan[Any], runtime: Runtime) -> Lifespan[Any]:
    """The application's lifespan with the features' around it: they start before it and end after it."""

    @asynccontextmanager
    async def around(app: Any) -> AsyncIterator[Any]:
        runtime.start()
        try:
            async with lifespan(app) as state:
                yield state
        finally:
            with CancelScope(shield=True):
                await anyio.to_thread.run_sync(runtime.close)

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
