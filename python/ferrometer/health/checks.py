"""Health checks: registered callables, run together, each within its own time.

A check is one run at a time. It runs apart from the request that asked, so a check that hangs
holds neither the endpoint nor a second thread: while it hangs, the component is reported unhealthy
at once. Results are kept for a second, so a storm of probes costs one run per second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar, overload

from ferrometer._process.run import Outcome, Run, launch
from ferrometer.health import shared

_log = logging.getLogger("ferrometer")

Answer: TypeAlias = "bool | Mapping[str, Any] | None"
Check: TypeAlias = "Callable[[], Answer | Awaitable[Answer]]"
Status: TypeAlias = Literal["ok", "degraded", "unhealthy"]
_C = TypeVar("_C", bound=Check)

DEFAULT_TIMEOUT = 0.9
"""Seconds. Below the one second that a Kubernetes probe waits unless told otherwise."""

KNOWN_FOR = shared.KNOWN_FOR
"""Seconds for which a result still says something to an endpoint that runs no checks itself."""

_MOST_BITS = 1023
"""What a double holds, and most readers of JSON with it."""

_RESERVED = frozenset({"status", "uptime_seconds", "timestamp"})  # keys of the flat form


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one component answered. ``response_time_ms`` is in whole milliseconds."""

    healthy: bool
    response_time_ms: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    critical: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The component as the endpoints show it: the check's own fields after ours."""
        shown: dict[str, Any] = {"healthy": self.healthy, "response_time_ms": self.response_time_ms}
        shown.update((key, value) for key, value in self.fields.items() if key not in shown)
        if self.error is not None:
            shown["error"] = self.error
        return shown


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All components at one moment."""

    status: Status
    timestamp: str
    checks: Mapping[str, CheckResult]

    @property
    def http_status(self) -> int:
        """200, or 503 when a critical component is unhealthy."""
        return 503 if self.status == "unhealthy" else 200

    def as_dict(self) -> dict[str, Any]:
        """``{"status", "timestamp", "checks": {name: {...}}}``."""
        return {
            "status": self.status,
            "timestamp": self.timestamp,
            "checks": {name: result.as_dict() for name, result in self.checks.items()},
        }

    def as_flat(self, uptime_seconds: float) -> dict[str, Any]:
        """``{"status": "healthy", name: "connected", ..., "uptime_seconds": 3600}``."""
        shown: dict[str, Any] = {"status": "healthy" if self.status == "ok" else self.status}
        for name, result in self.checks.items():
            shown[name] = "connected" if result.healthy else "disconnected"
        shown["uptime_seconds"] = int(uptime_seconds)
        return shown


class HealthChecks:
    """The registered components of a service.

    ``timeout``: seconds for a check that names none. ``cache_seconds``: how long a result is served
    again without a new run. ``expose_errors``: show an exception's message in the answer; by default
    only its type is shown, since a driver's message may quote a password.
    """

    def __init__(
        self,
        checks: Mapping[str, Check] | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        cache_seconds: float = 1.0,
        expose_errors: bool = False,
    ) -> None:
        self._timeout = _seconds("timeout", timeout)
        self._cache_seconds = _seconds("cache_seconds", cache_seconds, zero=True)
        self._expose_errors = expose_errors
        self._components: dict[str, _Component] = {}
        self._shared: shared.SharedResults | None = None
        self._pools: dict[str, shared.PoolWatch] = {}
        for name, check in (checks or {}).items():
            self.register(name, check)

    def __repr__(self) -> str:
        return f"HealthChecks({', '.join(self._components) or 'none'})"

    @overload
    def register(self, name: str, check: _C, *, timeout: float | None = ..., critical: bool = ...) -> _C: ...

    @overload
    def register(
        self, name: str, check: None = ..., *, timeout: float | None = ..., critical: bool = ...
    ) -> Callable[[_C], _C]: ...

    def register(
        self, name: str, check: _C | None = None, *, timeout: float | None = None, critical: bool = True
    ) -> _C | Callable[[_C], _C]:
        """Add a component, or replace the one of that name (reloading a module never raises).

        The check takes no argument. It is healthy when it returns ``True``, ``None`` or a mapping;
        a mapping's items (``total_connections``, ``idle_connections``, ``max_connections`` ...) are
        shown, and its ``"healthy"`` decides. It is unhealthy when it returns ``False``, raises, or
        takes longer than ``timeout`` seconds. A plain function runs in a thread of its own, a
        coroutine function on the event loop, where it must not block.

        ``critical=False``: the service stays up (200, status ``"degraded"``) without it.

        Without ``check`` it is a decorator: ``@health.register("database", timeout=0.5)``.
        """
        _check_name(name)
        seconds = self._timeout if timeout is None else _seconds(f"timeout of {name!r}", timeout)

        def add(check: _C) -> _C:
            if not callable(check):
                raise TypeError(
                    f"health check {name!r} must be a callable without arguments, not {type(check).__name__}"
                )
            self._components[name] = _Component(
                name, check, seconds, critical, self._expose_errors, self._tell
            )
            if self._shared is not None:
                self._shared.label(name)
            self._watch_pool(name, check)
            return check

        return add if check is None else add(check)

    def unregister(self, name: str) -> None:
        """Remove a component; one that is not there is no error."""
        if self._components.pop(name, None) is not None and self._shared is not None:
            self._shared.forget(name)
        if (pool := self._pools.pop(name, None)) is not None:
            pool.forget()

    def names(self) -> tuple[str, ...]:
        """The registered components."""
        return tuple(self._components)

    def share(self, results: shared.SharedResults) -> None:
        """Tell every result there from now on, and know what other workers found."""
        self._shared = results
        for name, component in self._components.items():
            results.label(name)  # in the order of the program, which is that of all workers
            self._watch_pool(name, component.check)

    def _watch_pool(self, name: str, check: Check) -> None:
        if (before := self._pools.pop(name, None)) is not None:
            before.forget()
        connections = getattr(check, "connections", None)
        if self._shared is not None and callable(connections):
            self._pools[name] = shared.PoolWatch(name, connections, self._shared)

    def _tell(self, name: str, result: CheckResult) -> None:
        if self._shared is not None:
            self._shared.tell(name, healthy=result.healthy, critical=result.critical)

    async def run(self) -> HealthReport:
        """Run what is older than the cache, all at once, each within its timeout."""
        components = list(self._components.values())
        begun = [component.begin(self._cache_seconds) for component in components]
        results: dict[str, CheckResult] = {}
        for component, run in zip(components, begun, strict=True):
            # One after another is enough: they run together, and each has a deadline of its own.
            await run.wait()
            results[component.name] = self._of_all(component.name, component.result(run))
        return HealthReport(_status(results.values()), timestamp(), results)

    def _of_all(self, name: str, result: CheckResult) -> CheckResult:
        """The result with the connections of all workers' pools in place of this one's."""
        pool = self._pools.get(name)
        if pool is None or not result.fields.keys() & shared.CONNECTIONS.keys():
            return result
        return replace(result, fields={**result.fields, **pool.total()})

    def last_status(self) -> Status:
        """The status as last known, without running anything; ``"ok"`` when nothing is known.

        Of workers that share their metrics, whichever ran a check last.
        """
        components = list(self._components.values())
        # What hangs here is known here first.
        own = [component.known() for component in components]
        if self._shared is None:
            return _status(filter(None, own))
        told = self._shared.known([component.name for component in components])
        late = [one for component, one in zip(components, own, strict=True) if component.hangs() and one]
        return _status(filter(None, [*told, *late]))


class _Component:
    """One check, and its one run."""

    def __init__(
        self,
        name: str,
        check: Check,
        timeout: float,
        critical: bool,
        expose_errors: bool,
        tell: Callable[[str, CheckResult], None],
    ) -> None:
        self.name = name
        self._tell = tell
        self.check = check
        self._timeout = timeout
        self._critical = critical
        self._expose_errors = expose_errors
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._judged: tuple[Run, CheckResult] | None = None
        self._was_healthy = True

    def begin(self, cache_seconds: float) -> Run:
        """The run to wait for: the present one, the last one while it is fresh, or a new one."""
        with self._lock:
            run = self._run
            if run is None or (run.over and (run.aborted or run.age() >= cache_seconds)):
                run = self._run = Run(self._timeout)
                launch(self.check, run, name=f"ferrometer-health-{self.name}")
            return run

    def known(self) -> CheckResult | None:
        run = self._run
        if run is None or (run.over and run.age() >= KNOWN_FOR):
            return None
        return self.result(run) if run.over or run.overdue else None

    def hangs(self) -> bool:
        """Whether a run of it is late."""
        run = self._run
        return run is not None and not run.over and run.overdue

    def result(self, run: Run) -> CheckResult:
        """What the run ended with; for one that still runs, that it is late."""
        fresh = True
        with self._lock:
            outcome = run.outcome
            if outcome is None:
                late = Outcome(error=TimeoutError("still running"))
                result = self._judge(late, run.duration_ms())
            elif self._judged is not None and self._judged[0] is run:
                result, fresh = self._judged[1], False
            else:
                # Once: what a check returned may be a mapping that is another one each time it is looked at.
                result = self._judge(outcome, run.duration_ms())
                self._judged = run, result
        if fresh and not run.aborted:
            self._tell(self.name, result)
        if result.healthy != self._was_healthy:
            self._was_healthy = result.healthy
            if result.healthy:
                _log.info("health check %r recovered", self.name)
            else:
                _log.warning("health check %r is unhealthy: %s", self.name, result.error or "returned False")
        return result

    def _judge(self, outcome: Outcome, elapsed_ms: int) -> CheckResult:
        if outcome.error is not None:
            return CheckResult(False, elapsed_ms, {}, self._words(outcome.error), self._critical)
        value = outcome.value
        if value is None or isinstance(value, bool):
            return CheckResult(value is not False, elapsed_ms, {}, None, self._critical)
        try:
            if not isinstance(value, Mapping):
                raise TypeError(f"returned {type(value).__name__}; return True, False, None or a mapping")
            fields = {_text(key): _plain(item) for key, item in value.items()}
            healthy = fields.pop("healthy", True)
            if not isinstance(healthy, bool):
                raise TypeError(f"'healthy' must be True or False, not {type(healthy).__name__}")
        except (Exception, asyncio.CancelledError, SystemExit, GeneratorExit) as error:
            return CheckResult(False, elapsed_ms, {}, self._words(error), self._critical)
        return CheckResult(healthy, elapsed_ms, fields, None, self._critical)

    def _words(self, error: BaseException) -> str:
        name = type(error).__name__
        if not self._expose_errors:
            return name
        try:
            return _text(f"{name}: {error}"[:300])
        except Exception:  # an exception whose text cannot be had is no reason for another one
            return name


def timestamp() -> str:
    """Now, in UTC, to the second: ``2026-01-13T12:34:56Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(results: Iterable[CheckResult | shared.Known]) -> Status:
    status: Status = "ok"
    for result in results:
        if not result.healthy:
            if result.critical:
                return "unhealthy"
            status = "degraded"
    return status


def _plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON can carry it; a TypeError for what it cannot."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if int.bit_length(value) > _MOST_BITS:
            raise TypeError(
                f"a field holds an integer of {int.bit_length(value)} bits, which JSON cannot carry"
            )
        return int(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth < 4 and isinstance(value, Mapping):
        return {_text(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < 4 and isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    raise TypeError(f"a field holds {type(value).__name__}, which JSON cannot carry")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a field's name is {type(value).__name__}, not str")
    return value.encode("utf-8", "replace").decode()  # a lone surrogate would break the whole answer


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a health check's name must be a str, not {type(name).__name__}")
    if not name or not name.isprintable():
        raise ValueError(f"a health check's name must be printable and not empty, got {name!r}")
    if name in _RESERVED:
        raise ValueError(f"a health check cannot be called {name!r}: the flat form of /health uses that key")


def _seconds(what: str, value: object, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number of seconds, not {type(value).__name__}")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{what} must be a finite number of seconds above 0, got {value!r}")
    return float(value)


__all__ = ["Check", "CheckResult", "HealthChecks", "HealthReport", "Status", "timestamp"]
