"""``prometheus_client.asgi``, in a thread, and with the header names in lower case, as ASGI wants them."""

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

    def answer(scope: _Message) -> list[_Message]:
        messages: list[_Message] = []

        async def receive() -> _Message:
            return {"type": "http.request"}

        async def send(message: _Message) -> None:
            if "headers" in message:
                headers = [(name.lower(), value) for name, value in message["headers"]]
                message = {**message, "headers": headers}
            messages.append(message)

        try:
            app(scope, receive, send).send(None)
        except StopIteration:
            return messages
        raise RuntimeError(
            "prometheus_client's ASGI application waits for something that is not receive or send"
        )

    async def prometheus_app(scope: _Message, receive: _Receive, send: _Send) -> None:
        from anyio import to_thread

        # Encoding and packing many series takes long, and the event loop has others to serve.
        messages = await to_thread.run_sync(answer, scope)
        if (await receive())["type"] == "http.request":
            for message in messages:
                await send(message)

    return prometheus_app


__all__ = ["make_asgi_app"]
