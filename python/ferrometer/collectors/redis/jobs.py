"""Depths of job queues: RQ's in Redis, Celery's in whatever broker it has."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from ferrometer.background.collector import CollectError, Collector, Scope
from ferrometer.background.partial import Parts
from ferrometer.collectors.redis.collector import _nothing, _text
from ferrometer.collectors.redis.session import LOST, Session, explained
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Gauge

# RQ keeps a queue in a list and each other state in a sorted set. In some the score is the second at which
# the entry ends: RQ removes it when it happens to look there, perhaps never.
_STATES = {
    "started": ("rq:wip:{}", True),
    "deferred": ("rq:deferred:{}", False),
    "scheduled": ("rq:scheduled:{}", False),
    "failed": ("rq:failed:{}", True),
    "finished": ("rq:finished:{}", True),
    "canceled": ("rq:canceled:{}", False),
}

_LOOK_UP = 10_000
"""A list or set of at most so many jobs is looked through for those whose data has expired."""


class RQCollector(Collector):
    """Jobs of every RQ queue by state, and workers; read from Redis alone, RQ need not be installed.

    Counted are the jobs and workers that exist: not a worker that was killed, nor a job whose time to live is
    over (of more than 10 000 jobs in one state, the number of entries), nor an execution that was abandoned.
    The user needs ``+smembers +llen +lrange +zcard +zcount +zrangebyscore +exists`` on ``rq:*``.
    A queue that cannot be read is a failure of its part ``queue:NAME``; the others are served.

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
        self._parts = Parts(name, registry, fatal=lambda error: error.reason in LOST)
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
        queues: Iterable[str] = self._queues
        if not queues:
            registered = self._session.ask(lambda client: client.smembers("rq:queues"))
            queues = sorted(_text(key).removeprefix("rq:queue:") for key in registered)
        for queue in queues:
            with self._parts(f"queue:{queue}", _nothing):
                for state, jobs in self._session.ask(partial(_jobs, queue=queue)).items():
                    self._table["rq_jobs"].set(jobs, queue, state)
        with self._parts("workers", _nothing):
            self._table["rq_workers"].set(self._session.ask(_workers))
        self._table.sweep()

    def clear(self) -> None:
        """Drop all values."""
        self._table.clear()
        self._parts.clear()

    def close(self) -> None:
        """Close the connection, where it is the collector's own."""
        self._session.close()


def _jobs(client: Any, queue: str) -> dict[str, int]:
    """Jobs of a queue by state."""
    key = f"rq:queue:{queue}"
    found = {"queued": int(client.llen(key))}
    if 0 < found["queued"] <= _LOOK_UP:
        found["queued"] = _existing(client, map(_job, client.lrange(key, 0, -1)))
    now = int(time.time())
    for state, (template, ends) in _STATES.items():
        key = template.format(queue)
        number = int(client.zcard(key))
        if ends and number:  # scores below 0 stand for no end
            number -= int(client.zcount(key, 0, now))
        if 0 < number <= _LOOK_UP:
            members = client.zrangebyscore(key, f"({now}" if ends else "-inf", "+inf")
            if ends:
                members += client.zrangebyscore(key, "-inf", "(0")
            # Of a job that runs, the entry is of its execution: JOB:EXECUTION, before RQ 2 the job alone.
            number = _existing(client, (_job(m, state == "started") for m in members))
        found[state] = number
    return found


def _job(member: str | bytes, execution: bool = False) -> str:
    name = _text(member)
    return f"rq:job:{name.rpartition(':')[0] or name if execution else name}"


def _existing(client: Any, keys: Iterable[str]) -> int:
    """How many of the keys exist."""
    wanted = list(keys)
    return sum(int(client.exists(*wanted[n : n + 500])) for n in range(0, len(wanted), 500))


def _workers(client: Any) -> int:
    """Workers that live: the data of one that was killed expires, and its name stays in the set."""
    return _existing(client, map(_text, client.smembers("rq:workers")))


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
        self._parts = Parts(name, registry, fatal=lambda error: error.reason in LOST)
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
        self._parts.clear()

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
            with self._parts(f"queue:{queue}", _nothing):
                try:
                    waiting = _waiting(connection, channel, queue)
                except connection.connection_errors:
                    raise
                except Exception as error:
                    # AMQP ends the channel of a question that it refuses.
                    channel = channel if getattr(channel, "is_open", True) else connection.channel()
                    raise explained(error) from None
                self._table["celery_queue_length"].set(waiting, queue)
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
