"""Servers and clients of the package ``mcp``: their operations, by the name of the tool.

A server has a list of middleware; a client has none, so the method that sends is replaced. The package makes
its own spans, and there are no further ones here.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from ferrometer.instruments import tables
from ferrometer.instruments.family import families_of
from ferrometer.metrics.registry import CollectorRegistry

_WATCHED = "_ferrometer_watched"


class _Operations:
    """Counts and times the operations of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        families = families_of(registry)
        self._requests, self._seconds = (families.shared(family) for family in tables.MCP)

    def record(self, server: str, operation: str, status: str, started: float) -> None:
        self._requests.labels(server, operation, status).inc()
        self._seconds.labels(server, operation).observe(perf_counter() - started)


def _failure(error: BaseException) -> str:
    return "cancelled" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "error"


class _Middleware:
    """Sees each message that a server gets."""

    def __init__(self, server: Any, operations: _Operations) -> None:
        self._name = str(server.name)
        self._tools = getattr(server, "_tool_manager", None)
        self._operations = operations

    async def __call__(self, context: Any, call_next: Any) -> Any:
        if context.request_id is None:  # a notification
            return await call_next(context)
        operation, started = self._operation(context), perf_counter()
        try:
            result = await call_next(context)
        except BaseException as error:
            self._operations.record(self._name, operation, _failure(error), started)
            raise
        failed = result.get("isError") if isinstance(result, dict) else getattr(result, "is_error", False)
        self._operations.record(self._name, operation, "error" if failed is True else "success", started)
        return result

    def _operation(self, context: Any) -> str:
        method = str(context.method)
        name = context.params.get("name") if method == "tools/call" and context.params else None
        if not isinstance(name, str):
            return method
        # Anyone may ask for any name: those of no tool share one series, where the server says which it has.
        return name if self._tools is None or self._tools.get_tool(name) is not None else "unknown"


def watch_mcp_server(server: Any, registry: CollectorRegistry) -> None:
    """Measures the operations that a server answers; a second time does nothing."""
    if not any(isinstance(one, _Middleware) for one in server.middleware):
        server.middleware.append(_Middleware(server, _Operations(registry)))


def watch_mcp_session(session: Any, server: str | None, registry: CollectorRegistry) -> None:
    """Measures what a ClientSession asks for; a second time does nothing.

    ``server`` is the server's name, where it tells none or another one.
    """
    if _WATCHED in vars(session):
        return
    setattr(session, _WATCHED, True)
    operations, send = _Operations(registry), session.send_request

    def name() -> str:
        return server or str(getattr(session.server_info, "name", None) or "unknown")

    async def send_request(request: Any, *args: Any, **kwargs: Any) -> Any:
        method = str(request.method)
        tool = getattr(request.params, "name", None) if method == "tools/call" else None
        operation, started = str(tool or method), perf_counter()
        try:
            result = await send(request, *args, **kwargs)
        except BaseException as error:
            operations.record(name(), operation, _failure(error), started)
            raise
        failed = getattr(result, "is_error", False) is True
        operations.record(name(), operation, "error" if failed else "success", started)
        return result

    session.send_request = send_request
