"""OpenTelemetry's meters: instruments record into our cells, on ``/metrics`` and wherever metrics go."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import CallbackT
from opentelemetry.util.types import Attributes

from ferrometer import _core
from ferrometer.metrics.base import MAX_SERIES
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.otel.names import label_of, labels_of, name_of, text_of, unit_of
from ferrometer.otel.observable import Observables

#: The bounds of a histogram that nobody has advised others for, as OpenTelemetry's SDK has them.
DEFAULT_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)

_NAME = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")
_UNIT = re.compile(r"[\x00-\x7F]{0,63}")
_logger = logging.getLogger("ferrometer")

_T = TypeVar("_T")


class Counter(_core.CountInstrument, metrics.Counter):
    """Counts into a native counter."""

    def __init__(self, *given: object) -> None:
        """Everything is said to ``__new__``."""


class UpDownCounter(_core.CountInstrument, metrics.UpDownCounter):
    """Counts up and down in a native gauge; of several workers, the sum of those that live."""

    def __init__(self, *given: object) -> None:
        """Everything is said to ``__new__``."""


class Histogram(_core.RecordInstrument, metrics.Histogram):
    """Records into a native histogram."""

    def __init__(self, *given: object) -> None:
        """Everything is said to ``__new__``."""


class Gauge(_core.SetInstrument, metrics._Gauge):
    """Sets a native gauge; of several workers, the latest value of those that live."""

    def __init__(self, *given: object) -> None:
        """Everything is said to ``__new__``."""


class _Observed:
    """What the observable instruments share: the callbacks set the native cells before a scrape."""

    def __init__(self, *given: object) -> None:
        """Everything is said to ``__new__``."""


class ObservableCounter(_Observed, _core.Instrument, metrics.ObservableCounter):
    """Has its totals from callbacks."""


class ObservableUpDownCounter(_Observed, _core.Instrument, metrics.ObservableUpDownCounter):
    """Has its values from callbacks; of several workers, the sum of those that live."""


class ObservableGauge(_Observed, _core.Instrument, metrics.ObservableGauge):
    """Has its values from callbacks; of several workers, the latest of those that live."""


for _class in (Counter, UpDownCounter, Histogram, Gauge):
    _core.own_methods(_class)


class MeterProvider(metrics.MeterProvider):
    """Makes meters whose instruments are in a registry of ours."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._observables = Observables()
        self._is_registered = False

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Meter:
        """A meter for a library; its name and version are labels of what it measures."""
        scope = {f"otel_scope_{label_of(key)}": text_of(value) for key, value in (attributes or {}).items()}
        scope |= {
            "otel_scope_name": text_of(name or ""),
            "otel_scope_version": text_of(version or ""),
            "otel_scope_schema_url": text_of(schema_url or ""),
        }
        return Meter(self, name or "", version, schema_url, scope)

    def observe(self, instrument: _core.Instrument, callbacks: Sequence[CallbackT]) -> None:
        """Asks these callbacks before each scrape."""
        if not self._is_registered:
            self._is_registered = True
            self._registry.register(self._observables)
        self._observables.add(instrument, callbacks)


class Meter(metrics.Meter):
    """Makes instruments for a library. The same name again is the same metric."""

    def __init__(
        self,
        provider: MeterProvider,
        name: str,
        version: str | None,
        schema_url: str | None,
        scope: dict[str, str],
    ) -> None:
        super().__init__(name, version, schema_url)
        self._provider = provider
        self._labels_of = labels_of(scope)

    def _made(
        self,
        kind: str,
        make: Callable[..., _T],
        name: str,
        unit: str,
        description: str,
        buckets: Sequence[float] = (),
    ) -> _T | None:
        """The instrument; None, and a warning, where its name belongs to another metric.

        Raises ValueError for what is no name, or no unit, of an instrument.
        """
        unit, description = unit or "", description or ""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                "an instrument's name is a letter, then letters, digits, '_', '.', '-' or '/', 255 in all,"
                f" not {name!r}"
            )
        if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
            raise ValueError(f"the unit of {name!r} must be ASCII, of 63 characters at most, not {unit!r}")
        full, registry = name_of(name, unit, kind), self._provider._registry
        given = (kind, full, description, unit_of(unit), list(buckets), MAX_SERIES, self._labels_of)
        try:
            return make(registry._native, *given)
        except ValueError as error:
            _logger.warning("the instrument %r of %r records nothing: %s", name, self.name, error)
            return None

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        """A counter: on ``/metrics`` its name ends in ``_total``."""
        return self._made("counter", Counter, name, unit, description) or metrics.NoOpCounter(name)

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> metrics.UpDownCounter:
        """A counter that goes down, too."""
        made = self._made("updowncounter", UpDownCounter, name, unit, description)
        return made or metrics.NoOpUpDownCounter(name)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        """A histogram with the buckets that are advised, or OpenTelemetry's default ones."""
        bounds = self._bounds(name, explicit_bucket_boundaries_advisory)
        made = self._made("histogram", Histogram, name, unit, description, [*bounds, math.inf])
        return made or metrics.NoOpHistogram(name)

    def _bounds(self, name: str, advised: Sequence[float] | None) -> list[float]:
        if advised is None:
            return [float(bound) for bound in DEFAULT_BOUNDS]
        try:
            bounds = [float(bound) for bound in advised]
        except (TypeError, ValueError):
            bounds = [math.nan]
        if any(not math.isfinite(bound) for bound in bounds) or bounds != sorted(set(bounds)):
            _logger.warning("the buckets advised for %r do not ascend, and are not taken: %r", name, advised)
            return [float(bound) for bound in DEFAULT_BOUNDS]
        return bounds

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> metrics._Gauge:
        """A value that is set."""
        return self._made("gauge", Gauge, name, unit, description) or metrics._NoOpGauge(name)

    def _observed(
        self,
        kind: str,
        make: type[_T],
        name: str,
        callbacks: Sequence[CallbackT] | None,
        unit: str,
        description: str,
    ) -> _T | None:
        made: Any = self._made(kind, make, name, unit, description)
        if made is not None and callbacks:
            self._provider.observe(made, callbacks)
        return made  # type: ignore[no-any-return]

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> metrics.ObservableCounter:
        """A counter whose totals callbacks say."""
        made = self._observed("counter", ObservableCounter, name, callbacks, unit, description)
        return made or metrics.NoOpObservableCounter(name)

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> metrics.ObservableUpDownCounter:
        """A counter that goes down, too, whose values callbacks say."""
        made = self._observed("updowncounter", ObservableUpDownCounter, name, callbacks, unit, description)
        return made or metrics.NoOpObservableUpDownCounter(name)

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> metrics.ObservableGauge:
        """A value that callbacks say."""
        made = self._observed("gauge", ObservableGauge, name, callbacks, unit, description)
        return made or metrics.NoOpObservableGauge(name)
