"""``prometheus_client.asgi``, with the header names in lower case, as ASGI wants them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ferrometer._prometheus_client import complete
from ferrometer.metrics.registry import REGISTRY

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_theirs: dict[str, Any] = {"__name__": "ferrometer.asgi"}


def make_asgi_app(registry: Any = REGISTRY, disable_compression: bool = False) -> Callable[..., Any]:
    """An ASGI application that serves the metrics of a registry."""
    if "make_asgi_app" not in _theirs:
        complete(_theirs, "asgi")
    app = _theirs["make_asgi_app"](registry, disable_compression)

    async def prometheus_app(scope: _Message, receive: _Receive, send: _Send) -> None:
        async def send_lower(message: _Message) -> None:
            if "headers" in message:
                headers = [(name.lower(), value) for name, value in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_lower)

    return prometheus_app


__all__ = ["make_asgi_app"]
