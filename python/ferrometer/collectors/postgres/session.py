"""One connection to a PostgreSQL server or a PgBouncer console: rows, or why there are none."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from ferrometer.background.collector import CollectError, UnavailableError

Connect: TypeAlias = Callable[[], Any]
Row: TypeAlias = dict[str, Any]

_INSTALL = "pip install 'ferrometer[postgres]'"

# What the server answers by: SQLSTATE, or its first two characters. The first match counts.
_STATES = {
    "28": "authentication",
    "3D": "no_database",
    "53300": "too_many_connections",
    "53": "resources",
    "57P03": "starting",
    "57P": "shutdown",
    "57014": "cancelled",
    "42501": "permission_denied",
    "42P01": "missing",
    "42703": "missing",
    "42883": "missing",
    "55000": "missing",
    "0A": "missing",
    "08": "disconnected",
}
# A failed connect of libpq has no SQLSTATE, only words; a server that speaks another language gets "connect".
_WORDS = {
    "authentication failed": "authentication",
    "no pg_hba.conf entry": "authentication",
    "no password supplied": "authentication",
    "auth failed": "authentication",
    "no such user": "authentication",
    "too many clients": "too_many_connections",
    "remaining connection slots": "too_many_connections",
    "too many connections": "too_many_connections",
    "no more connections allowed": "too_many_connections",
    "starting up": "starting",
    "not yet accepting": "starting",
    "in recovery mode": "starting",
    "shutting down": "shutdown",
    "administrator command": "shutdown",
    "onnection refused": "refused",
    "No such file or directory": "refused",
    "does not exist": "no_database",
    "no such database": "no_database",
    "timeout expired": "timeout",
    "timed out": "timeout",
    "translate host name": "unresolved",
    "resolve host": "unresolved",
    "Name or service not known": "unresolved",
}

_SAID = {
    "authentication": "the server does not accept the user or password",
    "no_database": "there is no such database",
    "too_many_connections": "the server has no connection free",
    "resources": "the server has run out of resources",
    "starting": "the server is starting up",
    "shutdown": "the server is shutting down",
    "cancelled": "the server cancelled the query",
    "permission_denied": "permission denied",
    "missing": "this server has no such view, function or column",
    "disconnected": "the connection broke",
    "refused": "connection refused",
    "timeout": "no answer in time",
    "startup_parameter": "PgBouncer refuses a startup parameter; name it in its ignore_startup_parameters",
    "unresolved": "the host name leads nowhere",
    "connect": "no connection",
    "query": "the query failed",
}

LOST = frozenset(_SAID) - {"permission_denied", "missing", "cancelled", "query"}
"""Reasons after which the connection is of no more use."""

# The name of a parameter, never its value.
_REFUSED_PARAMETER = re.compile(r"unsupported startup parameter(?: in options)?: ([a-zA-Z_.]{1,64})")

_INHERITED: list[Any] = []


class Session:
    """Opened at the first question, and again after it broke.

    ``connect()`` returns (a coroutine of) an asyncio connection: psycopg's, which must be in
    autocommit mode, or asyncpg's. What a driver says is never passed on, since it may quote the
    connection string: errors are a ``CollectError`` with a reason and words of our own.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Any = None
        self._pid = os.getpid()

    async def rows(self, sql: str, *, first: bool = False) -> list[Row]:
        """The answer. ``first`` of a run: where the connection was closed since, a new one is tried."""
        if self._pid != os.getpid():
            # Forked: the connection is the parent's. Closing it, or letting it be collected, would end
            # the parent's session.
            _INHERITED.append(self._connection)
            self._connection, self._pid = None, os.getpid()
        if self._connection is not None:
            try:
                return await self._ask(sql)
            except CollectError as error:
                if not first or error.reason not in ("disconnected", "shutdown"):
                    raise
        try:
            self._connection = await _await(self._connect())
        except Exception as error:
            raise explained(error, "connect") from None
        return await self._ask(sql)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            with suppress(Exception):
                await asyncio.wait_for(_await(connection.close()), 1.0)
            abandon(connection)

    async def _ask(self, sql: str) -> list[Row]:
        connection = self._connection
        # A task of its own, which is never cancelled: psycopg answers that by asking the server to
        # cancel, and waits for its consent, which one that is frozen does not give.
        task = asyncio.ensure_future(_query(connection, sql))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._connection = None
            task.add_done_callback(functools.partial(_left_behind, connection))
            _hang_up(connection)
            raise
        except Exception as error:
            explanation = explained(error, "query")
            if explanation.reason in LOST or _is_closed(connection):
                self._connection = None
                abandon(connection)
                if explanation.reason == "query":
                    explanation = _error("disconnected")
            raise explanation from None


def dsn_connect(dsn: str, timeout: float, *, asyncpg_too: bool = True) -> Connect:
    """A ``connect`` for a connection string, by psycopg, or asyncpg where only that is installed.

    Raises ImportError naming the extra where neither is.
    """
    try:
        import psycopg
    except ImportError:
        if asyncpg_too and (connect_asyncpg := _asyncpg_connect(dsn, timeout)):
            return connect_asyncpg
        raise ImportError(f"this collector needs psycopg: {_INSTALL}") from None

    def connect() -> Awaitable[Any]:
        return psycopg.AsyncConnection.connect(
            dsn,
            autocommit=True,
            # PgBouncer's console knows no prepared statements, and neither do pools of transactions.
            prepare_threshold=None,
            connect_timeout=max(2, round(timeout)),
            fallback_application_name="ferrometer",
        )

    return connect


def _asyncpg_connect(dsn: str, timeout: float) -> Connect | None:
    try:
        import asyncpg
    except ImportError:
        return None
    return lambda: asyncpg.connect(dsn, timeout=timeout, server_settings={"application_name": "ferrometer"})


async def _query(connection: Any, sql: str) -> list[Row]:
    if callable(getattr(connection, "fetch", None)):  # asyncpg
        return [dict(record) for record in await connection.fetch(sql)]
    cursor = await connection.execute(sql)
    names = [column.name for column in cursor.description or ()]
    # Whatever row factory the connection has, a cursor of it can be told to give tuples.
    return [dict(zip(names, _values(row, names), strict=True)) for row in await cursor.fetchall()]


def _values(row: Any, names: list[str]) -> Any:
    return [row[name] for name in names] if isinstance(row, dict) else row


async def _await(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def abandon(connection: Any) -> None:
    """Close at once, without a word to the server: it may be frozen."""
    with suppress(Exception):
        if callable(getattr(connection, "terminate", None)):
            connection.terminate()
        else:
            connection.pgconn.finish()


def _hang_up(connection: Any) -> None:
    """End the question that is under way: whoever waits on the socket sees its end, come what may."""
    with suppress(Exception):
        if callable(getattr(connection, "terminate", None)):
            connection.terminate()
            return
        # A duplicate, since libpq closes its own; what is shut down is the connection behind both.
        with socket.fromfd(connection.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM) as line:
            line.shutdown(socket.SHUT_RDWR)


def _left_behind(connection: Any, task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # asked for, so that asyncio does not report it
    abandon(connection)


def _is_closed(connection: Any) -> bool:
    closed = getattr(connection, "closed", None)
    if closed is None:
        closed = connection.is_closed()
    return bool(closed)


def explained(error: BaseException, otherwise: str) -> CollectError:
    """A driver's exception as one of ours, by what the server said or by the words of libpq."""
    if isinstance(error, CollectError):
        return error
    if isinstance(error, TimeoutError):
        return _error("timeout")
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return _error("refused")
    if refused := _REFUSED_PARAMETER.search(str(error)):  # of a driver's own, or from `options` of the dsn
        text = f"PgBouncer refuses the startup parameter {refused[1]!r}: name it in ignore_startup_parameters"
        return CollectError(text, reason="startup_parameter")
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        for length in (5, 3, 2):
            if reason := _STATES.get(state[:length]):
                return _error(reason)
        return _error(otherwise)
    text = str(error)
    for words, reason in _WORDS.items():
        if words in text:
            return _error(reason)
    if isinstance(error, OSError):
        return _error("unresolved" if type(error).__name__ == "gaierror" else "disconnected")
    return _error(otherwise)


def _error(reason: str) -> CollectError:
    return CollectError(_SAID[reason], reason=reason)


def unavailable(words: str) -> UnavailableError:
    """What this server does not have, which is no fault."""
    return UnavailableError(words, reason="missing")


__all__ = ["LOST", "Connect", "Row", "Session", "abandon", "dsn_connect", "explained", "unavailable"]
