"""One connection to a Redis or Valkey server: an answer, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from ferrometer.background.collector import CollectError

_INSTALL = "pip install 'ferrometer[redis]'"
_T = TypeVar("_T")

_SAID = {
    "authentication": "the server does not accept the user or password",
    "too_many_connections": "the server has no connection free",
    "permission_denied": "permission denied",
    "starting": "the server is loading its data",
    "missing": "this server has no such command",
    "wrong_type": "the key is no list, stream or sorted set",
    "moved": "the key is on another node of the cluster: watch that node, or pass a RedisCluster client",
    "cluster_down": "the cluster does not serve this key now",
    "master_down": "the replica has lost its master and serves no old data",
    "refused": "connection refused",
    "timeout": "no answer in time",
    "unresolved": "the host name leads nowhere",
    "disconnected": "the connection broke",
    "query": "the command failed",
}
# How an answer begins, or what redis-py says. The first match counts.
_WORDS = (
    ("max number of clients", "too_many_connections"),
    ("NOAUTH", "authentication"),
    ("WRONGPASS", "authentication"),
    ("invalid password", "authentication"),
    ("invalid username-password", "authentication"),
    ("Authentication required", "authentication"),
    ("without any password configured", "authentication"),
    ("NOPERM", "permission_denied"),
    ("no permissions", "permission_denied"),
    ("LOADING", "starting"),
    ("unknown command", "missing"),
    ("WRONGTYPE", "wrong_type"),
    ("MOVED", "moved"),
    ("CLUSTERDOWN", "cluster_down"),
    ("refused", "refused"),
    ("No such file or directory", "refused"),
    ("Name or service not known", "unresolved"),
    ("name resolution", "unresolved"),
)
# redis-py's and valkey-py's exceptions: of these the message lacks the word that the answer began with.
_TYPES = {
    "AuthenticationError": "authentication",
    "NoPermissionError": "permission_denied",
    "BusyLoadingError": "starting",
    "MovedError": "moved",
    "AskError": "moved",
    "ClusterDownError": "cluster_down",
    "MasterDownError": "master_down",
    "MaxConnectionsError": "too_many_connections",
}

LOST = frozenset(
    {"authentication", "too_many_connections", "refused", "timeout", "unresolved", "disconnected"}
)
"""Reasons for which no other command would get an answer; a server that loads its data answers INFO."""


class Session:
    """A client of its own for ``url``, or the application's sync client.

    What the client says is never passed on, since it may quote the address: errors are a
    ``CollectError`` with a reason and words of our own.
    """

    def __init__(self, url: str | None, client: Any, timeout: float) -> None:
        if (url is None) == (client is None):
            raise ValueError("give either url or client")
        self._own = client is None
        self._client = _connect(url or "", timeout) if client is None else _sync(client)

    def ask(self, question: Callable[[Any], _T]) -> _T:
        """``question(client)``, its failure as a ``CollectError``."""
        try:
            return question(self._client)
        except Exception as error:
            raise explained(error) from None

    def close(self) -> None:
        """Close the connection, where it is ours."""
        if self._own:
            with suppress(Exception):
                self._client.close()
                self._client.connection_pool.disconnect()


def _connect(url: str, timeout: float) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ImportError(f"this collector needs redis: {_INSTALL}") from None
    return redis.Redis.from_url(
        url,
        # A server that is frozen is only noticed by the clock. One try again: the server may have been
        # restarted since the last run; more would hide what is to be seen.
        socket_timeout=timeout / 2,
        socket_connect_timeout=timeout / 2,
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[_connection_error(redis)],
        redis_connect_func=_named,
        decode_responses=True,
    )


def _named(connection: Any) -> None:
    """Connect, and name the connection where the user may: it is a courtesy, not needed."""
    connection.on_connect()
    connection.send_command("CLIENT", "SETNAME", "ferrometer")
    try:
        connection.read_response()
    except Exception as error:
        if explained(error).reason in LOST:
            raise


def _connection_error(redis: Any) -> type[Exception]:
    error: type[Exception] = redis.exceptions.ConnectionError
    return error


def _sync(client: Any) -> Any:
    import inspect

    if inspect.iscoroutinefunction(getattr(client, "execute_command", None)):
        raise TypeError("a collector runs in a thread: give it a sync client, or the url")
    return client


def explained(error: BaseException) -> CollectError:
    """A client's exception as one of ours, by its type and how the answer begins."""
    if isinstance(error, CollectError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    for name, reason in _TYPES.items():
        if name in names:
            return _error(reason)
    text = str(error)
    for words, reason in _WORDS:
        if words in text:
            return _error(reason)
    if "TimeoutError" in names or "timed out" in text.lower():
        return _error("timeout")
    if names & {"ConnectionError", "OSError"}:
        return _error("disconnected")
    return _error("query")


def _error(reason: str) -> CollectError:
    return CollectError(_SAID[reason], reason=reason)


def wrong_type() -> CollectError:
    """What is to be counted is not of a type that can be counted."""
    return _error("wrong_type")


__all__ = ["LOST", "Session", "explained", "wrong_type"]
