"""What a scrape asks Python for: foreign collectors, callbacks, subclasses, names that need quotes."""

from __future__ import annotations

from ferrometer import _core
from ferrometer._prometheus_client import printer
from ferrometer.metrics.families import CellRefresher, Families

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from prometheus_client.metrics_core import Metric
    from typing_extensions import TypeIs

    from ferrometer._process.deadline import Errands
    from ferrometer.metrics.base import MetricWrapperBase
    from ferrometer.metrics.families import Collector

    _C = TypeVar("_C")
    _T = TypeVar("_T")


def is_native(collector: object) -> TypeIs[MetricWrapperBase]:
    """Whether native code records and encodes it."""
    return isinstance(collector, _core.Metric)


def _source(collector: Collector) -> str:
    return collector._name if is_native(collector) else type(collector).__qualname__


class Scrape:
    """Asks the Python collectors of a registry, one after another, before the scrape has to be answered.

    A collector that raises or is late is left out, counted in ``ferrometer_scrape_errors_total{source}``,
    and logged the first time.
    """

    def __init__(self, native: _core.Registry, lock: RLock) -> None:
        self._native = native
        self._lock = lock
        self._logged: set[str] = set()
        #: Made at the first scrape: a thread's tools take longer to import than all of this package.
        self._errands: Errands[Collector, list[Metric] | bool] | None = None

    def families(self, collectors: Iterable[Collector]) -> Iterator[Metric]:
        """The families of these collectors, in their order, as prometheus_client's objects."""
        collectors = list(collectors)
        python: dict[Collector, Callable[[], list[Metric] | bool]] = {
            collector: self._ask(self._collect, collector)
            for collector in collectors
            if not is_native(collector) or collector._has_custom_samples or collector._has_callbacks
        }
        results = self._in_turn().run(python) if python else iter(())
        for collector in collectors:
            families = self._in_time(*next(results)) if collector in python else self._collect(collector)
            if isinstance(families, list):
                yield from families

    def from_python(
        self, collectors: Iterable[Collector], names: set[str] | None = None
    ) -> tuple[list[Metric], list[MetricWrapperBase]]:
        """The families that native code cannot encode, and the metrics that it has to leave out."""
        leave_out: list[MetricWrapperBase] = []
        errands: dict[Collector, Callable[[], list[Metric] | bool]] = {}
        for collector in collectors:
            if not is_native(collector):
                errands[collector] = self._ask(self._collect, collector)
            elif collector._has_custom_samples or collector._meta["odd"]:
                leave_out.append(collector)
                errands[collector] = self._ask(self._collect, collector)
            elif collector._has_callbacks:
                errands[collector] = self._ask(self._call, collector)
        families: list[Metric] = []
        for collector, result in self._in_turn().run(errands) if errands else ():
            answer = self._in_time(collector, result)
            if isinstance(answer, list):
                families += answer
            elif not answer and is_native(collector):
                leave_out.append(collector)
        if names is not None:
            restricted = (family._restricted_metric(names) for family in families)  # type: ignore[no-untyped-call]
            families = [family for family in restricted if family]
        return families, leave_out

    def refresh(self, collectors: Iterable[Collector]) -> None:
        """Runs the callbacks of gauges, and of whoever else fills native cells."""
        for collector in collectors:
            if isinstance(collector, CellRefresher):
                collector.refresh()
            elif is_native(collector) and collector._has_callbacks:
                self._call(collector)

    def print(self, families: list[Metric], module: str, how: dict[str, str]) -> bytes:
        """Families made by Python code, as that module of prometheus_client prints them."""
        if not families:
            return b""
        generate_latest = printer(module)
        printed = self.each(families, lambda family: generate_latest(Families([family]), **how))
        return b"".join(text.removesuffix(b"# EOF\n") for text in printed)

    def each(self, families: list[Metric], encode: Callable[[Metric], bytes]) -> Iterator[bytes]:
        """Each family encoded; one that breaks its own library's rules is left out."""
        for family in families:
            try:
                yield encode(family)
            except Exception as error:  # likewise the application's own code
                self._failed(str(getattr(family, "name", family)), error)

    def _collect(self, collector: Collector) -> list[Metric]:
        """The families of one collector; none when it raises."""
        try:
            return list(collector.collect())
        except Exception as error:  # the application's own code: anything can come out of it
            self._failed(_source(collector), error)
            return []

    def _call(self, metric: MetricWrapperBase) -> bool:
        """Whether all callbacks of a metric returned a value."""
        try:
            metric._run_callbacks()
        except Exception as error:  # likewise
            self._failed(metric._name, error)
            return False
        return True

    @staticmethod
    def _ask(method: Callable[[_C], _T], collector: _C) -> Callable[[], _T]:
        return lambda: method(collector)  # functools would be half of the import of this package

    def _in_turn(self) -> Errands[Collector, list[Metric] | bool]:
        if self._errands is None:
            # Under the lock that a fork waits for: a child would find the import half done for ever.
            with self._lock:
                from ferrometer._process.deadline import Errands

                self._errands = Errands()
        return self._errands

    def _in_time(self, collector: Collector, result: _T | None) -> _T | None:
        if result is None:
            self._failed(_source(collector), TimeoutError("not done before the scrape had to be answered"))
        return result

    def _failed(self, source: str, error: Exception) -> None:
        self._native.fail(source)
        if source not in self._logged:
            self._logged.add(source)
            import logging

            logging.getLogger("ferrometer").warning(
                "%s is left out of scrapes: it raised", source, exc_info=error
            )
