"""``with inference(model=, provider=) as call:``: one logical call of a model, with all of its attempts."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar

from ferrometer._core import has_traces
from ferrometer._process import fork
from ferrometer.instruments.call_end import OBSERVERS, CallEnd, Status, http_status, kind_of, retry_after
from ferrometer.instruments.recorder import Recorder, recorder_of
from ferrometer.instruments.spans import record_call
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from types import TracebackType

    from ferrometer.metrics.types import Gauge

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

MAX_AGE = 600.0
"""Seconds without a chunk after which a stream that nobody closed is counted as abandoned."""

#: The recorder of most calls, at hand.
_usual: Recorder = recorder_of(REGISTRY, "client")
#: What is being streamed, for the streams that nobody ends.
_open: dict[int, inference] = {}
_numbers = itertools.count()
#: A call that was begun before a fork is the parent's to count.
_epoch = 0


def _forked() -> None:
    global _epoch
    _epoch += 1
    _open.clear()


fork.in_child(_forked)


class inference:  # noqa: N801  # used as a function: `with inference(...)`, `@inference(...)`
    """One logical call of a model: a context, sync or async, and a decorator.

    :param model: as the application asks for it.
    :param provider: whose model it is; a label of GenAI's names and of costs.
    :param operation: chat, text_completion, embeddings, ...: GenAI's ``gen_ai.operation.name``.
    :param tenant: who pays: a customer, a key's name; never the key itself.
    :param role: ``client`` calls a provider; ``server`` is the model's own server.

    The duration is that of the block. An exception is an error, CancelledError and GeneratorExit are a
    cancellation. What the block does not tell is not recorded.
    """

    # Slots, all of them set at once: the interpreter reads a default of the class much more slowly.
    __slots__ = (
        "__weakref__",
        "_epoch",
        "_first",
        "_first_chunk",
        "_in_flight",
        "_number",
        "_recorder",
        "_touched",
        "attempts",
        "batch_size",
        "cache_written_tokens",
        "cached_tokens",
        "chunks",
        "error",
        "finish_reason",
        "input_tokens",
        "model",
        "operation",
        "output_tokens",
        "provider",
        "reasoning_tokens",
        "response_model",
        "role",
        "seconds",
        "server_address",
        "server_port",
        "started",
        "status",
        "tenant",
    )

    def __init__(
        self,
        *,
        model: str,
        provider: str = "",
        operation: str = "chat",
        tenant: str | None = None,
        role: Literal["client", "server"] = "client",
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self.model: str = model
        self.provider: str = provider
        self.operation: str = operation
        self.tenant: str | None = tenant
        self.role = role
        self._recorder = _usual if registry is REGISTRY and role == "client" else recorder_of(registry, role)
        self.status: Status | None = None
        self.error: BaseException | None = None
        self.seconds: float = 0.0
        self.started: float = 0.0
        self.attempts: int = 1
        self.chunks: int = 0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.cache_written_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.batch_size: int | None = None
        self.finish_reason: str | None = None
        self.response_model: str = ""
        self.server_address: str = ""
        self.server_port: str = ""
        self._in_flight: Gauge | None = None
        self._number = -1
        self._first: float | None = None
        self._first_chunk: float | None = None
        self._touched: float = 0
        self._epoch = _epoch

    def __repr__(self) -> str:
        return f"<inference of {self.model!r}, {self.status or 'not ended'}>"

    # What the block tells.

    def usage(
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        *,
        cached_tokens: int | None = None,
        cache_written_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """The tokens of the whole call: the input with what was cached, the output with the reasoning.

        Raises ValueError for a number that is negative or not finite.
        """
        for name, value in (
            ("input_tokens", input_tokens),
            ("output_tokens", output_tokens),
            ("cached_tokens", cached_tokens),
            ("cache_written_tokens", cache_written_tokens),
            ("reasoning_tokens", reasoning_tokens),
        ):
            if value is not None:
                if not 0 <= value < math.inf:
                    _refuse(name, value)
                setattr(self, name, value)

    def first_token(self) -> None:
        """The first token has come; further calls do nothing."""
        if self._first is None:
            self._first = perf_counter()

    def arrived(self) -> None:
        """A chunk of the stream has come; the first one is timed."""
        if self._first_chunk is None:
            self._first_chunk = perf_counter()

    def refuse(self, what: str) -> None:
        """Counts something that the provider said and that made no sense."""
        self._recorder.refuse(what)

    def attempt(self) -> None:
        """The call is tried once more."""
        self.attempts += 1

    # The context.

    def __enter__(self) -> Self:
        self._epoch = _epoch
        recorder = self._recorder
        if recorder.native:
            self._in_flight = flying = recorder.inference_in_flight.labels(self.model)
            flying.inc()
        self.started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._number < 0 or error is not None:  # otherwise the stream ends it
            self.end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._number < 0 or error is not None:
            self.end(error)

    def end(self, error: BaseException | None = None, status: Status | None = None) -> None:
        """The call has ended; the first end counts."""
        if self.status is not None or self._epoch is not _epoch:
            return
        self.seconds = perf_counter() - self.started
        self.error = error
        if status is not None:
            self.status = status
        elif error is None:
            self.status = "success"
        else:
            gone = isinstance(error, asyncio.CancelledError | GeneratorExit)
            self.status = "cancelled" if gone else "error"
        if self._number >= 0:
            _open.pop(self._number, None)
        recorder = self._recorder
        if self._in_flight is not None:
            self._in_flight.dec()
            recorder.record(self)
        for record in recorder.others:
            record(self)
        if self.role == "client" and (OBSERVERS or has_traces()):
            self._tell()

    def _tell(self) -> None:
        error = self.error
        failed = error is not None and self.status == "error"
        end = CallEnd(
            self.provider,
            self.model,
            self.operation,
            self.status or "success",
            kind_of(error) if failed and error is not None else None,
            http_status(error) if failed and error is not None else None,
            self.seconds,
            self.first_token_seconds,
            self.input_tokens,
            self.output_tokens,
            retry_after(error) if failed and error is not None else None,
            self.started,
            error if failed else None,
        )
        for observer in (record_call, *OBSERVERS):
            try:
                observer(end)
            except Exception:  # who watches must not break the call
                self._recorder.refuse("observer")

    # Streams.

    @property
    def first_token_seconds(self) -> float | None:
        """Seconds until the first token; None when none has come."""
        return None if self._first is None else self._first - self.started

    @property
    def first_chunk_seconds(self) -> float | None:
        """Seconds until the first chunk of a stream, whatever it held."""
        return None if self._first_chunk is None else self._first_chunk - self.started

    def open(self) -> None:
        """From now on the call ends with its stream, not with its block."""
        if self._number < 0:
            self._number = next(_numbers)
            _open[self._number] = self

    def stream(self, chunks: Iterable[_T]) -> Iterator[_T]:
        """The chunks, counted; the call ends with them, in whichever way. A chunk is a token here."""
        self.open()
        return self._chunks(iter(chunks))

    def astream(self, chunks: AsyncIterable[_T]) -> AsyncIterator[_T]:
        """As ``stream``, of what is iterated with ``async for``."""
        self.open()
        return self._achunks(chunks)

    def _chunks(self, chunks: Iterator[_T]) -> Iterator[_T]:
        count = 0
        try:
            for chunk in chunks:
                if not count:
                    self._first_chunk = perf_counter()
                    self.first_token()
                count += 1
                self._touched = count
                yield chunk
        except BaseException as error:
            self.chunks = count
            self.end(error)
            raise
        self.chunks = count
        self.end()

    async def _achunks(self, chunks: AsyncIterable[_T]) -> AsyncIterator[_T]:
        count = 0
        try:
            async for chunk in chunks:
                if not count:
                    self._first_chunk = perf_counter()
                    self.first_token()
                count += 1
                self._touched = count
                yield chunk
        except BaseException as error:
            self.chunks = count
            self.end(error)
            raise
        self.chunks = count
        self.end()

    # The decorator.

    def __call__(self, function: _F) -> _F:
        """Measures each call of a function, coroutine function or generator function."""
        anew = self._anew
        wrapped: Any
        if isasyncgenfunction(function):

            @wraps(function)
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                with anew() as call:
                    async for chunk in call.astream(function(*args, **kwargs)):
                        yield chunk

        elif isgeneratorfunction(function):

            @wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with anew() as call:
                    yield from call.stream(function(*args, **kwargs))

        elif iscoroutinefunction(function):

            @wraps(function)
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                with anew():
                    return await function(*args, **kwargs)

        else:

            @wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with anew():
                    return function(*args, **kwargs)

        return wrapped  # type: ignore[no-any-return]

    def _anew(self) -> inference:
        made = inference(
            model=self.model, provider=self.provider, operation=self.operation, tenant=self.tenant
        )
        made._recorder, made.role = self._recorder, self.role
        return made


def _refuse(name: str, value: object) -> NoReturn:
    raise ValueError(f"{name} must be finite and not negative, not {value!r}")


#: What each open stream had done at the last look, and when that was first seen.
_seen: dict[int, tuple[float, float]] = {}


def end_old_streams(age: float = MAX_AGE) -> int:
    """Counts streams as abandoned that have shown no chunk for ``age`` seconds; how many there were.

    For streams that sit in a reference cycle, which no destructor ends while the garbage collector is off.
    """
    now = perf_counter()
    ended = 0
    for number, call in list(_open.items()):
        touched = call._touched
        before = _seen.get(number)
        if before is None or before[0] != touched:
            _seen[number] = (touched, now)
        elif now - before[1] >= age:
            call.end(status="abandoned")
            ended += 1
    for number in _seen.keys() - _open.keys():
        _seen.pop(number, None)
    return ended
