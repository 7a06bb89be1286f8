"""SQLAlchemy: queries by the engine's own events, sync and async engines, any driver below."""

from __future__ import annotations

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

#: What OpenTelemetry calls a database otherwise than SQLAlchemy does.
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}


def instrument_sqlalchemy(
    engine: Any,
    *,
    name: str = "sqlalchemy",
    namespace: str | None = None,
    database: ServiceDatabase | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Instrumentation:
    """Count and time the statements of an ``Engine`` or ``AsyncEngine``, and watch its pool.

    ``name``: label ``pool``. ``namespace`` or ``database`` (``ServiceStats.database``): also feed the
    ``{namespace}_db_*`` families. BEGIN and COMMIT are the driver's and are not counted. Raises
    TypeError for anything else than an engine; an instrumented engine is returned its first
    instrumentation.
    """
    from sqlalchemy import Engine, event

    engine = getattr(engine, "sync_engine", engine)
    if not isinstance(engine, Engine):
        raise TypeError(f"instrument_sqlalchemy takes an engine, not {type(engine).__name__}")
    known = vars(engine).get("_ferrometer")
    if isinstance(known, Instrumentation):
        return known
    system = _SYSTEMS.get(engine.dialect.name, engine.dialect.name)
    metrics = ClientMetrics(name, system=system, registry=registry, namespace=namespace, database=database)
    metrics.describe(engine.url.host, engine.url.port, engine.url.database)
    done, failed = metrics.done, metrics.failed

    def before(
        _connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        if context is not None:
            context._ferrometer_begun = perf_counter()

    def after(
        _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        begun = getattr(context, "_ferrometer_begun", None)
        if begun is not None:  # else it was sent before the engine was instrumented
            done(statement, perf_counter() - begun)

    def error(context: Any) -> None:
        begun = getattr(context.execution_context, "_ferrometer_begun", None)
        if begun is not None:  # else it failed before a statement was sent, as a connection does
            failed(context.statement or "", perf_counter() - begun, context.original_exception)

    gauges = PoolMetrics(name, lambda: _state(engine.pool), metrics.view, registry)

    def disposed(_engine: Any) -> None:
        _watch(engine.pool, gauges)  # a disposed engine goes on with a new pool

    listeners: dict[str, Callable[..., Any]] = {
        "before_cursor_execute": before,
        "after_cursor_execute": after,
        "handle_error": error,
        "engine_disposed": disposed,
    }
    for what, listener in listeners.items():
        event.listen(engine, what, listener)
    _watch(engine.pool, gauges)

    def undo() -> None:
        for what, listener in listeners.items():
            event.remove(engine, what, listener)
        vars(engine.pool).pop("connect", None)
        del vars(engine)["_ferrometer"]

    made = Instrumentation(name, undo, gauges)
    vars(engine)["_ferrometer"] = made
    return made


def _watch(pool: Any, gauges: PoolMetrics) -> None:
    enter, leave, acquired, connect = gauges.enter, gauges.leave, gauges.acquired, pool.connect

    def timed_connect() -> Any:
        enter()
        begun = perf_counter()
        try:
            connection = connect()
        except BaseException as error:
            gauges.failed(error)
            raise
        finally:
            leave()
        acquired(perf_counter() - begun)
        return connection

    pool.connect = timed_connect


def _state(pool: Any) -> PoolState | None:
    """Of a QueuePool all is known; others (NullPool, StaticPool) keep no count."""
    if not callable(getattr(pool, "checkedout", None)):
        return None
    overflow = getattr(pool, "_max_overflow", 0)
    unlimited = overflow < 0 or pool.size() == 0
    return PoolState(pool.checkedout(), pool.checkedin(), None if unlimited else pool.size() + overflow)


__all__ = ["instrument_sqlalchemy"]
