"""What watching a database client adds to one call, over the same client unwatched.

The clients are real ones, all of their code runs; only the network is left out: their connections answer at
once from memory, as a network's moods would drown what is to be measured. SQLite is there as it is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from benches.row import CONTROL, OURS, Aim, Row
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave

BARE = "unwatched"
OPENTELEMETRY = "opentelemetry"
STEP = 20

Call = Callable[[], object]


# Subjects --------------------------------------------------------------------------------------------------


def _subject(name: str, call: Call, check: Callable[[int], None] | None = None) -> Subject:
    def sample(operations: int) -> float:
        began = perf_counter()
        for _ in range(operations):
            call()
        return perf_counter() - began

    return Subject(name, sample, check or (lambda done: None), step=STEP)


def _async_subject(name: str, call: Callable[[], Awaitable[object]], check: Any = None) -> Subject:
    async def batch(operations: int) -> float:
        began = perf_counter()
        for _ in range(operations):
            await call()
        return perf_counter() - began

    return Subject(name, lambda n: asyncio.run(batch(n)), check or (lambda done: None), step=STEP)


def _control(of: Subject) -> Subject:
    """What must be slower: ours twice, from which the unwatched time is subtracted once."""
    return Subject(CONTROL, lambda n: of.sample(n) + of.sample(n), step=STEP)


def _ours(name: str, **labels: str) -> tuple[Any, Callable[[int], None]]:
    """A registry, and the check that both its counter and its histogram saw every call."""
    import ferrometer

    registry = ferrometer.CollectorRegistry()

    def check(done: int) -> None:
        found = answers.exposed(ferrometer.generate_latest(registry))
        key = tuple(sorted(labels.items()))
        counted = {n: value for (n, pairs), value in found.items() if set(key) <= set(pairs)}
        for sample in (f"{name}_total", f"{_duration(name)}_seconds_count"):
            assert counted.get(sample) == done, f"{sample}: {done} calls, but it says {counted.get(sample)}"

    return registry, check


def _duration(name: str) -> str:
    return {"redis_operations": "redis_operation_duration", "db_queries": "db_query_duration"}[name]


def _spans() -> tuple[Any, Callable[[int], None]]:
    """A tracer provider of the SDK that hands its spans to a counter, and the check that all came."""
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    class Count(SpanProcessor):
        ended = 0

        def on_end(self, span: Any) -> None:
            self.ended += 1

    count = Count()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(count)
    return provider, answers.equals(lambda: float(count.ended), OPENTELEMETRY)


# Redis -----------------------------------------------------------------------------------------------------


def _redis_client() -> Any:
    import redis

    class Memory(redis.Connection):
        """A connection whose server says "1" to everything, at once."""

        def connect(self) -> None: ...
        def can_read(self, *args: Any, **options: Any) -> bool:
            return False

        def send_packed_command(self, command: Any, check_health: bool = True) -> None: ...
        def read_response(self, *args: Any, **options: Any) -> bytes:
            return b"1"

    return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Memory))


def _redis_async_client() -> Any:
    import redis.asyncio

    class Memory(redis.asyncio.Connection):
        """The same for asyncio."""

        async def connect(self) -> None: ...
        async def can_read(self, *args: Any, **options: Any) -> bool:
            return False

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None: ...
        async def read_response(self, *args: Any, **options: Any) -> bytes:
            return b"1"

    return redis.asyncio.Redis(connection_pool=redis.asyncio.ConnectionPool(connection_class=Memory))


def redis_subjects(make: Callable[[], Any], subject: Callable[..., Subject]) -> list[Subject]:
    from ferrometer.collectors.redis import instrument_redis

    def watched() -> Subject:
        client = make()
        registry, check = _ours("redis_operations", operation="get")
        instrument_redis(client, registry=registry)
        return subject(OURS, partial(client.execute_command, "GET", "key"), check)

    bare = subject(BARE, partial(make().execute_command, "GET", "key"))
    subjects = [bare, watched(), _control(watched())]
    if library := peer("opentelemetry.instrumentation.redis"):
        theirs = make()
        provider, seen = _spans()
        library.RedisInstrumentor.instrument_client(theirs, tracer_provider=provider)
        subjects.append(subject(OPENTELEMETRY, partial(theirs.execute_command, "GET", "key"), seen))
    return subjects


# asyncpg ---------------------------------------------------------------------------------------------------


class _Open:
    """As much of a protocol as a connection asks whether it is open."""

    def is_connected(self) -> bool:
        return True


def asyncpg_subjects() -> list[Subject]:
    import asyncpg

    from ferrometer.collectors.sql import instrument_asyncpg

    query = "SELECT name FROM things WHERE id = $1"

    def watched() -> Subject:
        connection = _asyncpg_connection()
        registry, check = _ours("db_queries", operation="SELECT", pool="asyncpg")
        instrument_asyncpg(connection, registry=registry)
        return _async_subject(OURS, partial(connection.fetch, query, 1), check)

    bare = _async_subject(BARE, partial(_asyncpg_connection().fetch, query, 1))
    subjects = [bare, watched(), _control(watched())]
    if library := peer("opentelemetry.instrumentation.asyncpg"):
        provider, seen = _spans()
        instrumentor = library.AsyncPGInstrumentor()
        plain = asyncpg.Connection.fetch
        # It exchanges the method on asyncpg's own class. It is kept for this one connection, and put back.
        instrumentor.instrument(tracer_provider=provider)
        theirs = _asyncpg_connection()
        call = theirs.fetch
        instrumentor.uninstrument()
        assert asyncpg.Connection.fetch is plain
        subjects.append(_async_subject(OPENTELEMETRY, partial(call, query, 1), seen))
    return subjects


def _asyncpg_connection() -> Any:
    import asyncpg

    class Memory(asyncpg.Connection):  # type: ignore[misc]  # asyncpg brings no types
        """A connection whose server answers every query with one row, at once."""

        __slots__ = ()

        def __init__(self) -> None:
            self._protocol, self._aborted = _Open(), False

        def __del__(self) -> None: ...

        async def _execute(self, *args: Any, **options: Any) -> list[int]:
            return [1]

    return Memory()


# SQLite ----------------------------------------------------------------------------------------------------


def sqlite_subjects() -> list[Subject]:
    from ferrometer.collectors.sql import SQLiteConnection, instrument_sqlite

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", factory=SQLiteConnection, check_same_thread=False)

    def watched() -> Subject:
        connection = connect()
        registry, check = _ours("db_queries", operation="SELECT", pool="sqlite")
        instrument_sqlite(connection, registry=registry)
        return _subject(OURS, partial(connection.execute, "SELECT 1"), check)

    return [_subject(BARE, partial(connect().execute, "SELECT 1")), watched(), _control(watched())]


# Rows ------------------------------------------------------------------------------------------------------


def _row(
    key: str, title: str, make: Callable[[], list[Subject]], *, peered: bool = True, note: str = ""
) -> Row:
    def measure(effort: Effort) -> Samples:
        return interleave(
            make,
            rounds=effort.rounds(400),
            seconds=effort.seconds(0.001),
            title=title,
            builds=effort.rounds(10, 1),
        )

    aims = [Aim(OURS, at_most=1500)]
    if peered:
        aims.append(Aim(OPENTELEMETRY, OURS, at_least=10))
    return Row(key, title, "ns", measure, tuple(aims), baseline=BARE, faster_than_control=OURS, note=note)


ROWS = (
    _row(
        "clients_redis",
        "Redis command, watched",
        lambda: redis_subjects(_redis_client, _subject),
        note="added to the client's own time; count, status and duration against a span",
    ),
    _row(
        "clients_redis_asyncio",
        "  asyncio",
        lambda: redis_subjects(_redis_async_client, _async_subject),
    ),
    _row("clients_asyncpg", "SQL query, asyncpg, watched", asyncpg_subjects),
    _row("clients_sqlite", "  sqlite3", sqlite_subjects, peered=False),
)
