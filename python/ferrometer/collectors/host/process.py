"""This process as the operating system sees it: CPU, memory, descriptors, threads, context switches.

Names as prometheus_client's ``ProcessCollector`` where it has them. Linux: one read of
``/proc/self/stat`` and three system calls. Elsewhere by psutil (``pip install 'ferrometer[system]'``).
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ferrometer.background.collector import Collector, UnavailableError, set_total
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One look at a process. Seconds and bytes; NaN where the platform does not say."""

    cpu_seconds: float
    resident_bytes: float
    virtual_bytes: float
    start_time_seconds: float
    open_fds: float
    max_fds: float
    threads: float
    voluntary_switches: float
    involuntary_switches: float
    minor_faults: float
    major_faults: float


class ProcessCollector(Collector):
    """``process_cpu_seconds_total``, ``process_resident_memory_bytes`` and their like.

    ``namespace`` is put before the names, as prometheus_client does it.
    """

    name = "process"

    def __init__(
        self, *, namespace: str = "", registry: CollectorRegistry = REGISTRY, interval: float = 10.0
    ) -> None:
        self.interval = interval

        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(
                name, documentation, namespace=namespace, registry=registry, multiprocess_mode="liveall"
            )

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, namespace=namespace, registry=registry)

        self.cpu: Counter = counter("process_cpu_seconds", "Total user and system CPU time spent in seconds.")
        self.resident: Gauge = gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
        self.virtual: Gauge = gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")
        self.start_time: Gauge = gauge(
            "process_start_time_seconds", "Start time of the process since unix epoch in seconds."
        )
        self.open_fds: Gauge = gauge("process_open_fds", "Number of open file descriptors.")
        self.max_fds: Gauge = gauge("process_max_fds", "Maximum number of open file descriptors.")
        self.threads: Gauge = gauge("process_threads", "Threads of the process, native ones included.")
        switches = counter("process_context_switches", "Context switches of all threads.", "type")
        self._switches = switches
        faults = counter("process_page_faults", "Page faults; a major one waits for the disk.", "type")
        self._faults = faults

    def is_brief(self) -> bool:
        """A few small files of the kernel are read."""
        return True

    def collect(self) -> None:
        """Read this process."""
        seen = read_process()
        set_total(self.cpu, seen.cpu_seconds)
        self.resident.set(seen.resident_bytes)
        self.virtual.set(seen.virtual_bytes)
        self.start_time.set(seen.start_time_seconds)
        self.open_fds.set(seen.open_fds)
        self.max_fds.set(seen.max_fds)
        self.threads.set(seen.threads)
        set_total(self._switches.labels("voluntary"), seen.voluntary_switches)
        set_total(self._switches.labels("involuntary"), seen.involuntary_switches)
        set_total(self._faults.labels("minor"), seen.minor_faults)
        set_total(self._faults.labels("major"), seen.major_faults)


def read_process() -> ProcessReading:
    """This process, by the cheapest way there is here."""
    return _by_proc() if sys.platform == "linux" else by_psutil()


def _by_proc() -> ProcessReading:
    import resource

    with open("/proc/self/stat", "rb", buffering=0) as stat:
        # The command in parentheses may hold anything; the fields after it are numbers.
        fields = stat.read(4096).rpartition(b")")[2].split()
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ProcessReading(
        cpu_seconds=used.ru_utime + used.ru_stime,
        resident_bytes=int(fields[21]) * resource.getpagesize(),
        virtual_bytes=int(fields[20]),
        start_time_seconds=_boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK"),
        open_fds=_open_fds(),
        max_fds=math.inf if limit == resource.RLIM_INFINITY else limit,
        threads=int(fields[17]),
        voluntary_switches=used.ru_nvcsw,
        involuntary_switches=used.ru_nivcsw,
        minor_faults=used.ru_minflt,
        major_faults=used.ru_majflt,
    )


def _open_fds() -> int:
    folder = "/proc/self/fd"
    # Linux 6.2 and later say the number outright; before, the size is 0 and the listing is counted,
    # less the descriptor that lists.
    return os.stat(folder).st_size or len(os.listdir(folder)) - 1


_boot = 0.0


def _boot_time() -> float:
    global _boot
    if not _boot:  # it costs more than all the rest, and never changes
        with Path("/proc/stat").open("rb") as stat:
            _boot = next(float(line.split()[1]) for line in stat if line.startswith(b"btime "))
    return _boot


def by_psutil() -> ProcessReading:
    """This process, by psutil, for platforms without ``/proc``."""
    try:
        import psutil
    except ImportError:
        raise UnavailableError(
            "reading the process needs psutil here: pip install 'ferrometer[system]'", reason="no psutil"
        ) from None
    process = psutil.Process()
    with process.oneshot():
        cpu, memory, switches = process.cpu_times(), process.memory_info(), process.num_ctx_switches()
        return ProcessReading(
            cpu_seconds=cpu.user + cpu.system,
            resident_bytes=memory.rss,
            virtual_bytes=memory.vms,
            start_time_seconds=process.create_time(),
            open_fds=getattr(process, "num_handles" if sys.platform == "win32" else "num_fds")(),
            max_fds=_max_fds(),
            threads=process.num_threads(),
            voluntary_switches=switches.voluntary,
            involuntary_switches=switches.involuntary,
            minor_faults=getattr(memory, "pfaults", getattr(memory, "num_page_faults", 0)),
            major_faults=getattr(memory, "pageins", 0),
        )


def _max_fds() -> float:
    if sys.platform == "win32":
        return math.nan
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit
