"""SQLite: a small pool for the embedded default, and queries of it, of sqlite3 and of aiosqlite.

``sqlite3.Connection`` itself can neither be changed nor exchanged, so its queries are counted by a
subclass: ``sqlite3.connect(path, factory=SQLiteConnection)``. The pool's connections are such.
"""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, perf_counter
from typing import Any, Self

from ferrometer.collectors.sql.metrics import (
    ClientMetrics,
    Instrumentation,
    PoolMetrics,
    PoolState,
    ServiceDatabase,
)
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

_QUERIES = ("execute", "executemany", "executescript")


class SQLiteConnection(sqlite3.Connection):
    """A plain connection that ``instrument_sqlite`` can work on."""


class SQLitePool:
    """At most ``size`` connections to one database file, opened when first needed; for any threads.

    ``options`` go to ``sqlite3.connect``. ``timeout``: seconds to wait for a connection, and for a
    lock of the database. Several connections pay with WAL mode, which lets readers go on beside a
    writer; ``":memory:"`` would give each connection a database of its own and is refused.
    """

    def __init__(self, path: str, *, size: int = 4, timeout: float = 5.0, **options: Any) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size!r}")
        if path in ("", ":memory:"):
            raise ValueError("a pool needs a file, or file:name?mode=memory&cache=shared with uri=True")
        self._connect = functools.partial(
            sqlite3.connect,
            path,
            timeout=timeout,
            **{"factory": SQLiteConnection, **options, "check_same_thread": False},
        )
        self.size = size
        self.timeout = timeout
        self._free: list[sqlite3.Connection] = []
        self._used: set[sqlite3.Connection] = set()
        self._opening = 0
        self._closed = False
        self._changed = threading.Condition()

    def acquire(self, timeout: float | None = None) -> sqlite3.Connection:
        """A connection for the caller alone, to be given to ``release``.

        Raises TimeoutError when none is free within ``timeout`` seconds, ValueError after ``close``.
        """
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        with self._changed:
            while True:
                if self._closed:
                    raise ValueError("the pool is closed")
                if self._free:
                    connection = self._free.pop()
                    self._used.add(connection)
                    return connection
                if len(self._used) + self._opening < self.size:
                    self._opening += 1
                    break
                left = deadline - monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"all {self.size} connections are in use")
        return self._open()

    def release(self, connection: sqlite3.Connection) -> None:
        """Take it back; what was not committed is rolled back. Raises ValueError for a strange one."""
        with self._changed:
            if connection not in self._used:
                raise ValueError("not a connection of this pool, or released already")
        sound = not self._closed
        try:
            connection.rollback()
        except sqlite3.Error:  # closed by its user, or broken
            sound = False
        with self._changed:
            self._used.discard(connection)
            if sound:
                self._free.append(connection)
            self._changed.notify()
        if not sound:
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[sqlite3.Connection]:
        """A connection for a block; commits at its end, rolls back when it raises."""
        connection = self.acquire(timeout)
        try:
            with connection:
                yield connection
        finally:
            self.release(connection)

    def state(self) -> PoolState:
        """Connections in use and free now."""
        return PoolState(len(self._used), len(self._free), self.size)

    def close(self) -> None:
        """Close the free connections now, those in use when they come back."""
        with self._changed:
            self._closed = True
            free, self._free = self._free, []
            self._changed.notify_all()
        for connection in free:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
        except BaseException:
            with self._changed:
                self._opening -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._opening -= 1
            self._used.add(connection)
        return connection


def instrument_sqlite(
    connection: Any,
    *,
    name: str = "sqlite",
    namespace: str | None = None,
    database: ServiceDatabase | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Instrumentation:
    """Count and time the queries of a ``SQLitePool``, an aiosqlite connection, or a ``SQLiteConnection``.

    ``name``: label ``pool``. ``namespace`` or ``database`` (``ServiceStats.database``): also feed the
    ``{namespace}_db_*`` families. SQLite computes rows while they are fetched: the time of a query is
    that of its execute alone. Raises TypeError for anything else; an instrumented object is returned
    its first instrumentation.
    """
    known = getattr(connection, "_ferrometer", None)
    if isinstance(known, Instrumentation):
        return known
    metrics = ClientMetrics(name, system="sqlite", registry=registry, namespace=namespace, database=database)
    if isinstance(connection, SQLitePool):
        return _instrument_pool(connection, name, metrics, registry)
    if isinstance(connection, sqlite3.Connection):
        return _instrument_connection(connection, name, metrics)
    if callable(getattr(connection, "_execute", None)) and callable(getattr(connection, "execute", None)):
        return _instrument_aiosqlite(connection, name, metrics)
    raise TypeError(
        "instrument_sqlite takes a SQLitePool, an aiosqlite.Connection or a sqlite3.Connection, "
        f"not {type(connection).__name__}"
    )


def _instrument_pool(
    pool: Any, name: str, metrics: ClientMetrics, registry: CollectorRegistry
) -> Instrumentation:
    gauges = PoolMetrics(name, pool.state, metrics.view, registry)
    classes: dict[type[Any], type[Any]] = {}
    acquire = pool.acquire
    enter, leave, acquired = gauges.enter, gauges.leave, gauges.acquired

    def timed_acquire(timeout: float | None = None) -> Any:
        enter()
        begun = perf_counter()
        try:
            connection = acquire(timeout)
        except BaseException as error:
            gauges.failed(error)
            raise
        finally:
            leave()
        acquired(perf_counter() - begun)
        _observe(connection, classes, metrics)
        return connection

    def undo() -> None:
        del pool.acquire, pool._ferrometer
        plain = {observed: base for base, observed in classes.items()}
        for connection in [*pool._free, *pool._used]:
            connection.__class__ = plain.get(type(connection), type(connection))

    pool.acquire = timed_acquire
    pool._ferrometer = made = Instrumentation(name, undo, gauges)
    return made


def _instrument_connection(connection: Any, name: str, metrics: ClientMetrics) -> Instrumentation:
    kind = type(connection)
    if kind is sqlite3.Connection:
        raise TypeError(
            "a plain sqlite3.Connection cannot be changed; open it with "
            "sqlite3.connect(path, factory=ferrometer.collectors.sql.SQLiteConnection)"
        )

    def undo() -> None:
        connection.__class__ = kind
        del connection._ferrometer

    _observe(connection, {}, metrics)
    connection._ferrometer = made = Instrumentation(name, undo)
    return made


def _observe(connection: Any, classes: dict[type[Any], type[Any]], metrics: ClientMetrics) -> None:
    base = type(connection)
    if base is sqlite3.Connection or base in classes.values():
        return
    if base not in classes:
        classes[base] = _observed_connection(base, metrics)
    connection.__class__ = classes[base]


def _observed_connection(base: type[Any], metrics: ClientMetrics) -> type[Any]:
    timed = {name: _timed(getattr(sqlite3.Cursor, name), metrics) for name in _QUERIES}
    observed = type("Cursor", (sqlite3.Cursor,), {"__slots__": (), **timed})

    def cursor(self: Any, factory: Any = observed) -> Any:
        return base.cursor(self, factory)

    # The connection's own methods make their cursor in C, without asking for this one.
    direct = {name: _timed(getattr(base, name), metrics) for name in _QUERIES}
    return type(base.__name__, (base,), {**direct, "cursor": cursor, "__module__": base.__module__})


def _timed(method: Any, metrics: ClientMetrics) -> Callable[..., Any]:
    done, failed = metrics.done, metrics.failed

    def call(self: Any, sql: Any, *args: Any) -> Any:
        begun = perf_counter()
        try:
            result = method(self, sql, *args)
        except BaseException as error:
            failed(sql, perf_counter() - begun, error)
            raise
        done(sql, perf_counter() - begun)
        return result

    return functools.wraps(method)(call)


def _instrument_aiosqlite(connection: Any, name: str, metrics: ClientMetrics) -> Instrumentation:
    execute = connection._execute  # where all of its work goes through, cursors' too

    async def timed_execute(function: Any, *args: Any, **options: Any) -> Any:
        what = getattr(function, "__name__", "")
        sql = args[0] if (args and what.startswith("execute")) or "_execute_" in what else None
        if not isinstance(sql, str):
            return await execute(function, *args, **options)
        begun = perf_counter()
        try:
            result = await execute(function, *args, **options)
        except BaseException as error:
            metrics.failed(sql, perf_counter() - begun, error)
            raise
        metrics.done(sql, perf_counter() - begun)
        return result

    def undo() -> None:
        del connection._execute, connection._ferrometer

    connection._execute = timed_execute
    connection._ferrometer = made = Instrumentation(name, undo)
    return made


__all__ = ["SQLiteConnection", "SQLitePool", "instrument_sqlite"]
