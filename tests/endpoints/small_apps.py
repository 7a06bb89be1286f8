"""Small applications to instrument, and what was counted in them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import ferrometer
from ferrometer import Observability


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.path_params.get('name', '')}")


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/hello/{name}", lambda name: f"hello {name}")
    return app


def starlette_app() -> Starlette:
    return Starlette(routes=[Route("/hello/{name}", hello)])


def counted(watched: Observability) -> dict[tuple[str, str, str], float]:
    """Requests by method, endpoint and status."""
    family = next(f for f in _families(watched) if f.name == "http_requests")
    return {
        (s.labels["method"], s.labels["endpoint"], s.labels["status"]): s.value
        for s in family.samples
        if s.name == "http_requests_total"
    }


def _families(watched: Observability) -> Any:
    return text_string_to_metric_families(ferrometer.generate_latest(watched.registry).decode())
