"""The Python in this process: its garbage collector, memory, threads, and the application's event loop.

Names as prometheus_client's ``GCCollector`` and ``PlatformCollector`` where they have them.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import sys
import threading

from ferrometer.background.collector import Collector, set_total
from ferrometer.collectors.host.gc_pauses import GENERATIONS, GcPauses
from ferrometer.collectors.host.loop_lag import PERIOD, LoopLag
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Info
from ferrometer.stats.process import heap_mb

_MB = 1024 * 1024


class RuntimeCollector(Collector):
    """``python_info``, ``python_gc_*``, ``python_heap_bytes``, ``python_threads``, ``asyncio_*``.

    The event loop that runs where the scheduler is started is watched; ``watch(loop)`` names another
    one. ``lag_period``: seconds from probe to probe of that loop. ``gc_pauses``: time every collection,
    which adds about two microseconds to each. ``go_names``: also ``go_goroutines`` (asyncio tasks) and
    ``go_memstats_alloc_bytes`` (heap), for dashboards that ask so.
    """

    name = "runtime"

    def __init__(
        self,
        *,
        registry: CollectorRegistry = REGISTRY,
        interval: float = 10.0,
        lag_period: float = PERIOD,
        gc_pauses: bool = True,
        go_names: bool = False,
    ) -> None:
        self.interval = interval
        self.info: Info = Info("python", "Python platform information", registry=registry)
        self.heap: Gauge = Gauge(
            "python_heap_bytes",
            "Resident memory allocated by Python and native code, without files and shared memory",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self.blocks: Gauge = Gauge(
            "python_allocated_blocks",
            "Memory blocks that Python's allocator has handed out",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self.threads: Gauge = Gauge(
            "python_threads", "Live threads that Python knows", registry=registry, multiprocess_mode="liveall"
        )

        def counter(name: str, documentation: str) -> Counter:
            return Counter(name, documentation, ["generation"], registry=registry)

        self._collections = counter("python_gc_collections", "Number of times this generation was collected")
        self._collected = counter("python_gc_objects_collected", "Objects collected during gc")
        self._uncollectable = counter(
            "python_gc_objects_uncollectable", "Uncollectable objects found during GC"
        )
        self._pauses = GcPauses(registry) if gc_pauses else None
        self._lag = LoopLag(registry, lag_period)
        self.lag_gauges: tuple[Gauge, Gauge] = (self._lag.tasks, self._lag.unresponsive)
        self._go: tuple[Gauge, Gauge] | None = None
        if go_names:
            self._go = (
                Gauge(
                    "go_goroutines",
                    "Live asyncio tasks of the event loop",
                    registry=registry,
                    multiprocess_mode="liveall",
                ),
                Gauge(
                    "go_memstats_alloc_bytes",
                    "Memory allocated by Python and native code",
                    registry=registry,
                    multiprocess_mode="liveall",
                ),
            )

    def open(self) -> None:
        """Listen to the garbage collector, and to the event loop if one runs here."""
        if self._pauses is not None:
            self._pauses.start()
        try:
            self._lag.start(asyncio.get_running_loop())
        except RuntimeError:  # started outside of any loop
            return

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch this event loop from now on; from any thread."""
        self._lag.start(loop)

    def is_brief(self) -> bool:
        """Numbers of this interpreter are read."""
        return True

    def collect(self) -> None:
        """Read the counts."""
        self.info.info(_PLATFORM)
        heap = heap_mb() * _MB
        self.heap.set(heap)
        self.blocks.set(sys.getallocatedblocks())
        self.threads.set(threading.active_count())
        for generation, stats in zip(GENERATIONS, gc.get_stats(), strict=True):
            set_total(self._collections.labels(generation), stats["collections"])
            set_total(self._collected.labels(generation), stats["collected"])
            set_total(self._uncollectable.labels(generation), stats["uncollectable"])
        self._lag.read()
        if self._go is not None:
            self._go[0].set(self._lag.tasks._get())
            self._go[1].set(heap)

    def close(self) -> None:
        """Listen no more."""
        if self._pauses is not None:
            self._pauses.stop()
        self._lag.stop()


_major, _minor, _patch = platform.python_version_tuple()
_PLATFORM = {
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "major": _major,
    "minor": _minor,
    "patchlevel": _patch,
}
