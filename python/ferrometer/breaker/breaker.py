"""``CircuitBreaker``: stops asking a provider that fails, in all workers at once."""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from ferrometer import _core
from ferrometer._process import fork
from ferrometer.breaker.open_error import CircuitOpenError
from ferrometer.breaker.options import BreakerOptions
from ferrometer.breaker.outcome import Outcome, judge
from ferrometer.breaker.settings import BreakerSettings
from ferrometer.sharing.troubles import tell_troubles

_log = logging.getLogger("ferrometer")

P = ParamSpec("P")
R = TypeVar("R")
Listener = Callable[[str, str, str], object]


class CircuitBreaker:
    """One provider's breaker; the state belongs to its name, in all workers that share a directory.

    ``settings`` are the keywords of :class:`BreakerSettings`. A breaker of a ``group`` does not open when all
    others of the group are open, unless ``opens_last`` says so. Raises ValueError for settings that make no
    sense and for a name that is empty or longer than 255 bytes.
    """

    def __init__(self, name: str, *, group: str = "", **settings: Unpack[BreakerOptions]) -> None:
        size = len(name.encode("utf-8", "surrogatepass"))
        if not 0 < size <= 255:
            shown = name if size < 40 else f"{name[:40]}..."
            raise ValueError(f"a breaker's name has 1 to 255 bytes; {shown!r} has {size}: name the provider")
        self.name = name
        self.group = group
        self.settings: BreakerSettings
        self.settings = chosen = BreakerSettings(**settings)
        self._listeners: tuple[Listener, ...] = ()
        self._native = _core.Breaker(
            name,
            group,
            consecutive=chosen.consecutive_failures,
            failure_rate=_rate(chosen.failure_rate),
            slow_rate=_rate(chosen.slow_rate),
            slow_seconds=float(chosen.slow_seconds),
            window=float(chosen.window),
            minimum_calls=chosen.minimum_calls,
            open_seconds=float(chosen.open_seconds),
            longest_open=float(chosen.longest_open_seconds),
            backoff=float(chosen.backoff),
            jitter=float(chosen.jitter),
            trials=chosen.trials,
            trials_needed=chosen.trials_needed,
            trial=float(chosen.trial_seconds),
            opens_last=chosen.opens_last,
            judge=_judge_with(chosen),
            changed=self._changed,
            refuse=functools.partial(CircuitOpenError, name),
        )
        tell_troubles()
        #: A context for one call: ``with breaker.call():``, ``async with breaker.call():``.
        self.call: Callable[[], _core.BreakerCall] = self._native.call
        #: A call that has begun; its ``success``, ``failure`` or ``cancel`` ends it. Raises CircuitOpenError.
        self.begin: Callable[[], _core.BreakerCall] = self._native.begin

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state})"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``, in all workers."""
        return self._native.state

    @property
    def forced(self) -> bool:
        """Whether somebody forced it."""
        return self._native.forced

    @property
    def trials(self) -> int:
        """Trial calls under way in all workers."""
        return self._native.trials

    @property
    def rejected(self) -> int:
        """Calls that were not let through, in all workers."""
        return self._native.rejected

    def force_open(self) -> None:
        """Lets no call through until it is reset."""
        self._native.force_open()

    def force_closed(self) -> None:
        """Lets all calls through until it is reset."""
        self._native.force_closed()

    def reset(self) -> None:
        """Closes it, forced or not, and forgets what became of the latest calls."""
        self._native.reset()

    def listen(self, listener: Listener) -> None:
        """Calls ``listener(name, before, after)`` after each change of state that this worker made.

        What it raises is logged.
        """
        self._listeners = (*self._listeners, listener)

    def _changed(self, before: str, after: str) -> None:
        for listener in self._listeners:
            try:
                listener(self.name, before, after)
            except Exception:
                _log.exception("a listener of the circuit breaker %r failed", self.name)

    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, *, fallback: Callable[..., Any] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def __call__(
        self, function: Callable[..., Any] | None = None, *, fallback: Callable[..., Any] | None = None
    ) -> Any:
        """Decorates a function or a coroutine function: each call of it goes through the breaker.

        ``fallback`` is called in its place, with the same arguments, while the breaker lets no call through.
        """
        if function is None:
            return functools.partial(self._decorated, fallback=fallback)
        return self._decorated(function, fallback=fallback)

    def _decorated(self, function: Callable[..., Any], *, fallback: Callable[..., Any] | None) -> Any:
        call = self._native.call
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: use `with breaker.call():` around what it asks for"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                try:
                    context = begin()
                except CircuitOpenError:
                    if fallback is None:
                        raise
                    value = fallback(*args, **kwargs)
                    return await value if inspect.isawaitable(value) else value
                with context:
                    return await function(*args, **kwargs)

        elif fallback is None:

            @functools.wraps(function)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                with call():
                    return function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                try:
                    context = begin()
                except CircuitOpenError:
                    return fallback(*args, **kwargs)
                with context:
                    return function(*args, **kwargs)

        begin = self._native.begin
        return guarded


def _rate(value: float | None) -> float:
    return 2.0 if value is None else float(value)


def _judge_with(settings: BreakerSettings) -> Callable[[BaseException], bool | float | None]:
    """False for a success, None for nothing, seconds to wait, perhaps 0, for a failure."""

    def judged(error: BaseException) -> bool | float | None:
        found = judge(error, caller_statuses=settings.caller_statuses, callers_key=settings.callers_key)
        if found.outcome is Outcome.FAILURE:
            return found.retry_after
        return None if found.outcome is Outcome.NOTHING else False

    return judged


_BREAKERS: dict[str, CircuitBreaker] = {}
_lock = threading.Lock()
fork.hold_during_fork(_lock)


def breaker(name: str, *, group: str = "", **settings: Unpack[BreakerOptions]) -> CircuitBreaker:
    """The breaker of that name, made at the first call.

    Raises ValueError when there is one with other settings.
    """
    with _lock:
        found = _BREAKERS.get(name)
        if found is None:
            found = _BREAKERS[name] = CircuitBreaker(name, group=group, **settings)
    if (settings or group) and (found.settings != BreakerSettings(**settings) or found.group != group):
        raise ValueError(f"there is a breaker {name!r} with other settings: {found.settings}")
    return found


def breakers() -> dict[str, CircuitBreaker]:
    """The breakers that ``breaker()`` made in this process, by name."""
    with _lock:
        return dict(_BREAKERS)
