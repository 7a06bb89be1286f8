"""The ASGI middleware: ``MetricsMiddleware(app)`` measures any ASGI application.

The class is native and is itself what the server calls; no Python frame runs on its account. What it
counts is in ``HttpMetrics``, which several middlewares and the endpoints may share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer._core import HttpMetrics, MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    Message = MutableMapping[str, Any]

__all__ = ["HttpMetrics", "MetricsMiddleware"]


async def __call__(  # noqa: N807  # becomes a method below
    self: MetricsMiddleware,
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Measure one connection of the application behind."""
    await self(scope, receive, send)


# Servers look at `app.__call__` to tell ASGI 3 from ASGI 2 and WSGI, and want to see a coroutine function
# there. Calls do not pass through it: they go to the native code.
__call__.__qualname__ = "MetricsMiddleware.__call__"
_core.show_call(__call__)
