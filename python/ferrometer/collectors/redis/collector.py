"""The collector that watches a Redis or Valkey server: INFO, and how long queues are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ferrometer.background.collector import Collector, Scope
from ferrometer.background.partial import Parts
from ferrometer.collectors.redis.session import LOST, Session, wrong_type
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Info

# Field of INFO, family, help. Names as redis_exporter's, so that its dashboards and alerts fit.
_GAUGES = (
    ("used_memory", "redis_memory_used_bytes", "Memory allocated by the server"),
    ("used_memory_rss", "redis_memory_used_rss_bytes", "Memory the operating system gave the server"),
    ("used_memory_peak", "redis_memory_used_peak_bytes", "Most memory ever allocated"),
    ("maxmemory", "redis_memory_max_bytes", "Limit of memory, 0 for none"),
    ("connected_clients", "redis_connected_clients", "Client connections"),
    ("blocked_clients", "redis_blocked_clients", "Clients that wait in a blocking command"),
    ("maxclients", "redis_connected_clients_max", "Client connections allowed"),
    ("connected_slaves", "redis_connected_replicas", "Replicas connected"),
    ("rdb_changes_since_last_save", "redis_changes_since_last_save", "Changes that a crash would lose"),
    ("loading", "redis_loading", "Whether the server is loading its data"),
)
_COUNTERS = (
    ("keyspace_hits", "redis_keyspace_hits", "Lookups that found their key"),
    ("keyspace_misses", "redis_keyspace_misses", "Lookups that did not"),
    ("evicted_keys", "redis_evicted_keys", "Keys evicted for want of memory"),
    ("expired_keys", "redis_expired_keys", "Keys expired"),
    ("total_commands_processed", "redis_commands_processed", "Commands, of all clients"),
    ("total_connections_received", "redis_connections_received", "Connections accepted"),
    ("rejected_connections", "redis_rejected_connections", "Connections refused by the limit of clients"),
    ("total_net_input_bytes", "redis_net_input_bytes", "Bytes received"),
    ("total_net_output_bytes", "redis_net_output_bytes", "Bytes sent"),
    ("total_error_replies", "redis_error_replies", "Answers that were errors"),
)


class RedisCollector(Collector):
    """Memory, hits and misses, evictions, clients, keys of a server, and the lengths of its queues.

    ``url``: ``redis://user:password@host:port/db``, ``rediss://`` or ``unix://``; or ``client``, a
    sync client of redis-py or valkey-py. ``queues``: keys whose length is shown, lists, streams and
    sorted sets alike; of streams also each group's pending and unread entries. A key that is forbidden, of
    another type or on another node is a failure of its own part, ``queue:KEY``; the others are served.
    ``name``: label ``server``, and ``collector`` of the self-metrics. The user needs ``+info``, and
    ``+type +llen +zcard +xlen +xinfo|groups`` on the keys.

    Raises ValueError unless exactly one of ``url`` and ``client`` is given, TypeError for an asyncio
    client, ImportError without redis-py.
    """

    scope: Scope = "machine"

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Any = None,
        queues: Iterable[str] = (),
        name: str = "redis",
        interval: float = 10.0,
        timeout: float = 5.0,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if isinstance(queues, str):
            raise TypeError("queues must be several keys, not one text")
        self.name = name
        self.interval = interval
        self.timeout = timeout
        self._queues = tuple(queues)
        self._session = Session(url, client, timeout)
        self._started: tuple[object, int] = ("", 0)
        labels = ["server"]
        self._info = Table(
            name,
            [
                *(
                    Gauge(family, words, labels, registry=registry, multiprocess_mode="livemostrecent")
                    for _, family, words in _GAUGES
                ),
                *(Counter(family, words, labels, registry=registry) for _, family, words in _COUNTERS),
                Gauge(
                    "redis_start_time_seconds",
                    "When the server started, in seconds since 1970",
                    labels,
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
                Gauge(
                    "redis_db_keys",
                    "Keys of a database",
                    [*labels, "db"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
                Gauge(
                    "redis_db_keys_expiring",
                    "Keys of a database with a time to live",
                    [*labels, "db"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
            ],
        )
        self._version = Info("redis_instance", "The server's version and role", labels, registry=registry)
        self._lengths = Table(
            name,
            [
                Gauge(
                    "redis_queue_length",
                    "Entries of a list, stream or sorted set",
                    [*labels, "queue"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
                Gauge(
                    "redis_stream_group_pending",
                    "Entries delivered to the group and not yet acknowledged",
                    [*labels, "queue", "group"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
                Gauge(
                    "redis_stream_group_lag",
                    "Entries not yet delivered to the group",
                    [*labels, "queue", "group"],
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                ),
            ],
        )
        self._parts = Parts(name, registry, fatal=lambda error: error.reason in LOST)

    def __repr__(self) -> str:
        return f"RedisCollector(name={self.name!r})"  # never the url

    def collect(self) -> None:
        """Ask the server. Raises CollectError when it does not answer."""
        with self._parts("info", self._forget_info):
            self._read_info(self._session.ask(lambda client: client.info()))
            self._info.sweep()
        for queue in self._queues:
            with self._parts(f"queue:{queue}", _nothing):
                self._read_queue(queue)
        self._lengths.sweep()  # with it go the values of the queues that failed

    def clear(self) -> None:
        """Drop all values: nothing is known of the server any more."""
        self._forget_info()
        self._lengths.clear()
        self._parts.clear()

    def close(self) -> None:
        """Close the connection, where it is the collector's own."""
        self._session.close()

    def _forget_info(self) -> None:
        self._info.clear()
        self._version.remove(self.name)

    def _read_info(self, info: Mapping[str, Any]) -> None:
        for field, family, _ in (*_GAUGES, *_COUNTERS):
            if isinstance(value := info.get(field), int | float):
                self._info[family].set(value)
        if "uptime_in_seconds" in info:
            self._info["redis_start_time_seconds"].set(self._start_time(info))
        for key, value in info.items():
            if key.startswith("db") and key[2:].isdigit() and isinstance(value, Mapping):
                self._info["redis_db_keys"].set(value.get("keys"), key)
                self._info["redis_db_keys_expiring"].set(value.get("expires"), key)
        version = info.get("valkey_version") or info.get("redis_version", "")
        name = str(info.get("server_name") or "redis")
        self._version.labels(self.name).info(
            {"version": str(version), "server_name": name, "role": str(info.get("role", ""))}
        )

    def _start_time(self, info: Mapping[str, Any]) -> int:
        """When the server started; the same number at every reading of one run of it."""
        uptime = int(info["uptime_in_seconds"])
        if "server_time_usec" in info:  # Redis 7, Valkey: the clock from which the uptime was taken
            return int(info["server_time_usec"]) // 1_000_000 - uptime
        run = info.get("run_id", "")
        if self._started[0] != run:
            self._started = (run, round(time.time()) - uptime)
        return self._started[1]

    def _read_queue(self, queue: str) -> None:
        kind = self._session.ask(lambda client: _text(client.type(queue)))
        count = _LENGTHS.get(kind)
        if count is None:
            raise wrong_type()
        length = self._session.ask(lambda client: count(client, queue))
        self._lengths["redis_queue_length"].set(length, queue)
        if kind != "stream":
            return
        for entry in self._session.ask(lambda client: client.xinfo_groups(queue)):
            group = {_text(field): value for field, value in entry.items()}
            name = _text(group["name"])
            self._lengths["redis_stream_group_pending"].set(group.get("pending"), queue, name)
            self._lengths["redis_stream_group_lag"].set(group.get("lag"), queue, name)  # Redis 7


_LENGTHS: Mapping[str, Callable[[Any, str], int]] = {
    "list": lambda client, key: int(client.llen(key)),
    "zset": lambda client, key: int(client.zcard(key)),
    "stream": lambda client, key: int(client.xlen(key)),
    "none": lambda client, key: 0,  # an empty queue is no key
}


def _nothing() -> None:
    """A queue that failed has no values of its own to drop: it was not set since the last sweep."""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


__all__ = ["RedisCollector"]
