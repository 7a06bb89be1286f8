"""psycopg 3: queries by the cursor classes of the instrumented connections, pools by their ``getconn``."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
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

_FACTORIES = ("cursor_factory", "server_cursor_factory")


def instrument_psycopg(
    pool: Any,
    *,
    name: str = "psycopg",
    namespace: str | None = None,
    database: ServiceDatabase | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Instrumentation:
    """Count and time the queries of a psycopg 3 pool or connection, sync or async.

    ``name``: label ``pool``. ``namespace`` or ``database`` (``ServiceStats.database``): also feed the
    ``{namespace}_db_*`` families. In a pipeline a statement is counted when it is queued, its error when the
    answer comes, and nothing is timed: how long a single one took cannot be told. BEGIN and COMMIT that
    psycopg sends by itself are no queries of a cursor and are not counted. Raises TypeError for anything
    else than a pool or connection; an instrumented object is returned its first instrumentation.
    """
    known = getattr(pool, "_ferrometer", None)
    if isinstance(known, Instrumentation):
        return known
    import psycopg

    is_pool = callable(getattr(pool, "getconn", None)) and callable(getattr(pool, "get_stats", None))
    if not is_pool and not isinstance(pool, psycopg.Connection | psycopg.AsyncConnection):
        raise TypeError(f"instrument_psycopg takes a psycopg pool or connection, not {type(pool).__name__}")
    metrics = ClientMetrics(
        name, system="postgresql", registry=registry, namespace=namespace, database=database
    )
    factories = _Factories(metrics)
    if is_pool:
        state = functools.partial(_state, pool, factories.connections)
        gauges = PoolMetrics(name, state, metrics.view, registry)
        pool.getconn = _observed_getconn(pool.getconn, gauges, factories.observe)

        def undo() -> None:
            del pool.getconn, pool._ferrometer
            factories.undo()

        made = Instrumentation(name, undo, gauges)
    else:
        factories.observe(pool)

        def undo_one() -> None:
            del pool._ferrometer
            factories.undo()

        made = Instrumentation(name, undo_one)
    pool._ferrometer = made
    return made


def _state(pool: Any, seen: weakref.WeakSet[Any]) -> PoolState:
    """A connection that is lent knows its pool. The pool's size counts those too that it tries to make."""
    stats = pool.get_stats()
    lent = sum(getattr(connection, "_pool", None) is pool for connection in list(seen))
    return PoolState(lent, stats.get("pool_available", 0), stats.get("pool_max") or None)


def _observed_getconn(getconn: Any, gauges: PoolMetrics, observe: Callable[[Any], None]) -> Any:
    enter, leave, acquired = gauges.enter, gauges.leave, gauges.acquired

    if inspect.iscoroutinefunction(getconn):

        async def get_async(*args: Any, **options: Any) -> Any:
            enter()
            begun = perf_counter()
            try:
                connection = await getconn(*args, **options)
            except BaseException as error:
                gauges.failed(error)
                raise
            finally:
                leave()
            acquired(perf_counter() - begun)
            observe(connection)
            return connection

        return functools.wraps(getconn)(get_async)

    def get(*args: Any, **options: Any) -> Any:
        enter()
        begun = perf_counter()
        try:
            connection = getconn(*args, **options)
        except BaseException as error:
            gauges.failed(error)
            raise
        finally:
            leave()
        acquired(perf_counter() - begun)
        observe(connection)
        return connection

    return functools.wraps(getconn)(get)


class _Factories:
    """Gives connections cursor classes that count, and their own ones back."""

    def __init__(self, metrics: ClientMetrics) -> None:
        self._metrics = metrics
        self._observed: dict[type[Any], type[Any]] = {}
        self._plain: dict[type[Any], type[Any]] = {}
        self.connections: weakref.WeakSet[Any] = weakref.WeakSet()

    def observe(self, connection: Any) -> None:
        if connection.cursor_factory in self._plain:
            return
        for attribute in _FACTORIES:
            factory = getattr(connection, attribute)
            # A factory may be any callable; only of a class there can be a subclass.
            if isinstance(factory, type) and factory not in self._plain:
                if factory not in self._observed:
                    observed = self._observed[factory] = _observed_cursor(factory, self._metrics)
                    self._plain[observed] = factory
                setattr(connection, attribute, self._observed[factory])
        self.connections.add(connection)
        with suppress(Exception):  # a connection that is closed says nothing of itself
            info = connection.info
            self._metrics.describe(info.host, info.port, info.dbname)

    def undo(self) -> None:
        for connection in list(self.connections):
            for attribute in _FACTORIES:
                factory = getattr(connection, attribute)
                setattr(connection, attribute, self._plain.get(factory, factory))


def _observed_cursor(base: type[Any], metrics: ClientMetrics) -> Any:
    body: dict[str, Any] = {
        "__slots__": ("_ferrometer_queued",),
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
    }
    for name in ("execute", "executemany"):
        method = getattr(base, name)
        timed = _timed_async if inspect.iscoroutinefunction(method) else _timed
        body[name] = functools.wraps(method)(timed(method, metrics))
    stream = base.stream
    timed_stream = _timed_stream_async if inspect.isasyncgenfunction(stream) else _timed_stream
    body["stream"] = functools.wraps(stream)(timed_stream(stream, metrics))
    body["copy"] = functools.wraps(base.copy)(_observed_copy(base.copy, metrics))
    body["_maybe_prepare_gen"] = _observed_send(base._maybe_prepare_gen, metrics)
    body["_check_results"] = _observed_check(base._check_results, metrics)
    kind: Any = type(base)
    return kind(base.__name__, (base,), body)


def _timed(method: Any, metrics: ClientMetrics) -> Any:
    done, failed = metrics.done, metrics.failed

    def call(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        if self._conn._pipeline is not None:
            with _InPipeline(self, query, metrics):
                return method(self, query, *args, **options)
        self._ferrometer_queued = None
        begun = perf_counter()
        try:
            result = method(self, query, *args, **options)
        except BaseException as error:
            failed(_text(query), perf_counter() - begun, error)
            raise
        done(query if type(query) is str else _text(query), perf_counter() - begun)
        return result

    return call


def _timed_async(method: Any, metrics: ClientMetrics) -> Any:
    done, failed = metrics.done, metrics.failed

    async def call(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        if self._conn._pipeline is not None:
            with _InPipeline(self, query, metrics):
                return await method(self, query, *args, **options)
        self._ferrometer_queued = None
        begun = perf_counter()
        try:
            result = await method(self, query, *args, **options)
        except BaseException as error:
            failed(_text(query), perf_counter() - begun, error)
            raise
        done(query if type(query) is str else _text(query), perf_counter() - begun)
        return result

    return call


class _Queued:
    """The statements of one cursor that wait for their answers, which come in the same order."""

    __slots__ = ("pipeline", "sent", "waiting")

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.sent = 0
        self.waiting: deque[str] = deque()


class _InPipeline:
    """A call of a cursor whose connection is in pipeline mode: it queues statements and gets no answer.

    What it raises is either about its own arguments, or the answer to an earlier statement.
    """

    __slots__ = ("_cursor", "_metrics", "_query", "_sent")

    def __init__(self, cursor: Any, query: Any, metrics: ClientMetrics) -> None:
        self._cursor = cursor
        self._query = query
        self._metrics = metrics

    def __enter__(self) -> None:
        pipeline = self._cursor._conn._pipeline
        queued: _Queued | None = getattr(self._cursor, "_ferrometer_queued", None)
        if queued is None or queued.pipeline is not pipeline:
            queued = self._cursor._ferrometer_queued = _Queued(pipeline)
        self._sent = queued.sent

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and self._cursor._ferrometer_queued.sent == self._sent:
            text = _text(self._query)
            with suppress(Exception):  # whatever was passed as a query
                self._metrics.sent(text)
                self._metrics.answered(text, error)


def _observed_send(method: Any, metrics: ClientMetrics) -> Any:
    def send(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        result = yield from method(self, query, *args, **options)
        queued = getattr(self, "_ferrometer_queued", None)
        if queued is not None and queued.pipeline is self._conn._pipeline:
            text = _text(query.query)
            queued.sent += 1
            queued.waiting.append(text)
            metrics.sent(text)
        return result

    return functools.wraps(method)(send)


def _observed_check(method: Any, metrics: ClientMetrics) -> Any:
    def check(self: Any, results: Any) -> Any:
        queued = getattr(self, "_ferrometer_queued", None)
        text = queued.waiting.popleft() if queued is not None and queued.waiting else None
        try:
            return method(self, results)
        except Exception as error:
            if text is not None:
                metrics.answered(text, error)
            raise

    return functools.wraps(method)(check)


def _timed_stream(method: Any, metrics: ClientMetrics) -> Any:
    def call(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        begun = perf_counter()
        try:
            yield from method(self, query, *args, **options)
        except Exception as error:
            metrics.failed(_text(query), perf_counter() - begun, error)
            raise
        except BaseException:  # the reader has seen enough
            metrics.done(_text(query), perf_counter() - begun)
            raise
        metrics.done(_text(query), perf_counter() - begun)

    return call


def _timed_stream_async(method: Any, metrics: ClientMetrics) -> Any:
    async def call(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        begun = perf_counter()
        rows = method(self, query, *args, **options)
        try:
            async for row in rows:
                yield row
        except Exception as error:
            metrics.failed(_text(query), perf_counter() - begun, error)
            raise
        except BaseException:
            await rows.aclose()
            metrics.done(_text(query), perf_counter() - begun)
            raise
        metrics.done(_text(query), perf_counter() - begun)

    return call


def _observed_copy(method: Any, metrics: ClientMetrics) -> Any:
    def call(self: Any, *args: Any, **options: Any) -> Any:
        return _Copy(method(self, *args, **options), metrics)

    return call


class _Copy:
    """A COPY, timed from its beginning to the end of the block."""

    __slots__ = ("_begun", "_copy", "_metrics")

    def __init__(self, copy: Any, metrics: ClientMetrics) -> None:
        self._copy = copy
        self._metrics = metrics
        self._begun = perf_counter()

    def __enter__(self) -> Any:
        try:
            return self._copy.__enter__()
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> Any:
        try:
            handled = self._copy.__exit__(kind, error, trace)
        except BaseException as other:
            self._end(other)
            raise
        self._end(error)
        return handled

    async def __aenter__(self) -> Any:
        try:
            return await self._copy.__aenter__()
        except BaseException as error:
            self._end(error)
            raise

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> Any:
        try:
            handled = await self._copy.__aexit__(kind, error, trace)
        except BaseException as other:
            self._end(other)
            raise
        self._end(error)
        return handled

    def _end(self, error: BaseException | None) -> None:
        seconds = perf_counter() - self._begun
        if error is None:
            self._metrics.done("COPY", seconds)
        else:
            self._metrics.failed("COPY", seconds, error)


def _text(query: Any) -> str:
    """The beginning of a query as text; psycopg also takes bytes, composed SQL and templates."""
    try:
        if isinstance(query, str):
            return query
        if isinstance(query, bytes):
            return query[:4096].decode("ascii", "replace")
        first = next(iter(query), None) if hasattr(query, "__iter__") else query
        return first if isinstance(first, str) else str(first.as_string(None)) if first is not None else ""
    except Exception:  # an odd object: counted as OTHER
        return "?"


__all__ = ["instrument_psycopg"]
