"""The attempts of a call: each request that an SDK's HTTP client sends while the call runs.

The client's transports count them, so attempts whose connection fails are seen, too.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ferrometer.instruments.call import inference
from ferrometer.instruments.transports import Transport, wrap_transports

_call: ContextVar[inference | None] = ContextVar("ferrometer_call", default=None)


#: The requests from ``enter_call(call)`` to ``leave_call(its result)`` belong to the call.
enter_call = _call.set
leave_call = _call.reset


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
