"""The attempts of a call: each request that an SDK's HTTP client sends while the call runs.

The client's transports count them, so attempts whose connection fails are seen, too.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

from ferrometer.instruments.call import inference
from ferrometer.instruments.transports import Transport, wrap_transports

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


class _Counted(Transport):
    """A transport whose requests are attempts of the running call."""

    def handle_request(self, request: Any) -> Any:
        if (call := _call.get()) is not None:
            call.attempts += 1
        return self._transport.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        if (call := _call.get()) is not None:
            call.attempts += 1
        return await self._transport.handle_async_request(request)


def count_attempts(client: Any) -> None:
    """Counts the requests of an httpx client as attempts; a second time does nothing."""
    wrap_transports(client, _Counted, _Counted)
