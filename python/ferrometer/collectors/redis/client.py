"""Redis and Valkey clients: commands by operation and status, round trips, and the pool.

Works on one client object of redis-py or valkey-py, sync or asyncio, also of a cluster: the methods
through which all commands go are wrapped on that object, and nowhere else.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any, Self, TypeAlias

from ferrometer._core import client_span
from ferrometer.background.collector import Collector, Stale
from ferrometer.collectors.redis.commands import operation
from ferrometer.collectors.redis.pool import RedisPool
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Histogram

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Recorders: TypeAlias = "tuple[Callable[[], None], Callable[[float], None]]"


class RedisInstrumentation(Collector):
    """What ``instrument_redis`` returns: ``undo()`` takes it all back. Also a collector, of the pool.

    The pool is read at every scrape. Given to a ``CollectorScheduler`` it is read in the background
    too, for readers that run no Python.
    """

    stale: Stale = "keep"

    def __init__(self, name: str, undo: Callable[[], None], pool: RedisPool) -> None:
        self.name: str = f"redis_pool:{name}"
        self._undo: Callable[[], None] | None = undo
        self._pool = pool

    def undo(self) -> None:
        """Put everything back as it was; a second time nothing happens."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()
            self._pool.forget()

    def collect(self) -> None:
        """Read the pool now."""
        if self._undo is not None:
            self._pool.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def instrument_redis(
    client: Any, *, name: str = "redis", registry: CollectorRegistry = REGISTRY
) -> RedisInstrumentation:
    """Count and time the commands of a ``Redis`` or ``RedisCluster`` client, sync or asyncio.

    ``redis_operations_total{operation,status}`` counts commands, also each of a pipeline.
    ``redis_operation_duration_seconds{operation}`` times round trips: a pipeline is one of operation
    ``pipeline``. ``name``: label ``pool`` of the pool's gauges. Clients that ``client.client()`` makes are
    counted too. An operation is one of a closed list of commands, or ``other``: arguments are never
    shown. Pub/sub and MONITOR have connections of their own and are not seen. Raises TypeError for anything
    that is no client; an instrumented client is returned its first instrumentation.
    """
    known = getattr(client, "_ferrometer", None)
    if isinstance(known, RedisInstrumentation):
        return known
    if not callable(getattr(client, "execute_command", None)) or not hasattr(client, "pipeline"):
        raise TypeError(f"instrument_redis takes a Redis or RedisCluster client, not {type(client).__name__}")
    commands = _Commands(registry, _server_of(client))
    pool = RedisPool(client, name, registry)
    watched: weakref.WeakSet[Any] = weakref.WeakSet()
    _watch(client, commands, watched)

    def undo() -> None:
        for one in list(watched):
            for method in _WATCHED & vars(one).keys():
                delattr(one, method)
        del client._ferrometer

    client._ferrometer = made = RedisInstrumentation(name, undo, pool)
    return made


def _server_of(client: Any) -> dict[str, object]:
    """Where a client leads, for its spans; nothing of a cluster's many nodes."""
    told = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    host, port, number = told.get("host", told.get("path")), told.get("port"), told.get("db")
    named = {
        "server.address": host,
        "server.port": port,
        "db.namespace": None if number is None else str(number),
    }
    return {name: value for name, value in named.items() if value is not None}


_WATCHED = {"execute_command", "pipeline", "client"}


def _watch(client: Any, commands: _Commands, watched: weakref.WeakSet[Any]) -> None:
    client.execute_command = _observed(client.execute_command, commands)
    client.pipeline = _observed_pipeline(client.pipeline, commands)
    if callable(derive := getattr(client, "client", None)):  # no cluster has it

        def derived(*args: Any, **options: Any) -> Any:
            made = derive(*args, **options)
            _watch(made, commands, watched)
            return made

        client.client = functools.wraps(derive)(derived)
    watched.add(client)


class _Commands:
    """The families, and which operation a command is."""

    def __init__(
        self, registry: CollectorRegistry, server: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        #: Attributes of each span, by OpenTelemetry's names.
        self.server = {"db.system.name": "redis", **server}
        self.total = Counter(
            "redis_operations", "Redis commands, by outcome", ["operation", "status"], registry=registry
        )
        self.duration = Histogram(
            "redis_operation_duration_seconds",
            "Time of a Redis round trip as its caller sees it",
            ["operation"],
            registry=registry,
            buckets=BUCKETS,
        )
        self.errors = Counter(
            "redis_errors",
            "Redis commands that raised, by the exception's type",
            ["operation", "error"],
            registry=registry,
        )
        # By what a command is called in the code: its counter's `inc` and its histogram's `observe`.
        self.known: dict[object, Recorders] = {}

    def failed(self, command: object, seconds: float | None, error: BaseException) -> None:
        """Count a command that raised; ``seconds`` is None for one of a pipeline."""
        name = operation(command)
        self.total.labels(name, "error").inc()
        self.errors.labels(name, type(error).__name__).inc()
        if seconds is not None:
            self.duration.labels(name).observe(seconds)
            client_span(name.upper(), seconds, self.attributes(name), type(error).__qualname__)

    def attributes(self, name: str) -> dict[str, object]:
        """What a span of an operation says."""
        return {**self.server, "db.operation.name": name.upper()}

    def piped(self, command: object) -> None:
        """Count a command that succeeded in a pipeline."""
        self.total.labels(operation(command), "success").inc()

    def round_trip(self, seconds: float, size: int, error: str | None = None) -> None:
        """Time a pipeline of so many commands."""
        self.duration.labels("pipeline").observe(seconds)
        attributes = {**self.attributes("pipeline"), "db.operation.batch.size": size}
        client_span("PIPELINE", seconds, attributes, error)

    def learn(self, command: object) -> Recorders:
        """The recorders of a command that is seen for the first time."""
        name = operation(command)
        total, duration = self.total.labels, self.duration.labels

        # The series are looked up each time: somebody may have removed them meanwhile.
        def count() -> None:
            total(name, "success").inc()

        title, attributes = name.upper(), self.attributes(name)

        def observe(seconds: float) -> None:
            duration(name).observe(seconds)
            client_span(title, seconds, attributes)

        found = count, observe
        text = command.decode("ascii", "replace") if isinstance(command, bytes) else command
        # Only a name by itself is remembered: so the table is bounded and holds no argument.
        if isinstance(text, str) and text in (name, name.upper()):
            self.known[command] = found
        return found


def _observed(execute: Any, commands: _Commands) -> Any:
    # This runs for every command: what is called is bound before, and nothing is a method of ours.
    known, learn, failed = commands.known.get, commands.learn, commands.failed

    if inspect.iscoroutinefunction(execute):

        async def execute_async(*args: Any, **options: Any) -> Any:
            begun = perf_counter()
            try:
                answer = await execute(*args, **options)
            except BaseException as error:
                failed(args[0] if args else "", perf_counter() - begun, error)
                raise
            count, observe = known(args[0]) or learn(args[0])
            observe(perf_counter() - begun)
            count()
            return answer

        return functools.wraps(execute)(execute_async)

    def execute_sync(*args: Any, **options: Any) -> Any:
        begun = perf_counter()
        try:
            answer = execute(*args, **options)
        except BaseException as error:
            failed(args[0] if args else "", perf_counter() - begun, error)
            raise
        count, observe = known(args[0]) or learn(args[0])
        observe(perf_counter() - begun)
        count()
        return answer

    return functools.wraps(execute)(execute_sync)


def _observed_pipeline(pipeline: Any, commands: _Commands) -> Any:
    def make(*args: Any, **options: Any) -> Any:
        made = pipeline(*args, **options)
        # While watching, a pipeline sends at once, by this method of its own.
        immediate = getattr(made, "immediate_execute_command", None)
        if immediate is not None:
            made.immediate_execute_command = _observed(immediate, commands)
        made.execute = _observed_execute(made, _Flushes(made, commands))
        return made

    return functools.wraps(pipeline)(make)


def _observed_execute(pipeline: Any, flushes: _Flushes) -> Any:
    execute = pipeline.execute

    if inspect.iscoroutinefunction(execute):

        async def execute_async(*args: Any, **options: Any) -> Any:
            queue = flushes.begin()
            begun = perf_counter()
            try:
                answers = await execute(*args, **options)
            except BaseException as error:
                flushes.failed(queue, perf_counter() - begun, error)
                raise
            flushes.done(queue, perf_counter() - begun, answers)
            return answers

        return functools.wraps(execute)(execute_async)

    def execute_sync(*args: Any, **options: Any) -> Any:
        queue = flushes.begin()
        begun = perf_counter()
        try:
            answers = execute(*args, **options)
        except BaseException as error:
            flushes.failed(queue, perf_counter() - begun, error)
            raise
        flushes.done(queue, perf_counter() - begun, answers)
        return answers

    return functools.wraps(execute)(execute_sync)


class _Flushes:
    """Counts the commands of a pipeline when it is sent, each by its own answer."""

    def __init__(self, pipeline: Any, commands: _Commands) -> None:
        self._pipeline = pipeline
        self._commands = commands
        self._answers: list[Any] | None = None
        self._raise = getattr(pipeline, "raise_first_error", None)
        if self._raise is not None:
            pipeline.raise_first_error = self._note

    def begin(self) -> list[Any]:
        """The commands about to be sent, wherever this version and kind of pipeline keeps them."""
        self._answers = None
        strategy = getattr(self._pipeline, "_execution_strategy", None)
        for owner, attribute in (
            (strategy, "_command_queue"),
            (self._pipeline, "command_stack"),
            (self._pipeline, "_command_stack"),
        ):
            found = getattr(owner, attribute, None)
            if isinstance(found, list):
                return list(found)
        return []

    def done(self, queue: list[Any], seconds: float, answers: Iterable[Any]) -> None:
        """The pipeline has answered."""
        if not queue:
            return
        self._commands.round_trip(seconds, len(queue))
        for queued, answer in zip(queue, answers, strict=False):
            if isinstance(answer, Exception):
                self._commands.failed(_command(queued), None, answer)
            else:
                self._commands.piped(_command(queued))

    def failed(self, queue: list[Any], seconds: float, error: BaseException) -> None:
        """It has raised: for the first of the answers that were errors, or for all."""
        answers = self._answers
        if answers is None:
            # A cluster notes each answer in the command. Its queue is emptied, but ours is a copy.
            answers = [getattr(queued, "result", None) for queued in queue]
            if not any(isinstance(answer, Exception) for answer in answers):
                answers = [error] * len(queue)
        # A BaseException such as a cancellation is an error of all too.
        wrong = [answer if isinstance(answer, BaseException) else None for answer in answers]
        if queue:
            self._commands.round_trip(seconds, len(queue), type(error).__qualname__)
        for queued, problem in zip(queue, wrong, strict=False):
            if problem is None:
                self._commands.piped(_command(queued))
            else:
                self._commands.failed(_command(queued), None, problem)

    def _note(self, *args: Any) -> Any:
        if len(args) == 2:  # commands, answers; older clusters pass their commands alone
            self._answers = list(args[1])
        return self._raise(*args)  # type: ignore[misc]  # set where this is


def _command(queued: Any) -> object:
    # A tuple of arguments and options, or a cluster's object with `args`.
    args = getattr(queued, "args", None)
    if args is None:
        args = queued[0] if isinstance(queued, tuple) and queued else ()
    return args[0] if args else ""


__all__ = ["RedisInstrumentation", "instrument_redis"]
