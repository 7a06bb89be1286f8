"""The transports of an httpx client, wrapped: the client's own, and those of its mounts.

All traffic of a proxy goes through a mount. Clients of ``httpx`` and ``httpx2`` are alike, and neither is
imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Transport:
    """A transport around another one; subclasses see each request, also those that do not connect."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

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


def wrap_transports(client: Any, wrapper: type[Transport], make: Callable[[Any], Transport]) -> None:
    """Puts ``make`` around every transport of a client; nothing where a ``wrapper`` is there already."""

    def wrapped(transport: Any) -> Any:
        inner = transport
        while isinstance(inner, Transport):
            if isinstance(inner, wrapper):
                return transport
            inner = inner._transport
        # A mount without transport says that the client's own one is used.
        return None if transport is None else make(transport)

    client._transport = wrapped(client._transport)
    client._mounts = {pattern: wrapped(transport) for pattern, transport in client._mounts.items()}
