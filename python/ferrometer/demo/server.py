"""The demo's server side: an address that is certain before anything starts, and uvicorn on it."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from fastapi import FastAPI

_LOOKAHEAD = 50
"""How many ports after a busy one are tried for a suggestion."""


class AddressError(Exception):
    """The address cannot be had; the text says why and what to do, in one line."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes any free one."""
    try:
        return _bind(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise AddressError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    for free in range(port + 1, min(port + _LOOKAHEAD, 65536)):
        with suppress(OSError), _bind(host, free):
            remedy = f"ferrometer demo --port {free} (or: make demo PORT={free})"
            raise AddressError(f"port {port} is busy, {free} is free: {remedy}")
    raise AddressError(f"port {port} is busy; for any free one: ferrometer demo --port 0")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol left out asyncio does not recognise TCP and leaves Nagle's delay on: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there the option would share the port with whoever has it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def address(listener: socket.socket) -> str:
    """The URL of what listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn, without its hands on the signals: the demo ends its client first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    """Serves `app` in this event loop while the block runs."""
    # The failing routes fail on purpose: their tracebacks would bury the table.
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=2)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                raise AddressError("the server ended while it started")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task
