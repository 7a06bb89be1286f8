"""One application: its features, and everything that a feature may ask for."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ferrometer._process import fork
from ferrometer._runtime.delivery import Counts, Delivery
from ferrometer._runtime.delivery_metrics import DeliveryMetrics
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.panel import Panel
from ferrometer._runtime.settings import Sources
from ferrometer.background.collector import Collector, FunctionCollector
from ferrometer.background.scheduler import CollectorScheduler
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ferrometer import _core
    from ferrometer.endpoints.access import Access

_log = logging.getLogger("ferrometer")

#: Seconds for all features together to end in.
GRACE = 2.0

Answer: TypeAlias = "Callable[[Request], Response | Awaitable[Response]]"
Check: TypeAlias = "Callable[[], Any]"


class RouteRequest(NamedTuple):
    """An endpoint that a feature asks for."""

    path: str
    answer: Answer
    #: Whether the endpoints' credentials and addresses are asked for.
    protected: bool
    #: HEAD comes with GET.
    methods: tuple[str, ...] = ("GET",)


class CheckRequest(NamedTuple):
    """A health check that a feature asks for."""

    name: str
    call: Check
    #: Whether the service is unhealthy without it.
    critical: bool


class Runtime:
    """What one application has of Ferrometer, and the verbs that its features use.

    ``start`` and ``close`` are called in every process that serves the application: after the fork, from
    the lifespan or the first request, and at its end.
    """

    def __init__(
        self,
        *,
        namespace: str | None = None,
        registry: CollectorRegistry = REGISTRY,
        sources: Sources | None = None,
        collectors: Iterable[Collector] = (),
    ) -> None:
        self.namespace = namespace
        self.registry = registry
        self.sources: Sources = Sources() if sources is None else sources
        self.scheduler: CollectorScheduler = CollectorScheduler(collectors, registry=registry)
        self.features: list[Feature] = []
        self.routes: list[RouteRequest] = []
        self.checks: list[CheckRequest] = []
        #: Whether the endpoints ask for credentials or have a list of addresses.
        self.is_protected = False
        self.deliveries: list[Delivery] = []
        self.panels: list[Panel] = []
        #: What makes groups of rules, given the address of the runbooks; alerts evaluate them.
        self.rules: list[Callable[[str], Iterable[Any]]] = []
        #: What remembers the metrics, while it does in this process.
        self.history: _core.History | None = None
        #: Who may read the endpoints; known once all features are open.
        self.access: Access | None = None
        self._started: list[Feature] = []
        self._pid = 0
        self._lock = threading.Lock()
        _RUNTIMES.add(self)

    def __repr__(self) -> str:
        return f"Runtime({', '.join(feature.section for feature in self.features)})"

    def add(self, feature: Feature) -> None:
        """Opens a feature. Raises ValueError when there is one of its section already."""
        if any(other.section == feature.section for other in self.features):
            raise ValueError(f"{feature.section} is on already; pass {type(feature).__name__}(...) once")
        feature.open(self)
        self.features.append(feature)

    def settings(self, feature: Feature) -> Any:
        """The feature's settings: its arguments over the environment over the file."""
        return self.sources.read(feature.section, feature.Settings, feature.given)

    def collect(self, collector: Collector) -> None:
        """Runs a collector in the background, from the application's start to its end."""
        self.scheduler.add(collector)

    def every(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        """Calls a function in the background, each ``seconds``; a call that fails ends none of the next."""
        self.collect(FunctionCollector(name, call, interval=seconds, stale="keep"))

    def deliver(
        self,
        name: str,
        send: Callable[[Sequence[Any]], object],
        *,
        queue: int,
        batch: int = 1,
        counts: Counts | None = None,
    ) -> Delivery:
        """A bounded queue whose items a thread sends, with retries; flushed at the end."""
        made = Delivery(name, send, counts or DeliveryMetrics(self.registry, name), queue=queue, batch=batch)
        self.deliveries.append(made)
        return made

    def route(
        self, path: str, answer: Answer, *, protected: bool = True, methods: Sequence[str] = ("GET",)
    ) -> None:
        """An endpoint below the endpoints' path, behind their credentials unless ``protected`` is False.

        ``{rest:path}`` at its end stands for anything, as in Starlette's routes.

        A plain function runs in a worker thread, a coroutine function on the event loop.
        """
        if not path.startswith("/"):
            raise ValueError(f"path must start with '/', not {path!r}")
        self.routes.append(RouteRequest(path, answer, protected, tuple(methods)))

    def check(self, name: str, call: Check, *, critical: bool = False) -> None:
        """A health check; a service whose check is not ``critical`` is degraded and not unhealthy."""
        self.checks.append(CheckRequest(name, call, critical))

    def panel(self, panel: Panel) -> None:
        """A view of the live page; for one that needs no setting, a ``panel.py`` in the folder is enough."""
        self.panels.append(panel)

    def start(self) -> None:
        """Starts everything in this process; a second call does nothing."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            for delivery in self.deliveries:
                delivery.start()
            for feature in self.features:
                try:
                    feature.start()
                except Exception:  # what watches the application must not keep it from starting
                    _log.exception("%s did not start", feature.section)
                else:
                    self._started.append(feature)
        self.scheduler.start()

    def close(self, grace: float = GRACE) -> None:
        """Ends everything in this process within ``grace`` seconds, what started last first.

        What is left behind then is named in a warning.
        """
        left = self._close(time.monotonic() + grace, grace)
        if left:
            _log.warning("not ended within %g s: %s", grace, ", ".join(left))

    def _close(self, deadline: float, grace: float) -> list[str]:
        with self._lock:
            if self._pid != os.getpid():
                return []
            self._pid = 0
            started, self._started = self._started, []
        self.scheduler.stop(min(grace, max(0.0, deadline - time.monotonic())))
        left = []
        for feature in reversed(started):
            try:
                feature.close(deadline)
            except Exception:
                _log.exception("%s did not end well", feature.section)
                left.append(feature.section)
        left += [delivery.name for delivery in reversed(self.deliveries) if not delivery.stop(deadline)]
        return left

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._started = []
        for delivery in self.deliveries:
            delivery.after_fork()
        for feature in self.features:
            feature.after_fork()


_RUNTIMES: weakref.WeakSet[Runtime] = weakref.WeakSet()


def _after_fork() -> None:
    for runtime in list(_RUNTIMES):
        runtime._after_fork()


@atexit.register
def _close_all() -> None:
    for runtime in list(_RUNTIMES):
        runtime.close()


fork.in_child(_after_fork)
