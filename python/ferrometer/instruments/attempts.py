"""The attempts of a call: each request that an SDK's HTTP client sends while the call runs.

The transport is wrapped, and each of the mounts, through which all traffic of a proxy goes; so attempts whose
connection fails are seen, too. Clients of ``httpx`` and ``httpx2`` are alike here, and neither is imported.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

from ferrometer.instruments.call import inference

_call: ContextVar[inference | None] = ContextVar("ferrometer_call", default=None)


class in_call:  # noqa: N801  # a context, used as a function
    """The requests within belong to this call."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: inference) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._token: Token[inference | None] = _call.set(self._call)

    def __exit__(self, *_: object) -> None:
        _call.reset(self._token)


class _Counted:
    """A transport whose requests are counted."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def handle_request(self, request: Any) -> Any:
        if (call := _call.get()) is not None:
            call.attempts += 1
        return self._transport.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        if (call := _call.get()) is not None:
            call.attempts += 1
        return await self._transport.handle_async_request(request)

    # Looked up on the type.

    def __enter__(self) -> Any:
        self._transport.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._transport.__exit__(*error)

    async def __aenter__(self) -> Any:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._transport.__aexit__(*error)


def count_attempts(client: Any) -> None:
    """Counts the requests of an httpx client as attempts; a second time does nothing."""
    client._transport = _counted(client._transport)
    client._mounts = {pattern: _counted(transport) for pattern, transport in client._mounts.items()}


def _counted(transport: Any) -> Any:
    return transport if transport is None or isinstance(transport, _Counted) else _Counted(transport)
