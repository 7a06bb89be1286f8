"""The floor of a middleware: one that only passes the request on."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class PassThrough:
    """The smallest ASGI middleware one can write in Python. It measures nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        await self.app(scope, receive, send)
