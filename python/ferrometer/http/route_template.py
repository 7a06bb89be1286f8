"""Which route template a request was handled by, from what Starlette and FastAPI leave in its scope.

The middleware asks once for each route object and remembers the answer, so nothing here is on the hot path.
A template never holds a concrete value: parameters of mounts come from the mounts themselves, not from
``root_path``, which has them filled in.

What is found in a scope after the application ran:

====================  ====================================================================================
Starlette >= 1.7      ``route``: the innermost route or mount that matched
older Starlette       ``endpoint`` only; FastAPI's own routes set ``route`` in every version
mounts                ``app_root_path``, and a concrete ``root_path``
FastAPI >= 0.137      ``route`` without the prefix of ``include_router``; that is in
                      ``fastapi["effective_route_context"]``, which is private: where it is missing, the
                      route's own path is used
FastAPI frontends     neither ``route`` nor ``endpoint``, but ``fastapi["frontend_path"]``
====================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Scope = Mapping[str, Any]

THIS_REQUEST = 0
"""The answer holds for this request only."""
THIS_ROUTE = 1
"""The answer holds for every request to the same route object, or endpoint."""
THIS_INCLUSION = 2
"""The answer holds for every request to the same route object in the same context of FastAPI's."""

_DEPTH = 32
"""How many routers inside one another are looked into; an application that mounts itself has no end."""


class Way(NamedTuple):
    """One way by which a route can be reached."""

    route: Any
    template: str
    #: The mounts on the way.
    mounts: tuple[Any, ...]
    #: FastAPI's context of the innermost inclusion, or None.
    context: Any


def resolve(scope: Scope) -> tuple[str | None, int, bool]:
    """The template (None where nothing matched), how far that holds, and whether the endpoint decided it."""
    route, endpoint = scope.get("route"), scope.get("endpoint")
    if route is None and endpoint is None:
        return _frontend(scope), THIS_REQUEST, False
    routes = _routes_of(scope.get("router"))
    context = _context(scope)
    if route is not None and not _is_mount(route):
        ways = [way for way in _ways(routes) if way.route is route]
        if not ways:
            # A router that nobody can look into from outside: the route's own words have to do. Where there
            # is no router at all they say the same for every request.
            alone = not routes and context is None
            return _unlisted(scope, route, context), THIS_ROUTE if alone else THIS_REQUEST, False
        return (*_choose(scope, ways, context), False)
    # No route, or a mount whose application said no more about a route of its own.
    ways = [way for way in _ways(routes) if _endpoint_of(way.route) is endpoint and not _is_router(endpoint)]
    if not ways:
        return None, THIS_ROUTE if endpoint is not None and _is_router(endpoint) else THIS_REQUEST, True
    return (*_choose(scope, ways, context), True)


def _choose(scope: Scope, ways: list[Way], context: Any) -> tuple[str | None, int]:
    """The way that was taken, of those that lead to the same route."""
    if len({way.template for way in ways}) == 1:
        return ways[0].template, THIS_ROUTE
    contexts = [way.context for way in ways]
    if (
        context is not None
        and all(c is not None for c in contexts)
        and len({id(c) for c in contexts}) == len(ways)
    ):
        taken = [way.template for way in ways if way.context is context]
        if taken:
            return taken[0], THIS_INCLUSION
    for strict in (True, False):
        for way in ways:
            if _leads_to(way, scope, strict):
                return way.template, THIS_REQUEST
    return ways[0].template, THIS_REQUEST


def _ways(routes: Any, prefix: str = "", mounts: tuple[Any, ...] = (), context: Any = None) -> Iterator[Way]:
    """Every route, and every mount of something that is no router, with the way to it."""
    if len(mounts) > _DEPTH:
        return
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)
        if included is not None:
            for inner in included():
                # A context stands in for a route of FastAPI's, and holds a copy, with the prefix, of any
                # other.
                effective = getattr(inner, "starlette_route", None)
                if effective is None:
                    yield Way(inner.original_route, prefix + inner.path_format, mounts, inner)
                else:
                    yield from _ways([effective], prefix, mounts, inner)
                    if not _is_mount(effective):
                        yield Way(inner.original_route, prefix + effective.path_format, mounts, inner)
        elif _is_mount(route):
            here = prefix + _mount_prefix(route)
            inside = _routes_of(getattr(route, "app", None))
            yield from _ways(inside, here, (*mounts, route), context)
            if not inside:
                yield Way(route, here + "/{path}", mounts, context)
        else:
            yield Way(route, prefix + _path_of(route), mounts, context)


def _is_mount(route: Any) -> bool:
    """Whether this is a Mount or a Host: something with an application of its own that goes on routing."""
    return hasattr(route, "app") and not hasattr(route, "endpoint")


def _mount_prefix(mount: Any) -> str:
    """What a mount puts before the paths inside it, parameters unfilled; a Host puts nothing there."""
    return str(getattr(mount, "path_format", "")).removesuffix("{path}").rstrip("/")


def _path_of(route: Any) -> str:
    return str(getattr(route, "path_format", None) or getattr(route, "path", None) or "")


def _endpoint_of(route: Any) -> Any:
    endpoint = getattr(route, "endpoint", None)
    return getattr(route, "app", None) if endpoint is None else endpoint


def _routes_of(app: Any) -> list[Any]:
    """The routes of a router or application, through middleware that keeps what it wraps in ``app``."""
    for _ in range(_DEPTH):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list):
            return routes
        inner = getattr(app, "app", None)
        if inner is None or inner is app:
            break
        app = inner
    return []


def _is_router(app: Any) -> bool:
    return bool(_routes_of(app))


def _context(scope: Scope) -> Any:
    fastapi = scope.get("fastapi")
    return fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None


def _leads_to(way: Way, scope: Scope, strict: bool) -> bool:
    """Whether the request's path goes this way; strictly: by its method, too."""
    rest = _path_within_app(scope)
    for mount in way.mounts:
        matched = _match(mount, rest)
        if matched is None:
            return False
        rest = "/" + matched.group("path") if "path" in matched.groupdict() else rest
    target = way.route
    effective = way.context
    if effective is not None and getattr(effective, "original_route", None) is target:
        target = getattr(effective, "starlette_route", None) or effective
    methods = getattr(target, "methods", None)
    if strict and methods and scope.get("method") not in methods:
        return False
    return _match(target, rest) is not None


def _match(route: Any, path: str) -> Any:
    regex = getattr(route, "path_regex", None)
    # A Host has no path to match.
    return _ANYTHING.match(path) if regex is None else regex.match(path)


class _Anything:
    """The pattern of a Host: any path, none of it used up."""

    def match(self, path: str) -> _Anything:
        """Always."""
        return self

    def groupdict(self) -> dict[str, str]:
        """Nothing."""
        return {}


_ANYTHING = _Anything()


def _path_within_app(scope: Scope) -> str:
    """The path as the outermost router saw it: without the server's root path."""
    path = str(scope.get("path", ""))
    root = str(scope.get("app_root_path", scope.get("root_path", "")) or "")
    return path[len(root) :] or "/" if root and path.startswith(root) else path


def _unlisted(scope: Scope, route: Any, context: Any) -> str | None:
    """The template of a route that no router lists: what it says itself, behind the mounts that are known."""
    own = _path_of(route)
    if context is not None and getattr(context, "original_route", None) is route:
        own = str(getattr(context, "path_format", "") or own)
    prefix, routes, rest = "", _routes_of(scope.get("router")), _path_within_app(scope)
    for _ in range(_DEPTH):
        for mount in filter(_is_mount, routes):
            matched = _match(mount, rest)
            if matched is not None:
                prefix += _mount_prefix(mount)
                rest = "/" + matched.group("path") if "path" in matched.groupdict() else rest
                routes = _routes_of(mount.app)
                break
        else:
            break
    return prefix + own or None


def _frontend(scope: Scope) -> str | None:
    """The template of files that FastAPI serves as a frontend: where they begin, which no client chooses."""
    fastapi = scope.get("fastapi")
    inside = fastapi.get("frontend_path") if isinstance(fastapi, dict) else None
    if not isinstance(inside, str):
        return None
    path = _path_within_app(scope)
    if scope.get("app_root_path") is not None or not path.endswith(inside):
        return "/{path}"
    return path[: len(path) - len(inside)].rstrip("/") + "/{path}"
