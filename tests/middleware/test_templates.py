"""The endpoint label is the route's template, through mounts, inclusions and versions; never a concrete path.

`test_matrix.py` runs this file again under other versions of Starlette and FastAPI.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware import routed
from tests.middleware.asgi import Client, http_scope, series, websocket_scope

pytestmark = pytest.mark.usefixtures("dicts")

try:
    import fastapi as _fastapi  # noqa: F401  # only whether it is there
except ImportError:
    MAKERS = ["starlette"]
else:
    MAKERS = ["starlette", "fastapi"]


def ask(app: Any, case: routed.Case, root_path: str = "") -> Client:
    client = Client({"type": "http.request", "body": b"", "more_body": False})
    headers = [(b"host", case.host.encode())]
    scope = http_scope(root_path + case.path, case.method, headers, root_path=root_path)
    # Two of the endpoints raise.
    with contextlib.suppress(routed.Broken):
        asyncio.run(_call(app, scope, client))
    return client


async def _call(app: Any, scope: Any, client: Client) -> None:
    await app(scope, client.receive, client.send)


def expected(cases: list[routed.Case]) -> dict[tuple[str, ...], float]:
    counts: dict[tuple[str, ...], float] = {}
    for case in cases:
        key = (case.template, case.method, str(case.status))
        counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.parametrize("root_path", ["", "/behind/proxy"])
@pytest.mark.parametrize("inside", [True, False], ids=["add_middleware", "around"])
@pytest.mark.parametrize("maker", MAKERS)
def test_every_request_has_its_template(maker: str, inside: bool, root_path: str) -> None:
    app, cases = routed.MAKERS[maker]()
    registry = CollectorRegistry()
    if inside:
        app.add_middleware(MetricsMiddleware, registry=registry)
    else:
        app = MetricsMiddleware(app, registry=registry)
    # Twice and in another order: what was remembered for one request must not be believed for another.
    order = cases * 2
    random.Random(1).shuffle(order)
    for case in order:
        client = ask(app, case, root_path)
        assert client.statuses == [case.status], case
    assert series(registry, "http_requests_total") == expected(order)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_first_request_decides_nothing_for_others(maker: str) -> None:
    for first in routed.MAKERS[maker]()[1]:
        app, cases = routed.MAKERS[maker]()
        registry = CollectorRegistry()
        measured = MetricsMiddleware(app, registry=registry)
        for case in [first, *cases]:
            ask(measured, case)
        assert series(registry, "http_requests_total") == expected([first, *cases]), first


def test_a_route_object_in_two_mounts_is_told_apart_by_the_path() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    route = Route("/{x}", routed.hello)
    app = Starlette(routes=[Mount("/a", routes=[route]), Mount("/b/{y}", routes=[route])])
    registry = CollectorRegistry()
    measured = MetricsMiddleware(app, registry=registry)
    for path in ["/a/1", "/b/2/3", "/a/4", "/b/5/6"]:
        ask(measured, routed.Case(path, ""))
    assert series(registry, "http_requests_total") == {
        ("/a/{x}", "GET", "200"): 2,
        ("/b/{y}/{x}", "GET", "200"): 2,
    }


def test_one_endpoint_under_several_paths() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route

    app = Starlette(routes=[Route("/a/{x}", routed.hello), Route("/b/{x}", routed.hello)])
    registry = CollectorRegistry()
    measured = MetricsMiddleware(app, registry=registry)
    for path in ["/a/1", "/b/2", "/b/3", "/a/4", "/b/5"]:
        ask(measured, routed.Case(path, ""))
    assert series(registry, "http_requests_total") == {
        ("/a/{x}", "GET", "200"): 2,
        ("/b/{x}", "GET", "200"): 3,
    }


def test_routes_added_while_serving_are_found() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route

    app = Starlette(routes=[Route("/a", routed.hello)])
    registry = CollectorRegistry()
    measured = MetricsMiddleware(app, registry=registry)
    ask(measured, routed.Case("/a", ""))
    app.router.routes.append(Route("/late/{x}", routed.other))
    ask(measured, routed.Case("/late/1", ""))
    assert series(registry, "http_requests_total") == {
        ("/a", "GET", "200"): 1,
        ("/late/{x}", "GET", "200"): 1,
    }


def test_websockets_have_templates() -> None:
    app, _ = routed.starlette()
    registry = CollectorRegistry()
    measured = MetricsMiddleware(app, registry=registry)
    for room in ["a", "b"]:
        client = Client({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hi"})
        asyncio.run(_call(measured, websocket_scope(f"/ws/{room}"), client))
        assert [message["type"] for message in client.sent] == [
            "websocket.accept",
            "websocket.send",
            "websocket.close",
        ]
    assert series(registry, "websocket_messages_total") == {
        ("received", "/ws/{room}"): 2,
        ("sent", "/ws/{room}"): 2,
    }
