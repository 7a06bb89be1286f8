"""Depths of job queues: RQ's in Redis, Celery's in whatever broker it has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ferrometer.background.collector import CollectError, Collector, Scope
from ferrometer.collectors.redis.collector import _text
from ferrometer.collectors.redis.session import Session, explained
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Gauge

# RQ keeps a queue in a list and each other state in a sorted set.
_STATES = {
    "started": "rq:wip:{}",
    "deferred": "rq:deferred:{}",
    "scheduled": "rq:scheduled:{}",
    "failed": "rq:failed:{}",
    "finished": "rq:finished:{}",
    "canceled": "rq:canceled:{}",
}


class RQCollector(Collector):
    """Jobs of every RQ queue by state, and workers; read from Redis alone, RQ need not be installed.

    ``url`` or ``client`` (sync) as for ``RedisCollector``. ``queues``: names; by default those that
    RQ has registered. ``name``: label ``server``, and ``collector`` of the self-metrics.
    """

    scope: Scope = "machine"

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Any = None,
        queues: Iterable[str] = (),
        name: str = "rq",
        interval: float = 10.0,
        timeout: float = 5.0,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self.name = name
        self.interval = interval
        self.timeout = timeout
        self._queues = tuple(queues)
        self._session = Session(url, client, timeout)
        self._table = Table(
            name,
            [
                Gauge(
                    "rq_jobs",
                    "Jobs of the queue, by state",
                    ["server", "queue", "state"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
                Gauge(
                    "rq_workers",
                    "Workers registered",
                    ["server"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
            ],
        )

    def __repr__(self) -> str:
        return f"RQCollector(name={self.name!r})"

    def collect(self) -> None:
        """Ask Redis. Raises CollectError when it does not answer."""
        self._session.ask(self._read)
        self._table.sweep()

    def clear(self) -> None:
        """Drop all values."""
        self._table.clear()

    def close(self) -> None:
        """Close the connection, where it is the collector's own."""
        self._session.close()

    def _read(self, client: Any) -> None:
        registered = (_text(key).removeprefix("rq:queue:") for key in client.smembers("rq:queues"))
        for queue in self._queues or sorted(registered):
            self._table["rq_jobs"].set(client.llen(f"rq:queue:{queue}"), queue, "queued")
            for state, key in _STATES.items():
                self._table["rq_jobs"].set(client.zcard(key.format(queue)), queue, state)
        self._table["rq_workers"].set(client.scard("rq:workers"))


class CeleryCollector(Collector):
    """Messages that wait in the queues of a Celery application, by its own broker connection.

    ``queues``: names; by default those that the application has declared. On a Redis broker also the
    messages that workers hold without having acknowledged them. ``name``: label ``server``, and
    ``collector`` of the self-metrics.
    """

    scope: Scope = "machine"

    def __init__(
        self,
        app: Any,
        *,
        queues: Iterable[str] = (),
        name: str = "celery",
        interval: float = 10.0,
        timeout: float = 5.0,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if not callable(getattr(app, "connection_for_read", None)):
            raise TypeError(f"CeleryCollector takes a Celery application, not {type(app).__name__}")
        self.name = name
        self.interval = interval
        self.timeout = timeout
        self._app = app
        self._queues = tuple(queues)
        self._connection: Any = None
        self._pid = os.getpid()
        self._table = Table(
            name,
            [
                Gauge(
                    "celery_queue_length",
                    "Messages that wait in the queue",
                    ["server", "queue"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
                Gauge(
                    "celery_unacked",
                    "Messages that workers hold",
                    ["server"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
            ],
        )

    def __repr__(self) -> str:
        return f"CeleryCollector(name={self.name!r})"

    def collect(self) -> None:
        """Ask the broker. Raises CollectError when it does not answer."""
        try:
            self._read(self._connect())
        except Exception as error:
            self.close()
            raise explained(error) from None
        self._table.sweep()

    def clear(self) -> None:
        """Drop all values."""
        self._table.clear()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.release()

    def _connect(self) -> Any:
        if self._pid != os.getpid():  # forked: the connection is the parent's
            self._connection, self._pid = None, os.getpid()
        if self._connection is None:
            connection = self._app.connection_for_read(connect_timeout=self.timeout / 2)
            if connection.transport.driver_type == "redis":
                half = self.timeout / 2
                limits = {"socket_timeout": half, "socket_connect_timeout": half}
                connection.transport_options = {**(connection.transport_options or {}), **limits}
            self._connection = connection
            connection.ensure_connection(max_retries=1, interval_start=0)
        return self._connection

    def _read(self, connection: Any) -> None:
        channel = connection.default_channel
        for queue in self._queues or sorted(self._app.amqp.queues):
            self._table["celery_queue_length"].set(_waiting(connection, channel, queue), queue)
        if connection.transport.driver_type == "redis":
            self._table["celery_unacked"].set(channel.client.hlen(channel.unacked_key))


def _waiting(connection: Any, channel: Any, queue: str) -> int:
    size = getattr(channel, "_size", None)
    if size is not None:  # kombu's own transports (Redis ...), where an empty queue does not exist
        return int(size(queue))
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except connection.channel_errors:
        raise CollectError(f"the broker has no queue {queue!r}", reason="missing") from None


__all__ = ["CeleryCollector", "RQCollector"]
