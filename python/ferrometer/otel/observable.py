"""The callbacks of OpenTelemetry's observable instruments, asked before a scrape."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, CallbackT, Observation

from ferrometer import _core
from ferrometer.metrics.families import CellRefresher

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

#: Milliseconds that a callback is told to take at most.
TIMEOUT = 10_000

_Call = Callable[[CallbackOptions], Iterable[Observation]]


class Observables(CellRefresher):
    """A collector without samples: what callbacks say goes into the native cells."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[tuple[_core.Instrument, list[_Call]]] = []
        self._logged: set[str] = set()

    def add(self, instrument: _core.Instrument, callbacks: Sequence[CallbackT]) -> None:
        """Asks these from now on."""
        calls = [_as_call(callback) for callback in callbacks]
        with self._lock:
            self._all = [*self._all, (instrument, calls)]

    def describe(self) -> list[Metric]:
        """Nothing: the families are native."""
        return []

    def collect(self) -> list[Metric]:
        """Has the cells filled, which are encoded afterwards."""
        self.refresh()
        return []

    def refresh(self) -> None:
        """Asks all callbacks. What one raises is logged once; its instrument has what the others say."""
        options = CallbackOptions(TIMEOUT)
        for instrument, calls in self._all:
            told: list[tuple[float, object]] = []
            for call in calls:
                try:
                    told += [(float(one.value), one.attributes) for one in call(options)]
                except Exception as error:  # the application's own code: anything can come out of it
                    self._failed(instrument, error)
            instrument.observe_all(told)

    def _failed(self, instrument: _core.Instrument, error: Exception) -> None:
        if (name := repr(instrument)) not in self._logged:
            self._logged.add(name)
            logging.getLogger("ferrometer").warning("a callback of %s raised", name, exc_info=error)


def _as_call(callback: CallbackT) -> _Call:
    """A generator, which is sent the options, as a function."""
    if not isinstance(callback, Generator):
        return callback
    generator: Generator[Iterable[Observation], CallbackOptions, None] = callback
    next(generator)  # to the first yield, which has no options yet

    def call(options: CallbackOptions) -> Iterable[Observation]:
        try:
            return generator.send(options)
        except StopIteration:
            return ()

    return call
