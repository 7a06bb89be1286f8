"""What runs in the background by default: the section ``[collectors]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.background.collector import FunctionCollector
from ferrometer.collectors.app.published import CallbackCollector, run_published
from ferrometer.collectors.defaults import default_collectors
from ferrometer.sharing.share import shared_directory
from ferrometer.stats.service import SYSTEM_SECONDS, ServiceStats

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class CollectorsSettings:
    """Which collectors run."""

    defaults: bool = option(
        True, "Whether process, runtime, control group, tracked caches and queues are read."
    )


class Collectors(Feature):
    """The default collectors, and those that were published."""

    section = "collectors"
    Settings = CollectorsSettings

    def __init__(self, stats: ServiceStats, *, defaults: bool | None = None) -> None:
        super().__init__(defaults=defaults)
        self._stats = stats

    def open(self, runtime: Runtime) -> None:
        """Adds them; an application's own collector replaces the default of its name."""
        chosen: CollectorsSettings = runtime.settings(self)
        self._runtime = runtime
        runtime.collect(
            FunctionCollector(
                "system", self._stats.system.read, interval=SYSTEM_SECONDS, stale="keep", brief=True
            )
        )
        if chosen.defaults:
            present = runtime.scheduler.status()
            for collector in default_collectors(runtime.registry, lookups=self._stats.cache, exclude=present):
                runtime.collect(collector)
        run_published(runtime.registry, runtime.scheduler)

    def start(self) -> None:
        """Callbacks are read in the background where other workers show what they told."""
        scheduler = self._runtime.scheduler
        if shared_directory() and CallbackCollector.name not in scheduler.status():
            scheduler.add(CallbackCollector(registry=self._runtime.registry))
        self._stats.system.watch()


FEATURE = Collectors
