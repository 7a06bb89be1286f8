"""asyncpg: queries and pool, by subclasses that only the instrumented objects become members of.

asyncpg's classes have slots, so nothing can be put onto an object. But an object may change to a
subclass of the same layout, and back: other pools and the module itself never notice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any

from ferrometer.collectors.sql.metrics import (
    ClientMetrics,
    Instrumentation,
    PoolMetrics,
    PoolState,
    ServiceDatabase,
)
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

_QUERIES = ("fetch", "fetchval", "fetchrow", "fetchmany", "execute", "executemany", "copy_from_query")
_COPIES = ("copy_from_table", "copy_to_table", "copy_records_to_table")
_OF_STATEMENT = ("fetch", "fetchval", "fetchrow", "fetchmany", "executemany")


def instrument_asyncpg(
    pool: Any,
    *,
    name: str = "asyncpg",
    namespace: str | None = None,
    database: ServiceDatabase | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Instrumentation:
    """Count and time the queries of an ``asyncpg.Pool`` (also before it is awaited) or ``Connection``.

    ``name``: label ``pool``. ``namespace`` or ``database`` (``ServiceStats.database``): also feed the
    ``{namespace}_db_*`` families. Rows of a cursor are fetched unobserved. Raises TypeError for
    anything else than the two; an instrumented object is returned its first instrumentation.
    """
    import asyncpg

    kind = type(pool)
    known = getattr(kind, "_instrumentation", None)
    if isinstance(known, Instrumentation):
        return known
    metrics = ClientMetrics(
        name, system="postgresql", registry=registry, namespace=namespace, database=database
    )
    if isinstance(pool, asyncpg.Connection):
        _describe(pool, metrics)
        observed = _observed_connection(kind, metrics)

        def undo() -> None:
            pool.__class__ = kind

        observed._instrumentation = made = Instrumentation(name, undo)
        pool.__class__ = observed
        return made
    if not isinstance(pool, asyncpg.Pool):
        raise TypeError(f"instrument_asyncpg takes an asyncpg.Pool or Connection, not {kind.__name__}")
    return _instrument_pool(pool, kind, name, metrics, registry)


def _instrument_pool(
    pool: Any, kind: type[Any], name: str, metrics: ClientMetrics, registry: CollectorRegistry
) -> Instrumentation:
    classes: dict[type[Any], type[Any]] = {}

    def observe(connection: Any) -> None:
        base = type(connection)
        if base not in classes:
            classes[base] = _observed_connection(base, metrics)
        connection.__class__ = classes[base]
        _describe(connection, metrics)

    def connections() -> list[Any]:
        return [holder._con for holder in pool._holders if holder._con is not None]

    def read() -> PoolState:
        # `get_size` and `get_idle_size` walk the holders too; one walk serves both.
        size = idle = 0
        for holder in pool._holders:
            if holder.is_connected():
                size += 1
                idle += bool(holder.is_idle())
        return PoolState(size - idle, idle, pool.get_max_size())

    gauges = PoolMetrics(name, read, metrics.view, registry)

    def undo() -> None:
        pool.__class__ = kind
        plain = {observed: base for base, observed in classes.items()}
        for connection in connections():
            connection.__class__ = plain.get(type(connection), type(connection))

    made = Instrumentation(name, undo, gauges)
    pool.__class__ = _observed_pool(kind, made, gauges, observe)
    for connection in connections():
        observe(connection)
    return made


def _describe(connection: Any, metrics: ClientMetrics) -> None:
    address = getattr(connection, "_addr", None)
    host, port = address if isinstance(address, tuple) else (address, None)
    metrics.describe(host, port, getattr(getattr(connection, "_params", None), "database", None))


def _observed_pool(
    base: type[Any], made: Instrumentation, gauges: PoolMetrics, observe: Callable[[Any], None]
) -> Any:
    enter, leave, acquired = gauges.enter, gauges.leave, gauges.acquired
    acquire, connect = base._acquire, base._get_new_connection

    async def _acquire(self: Any, *args: Any) -> Any:
        enter()
        begun = perf_counter()
        try:
            proxy = await acquire(self, *args)
        except BaseException as error:
            gauges.failed(error)
            raise
        finally:
            leave()
        acquired(perf_counter() - begun)
        return proxy

    async def _get_new_connection(self: Any) -> Any:
        connection = await connect(self)
        observe(connection)
        return connection

    return _subclass(
        base, {"_instrumentation": made, "_acquire": _acquire, "_get_new_connection": _get_new_connection}
    )


def _observed_connection(base: type[Any], metrics: ClientMetrics) -> Any:
    methods: dict[str, Any] = {
        name: _timed(getattr(base, name), metrics) for name in _QUERIES if hasattr(base, name)
    }
    methods.update((name, _timed(getattr(base, name), metrics, "COPY")) for name in _COPIES)
    execute, plain_execute = methods["execute"], base.execute
    timed_prepare = _timed(base.prepare, metrics, "PREPARE")
    statements: dict[type[Any], type[Any]] = {}

    async def execute_but_reset(self: Any, *args: Any, **options: Any) -> Any:
        # The pool clears up after each release with a query of its own, which nobody has asked for.
        if args and args[0] is self._reset_query:
            return await plain_execute(self, *args, **options)
        return await execute(self, *args, **options)

    async def observed_prepare(self: Any, *args: Any, **options: Any) -> Any:
        statement = await timed_prepare(self, *args, **options)
        kind = type(statement)
        if kind not in statements:
            statements[kind] = _observed_statement(kind, metrics)
        statement.__class__ = statements[kind]
        return statement

    methods["execute"] = functools.wraps(plain_execute)(execute_but_reset)
    methods["prepare"] = functools.wraps(base.prepare)(observed_prepare)
    return _subclass(base, methods)


def _observed_statement(base: type[Any], metrics: ClientMetrics) -> Any:
    def timed(method: Any) -> Any:
        done, failed = metrics.done, metrics.failed

        async def call(self: Any, *args: Any, **options: Any) -> Any:
            begun = perf_counter()
            try:
                result = await method(self, *args, **options)
            except BaseException as error:
                failed(self._query, perf_counter() - begun, error)
                raise
            done(self._query, perf_counter() - begun)
            return result

        return functools.wraps(method)(call)

    return _subclass(base, {n: timed(getattr(base, n)) for n in _OF_STATEMENT if hasattr(base, n)})


def _timed(method: Any, metrics: ClientMetrics, operation: str | None = None) -> Any:
    done, failed = metrics.done, metrics.failed

    async def call(self: Any, *args: Any, **options: Any) -> Any:
        begun = perf_counter()
        try:
            result = await method(self, *args, **options)
        except BaseException as error:
            failed(operation or _text(args, options), perf_counter() - begun, error)
            raise
        done(operation or (args[0] if args else _text(args, options)), perf_counter() - begun)
        return result

    return functools.wraps(method)(call)


def _text(args: tuple[Any, ...], options: dict[str, Any]) -> str:
    text = args[0] if args else options.get("query", options.get("command", ""))
    return text if isinstance(text, str) else ""


def _subclass(base: type[Any], body: dict[str, Any]) -> Any:
    # No slots of its own: the layout stays the same, which is what lets an object change over.
    body = {"__slots__": (), "__module__": base.__module__, "__qualname__": base.__qualname__, **body}
    kind: Any = type(base)
    return kind(base.__name__, (base,), body)


__all__ = ["instrument_asyncpg"]
