"""Endpoints of an application that native code answers, as it does on a port of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio.to_thread

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ferrometer import _core

#: Bytes that the body of a request may have.
_MOST_BODY = 64 << 10


def native_answer(
    make: Callable[[], _core.NativeRoute], path: str
) -> Callable[[Request], Awaitable[Response]]:
    """What ``Runtime.route`` takes. ``make`` is called with each request; ``path`` is the route's own."""

    async def answer(request: Request) -> Response:
        from starlette.responses import Response

        body = bytearray()
        if request.method == "POST":
            async for part in request.stream():
                body += part
                if len(body) > _MOST_BODY:
                    return Response(status_code=413)
        headers, host = request.headers.raw, request.client.host if request.client else None
        status, answered, content = await anyio.to_thread.run_sync(
            lambda: make().respond(request.method, path, request.url.query, headers, host, bytes(body))
        )
        return Response(content, status, dict(answered))

    return answer
