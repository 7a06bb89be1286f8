"""The parts of one run that may fail each by itself, such as a statistics view without permission."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ferrometer.background.collector import CollectError, UnavailableError
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

_log = logging.getLogger("ferrometer.collectors")


class Parts:
    """``with parts("locks"): ...``: a ``CollectError`` in the block ends the block, not the run.

    It is counted in ``ferrometer_collector_errors_total{collector,reason}``, shown in
    ``ferrometer_collector_part_success{collector,part}`` and logged once, until the part is back.
    ``UnavailableError`` (an extension that is not installed) is said once at INFO and is no error.
    Other exceptions, and reasons in ``fatal``, leave the block: the run is over.
    """

    def __init__(
        self, collector: str, registry: CollectorRegistry, *, fatal: Callable[[CollectError], bool]
    ) -> None:
        self._collector = collector
        self._fatal = fatal
        self._success = Gauge(
            "ferrometer_collector_part_success",
            "Whether this part of the collector's latest run succeeded",
            ["collector", "part"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._errors = Counter(
            "ferrometer_collector_errors",
            "Runs of the collector that failed, by reason",
            ["collector", "reason"],
            registry=registry,
        )
        self._without: dict[str, str] = {}

    @contextmanager
    def __call__(self, part: str, lost: Callable[[], None]) -> Iterator[None]:
        """One part; ``lost`` drops its values when it fails."""
        try:
            yield
        except CollectError as error:
            if self._fatal(error):
                raise
            lost()
            self._failed(part, error)
        else:
            self._success.labels(self._collector, part).set(1)
            if self._without.pop(part, None) is not None:
                _log.info("collector %r has %s again", self._collector, part)

    def forget(self, part: str) -> None:
        """A part that is no more, which is neither success nor failure."""
        self._success.remove(self._collector, part)
        self._without.pop(part, None)

    def clear(self) -> None:
        """Forget how the parts are: the whole run failed."""
        for part in [*self._without]:
            self._success.remove(self._collector, part)
        for values in list(self._success._metrics):
            if values[0] == self._collector:
                self._success.remove(*values)

    def _failed(self, part: str, error: CollectError) -> None:
        missing = isinstance(error, UnavailableError)
        self._success.labels(self._collector, part).set(0)
        if not missing:
            self._errors.labels(self._collector, error.reason).inc()
        if self._without.get(part) != error.reason:
            self._without[part] = error.reason
            level = logging.INFO if missing else logging.WARNING
            _log.log(level, "collector %r goes without %s: %s", self._collector, part, error)


__all__ = ["Parts"]
