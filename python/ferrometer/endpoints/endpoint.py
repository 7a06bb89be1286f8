"""One path: what stands around an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ferrometer.endpoints.access import Access
from ferrometer.endpoints.cors import Cors

_log = logging.getLogger("ferrometer")

Answer: TypeAlias = Callable[[Request], Awaitable[Response]]

_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Endpoint:
    """An ASGI application for one path.

    In this order: the address, the CORS preflight (browsers send it without credentials), the
    method, the credentials, the answer. Refusals and failures carry no body: whoever may not read
    the endpoint learns nothing from it.
    """

    def __init__(self, answer: Answer, access: Access, cors: Cors, methods: Sequence[str] = ("GET",)) -> None:
        self._answer = answer
        self._access = access
        self._cors = cors
        self._served = {*methods, "HEAD"} if "GET" in methods else {*methods}
        shown = [method for method in ("GET", "HEAD", "POST") if method in self._served]
        self._methods = ", ".join([*shown, "OPTIONS"] if cors.enabled else shown)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        request = Request(scope, receive)
        response = await self._respond(request)
        response.headers.update(_COMMON)
        cors = self._cors.headers(request)
        vary = cors.pop("Vary", "")
        if vary and vary not in response.headers.get("vary", ""):
            response.headers.add_vary_header(vary)  # beside what the answer itself depends on
        response.headers.update(cors)
        if request.method == "HEAD":
            response.body = b""  # Content-Length stays that of a GET
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        refusal = self._access.refuse_address(request)
        if refusal is None:
            preflight = self._cors.preflight(request, self._methods)
            if preflight is not None:
                return Response(status_code=204, headers=preflight)
            if request.method not in self._served:
                return Response(status_code=405, headers={"Allow": self._methods})
            refusal = await self._access.refuse_credentials(request)
        if refusal is not None:
            return Response(status_code=refusal.status, headers=refusal.headers)
        try:
            return await self._answer(request)
        except Exception:
            # Not left to the application: its debug page would show the traceback to the scraper.
            _log.exception("%s failed", request.url.path)
            return Response(status_code=500)
