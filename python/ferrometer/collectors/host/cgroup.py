"""The container's share of the machine: memory and CPU limits, use and throttling, by control groups.

A percentage of the machine says nothing in a container that may use a tenth of it. Here the limit is
the tightest one on the way from this process's group up to what can be seen of the root, and the
machine's own where there is none: so ``cgroup_memory_used_ratio`` and ``cgroup_cpu_used_ratio`` are
always of what this process can have. Versions 1, 2 and both at once (hybrid).
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from ferrometer.background.collector import Collector, Scope, UnavailableError, drop, set_total
from ferrometer.collectors.host.cgroup_files import (
    UNLIMITED,
    Cpu,
    Groups,
    Memory,
    cpu_of,
    find,
    membership,
    memory_of,
    waited_of,
)
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge


class CgroupCollector(Collector):
    """``cgroup_memory_*`` and ``cgroup_cpu_*`` of the group that this process is in.

    One worker of the application reads it: all of them are in one group. ``root``: where ``/proc`` and
    ``/sys`` are to be looked for, for tests.
    """

    name = "cgroup"
    scope: Scope = "machine"

    def __init__(
        self,
        *,
        registry: CollectorRegistry = REGISTRY,
        interval: float = 10.0,
        root: str | Path = "/",
    ) -> None:
        self.interval = interval
        self._root = Path(root)
        self._last: tuple[float, float] | None = None
        self._found: tuple[str, Groups] | None = None

        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(
                f"cgroup_{name}", documentation, registry=registry, multiprocess_mode="livemostrecent"
            )

        def counter(name: str, documentation: str) -> Counter:
            return Counter(f"cgroup_{name}", documentation, registry=registry)

        self.memory_limit: Gauge = gauge(
            "memory_limit_bytes", "Memory the group may use; the machine's if unlimited"
        )
        self.memory_used: Gauge = gauge(
            "memory_used_bytes", "Memory charged to the group, page cache included"
        )
        self.memory_working_set: Gauge = gauge(
            "memory_working_set_bytes",
            "Memory of the group that cannot be reclaimed easily: what is killed for",
        )
        self.memory_ratio: Gauge = gauge("memory_used_ratio", "Working set as a share of the limit")
        self.cpu_limit: Gauge = gauge(
            "cpu_limit_cores", "Cores this group may use; the machine's if unlimited"
        )
        self.cpu_ratio: Gauge = gauge(
            "cpu_used_ratio", "CPU time since the last reading as a share of the limit"
        )
        self.oom_kills: Counter = counter(
            "memory_oom_kills", "Processes of the group killed for want of memory"
        )
        self.cpu: Counter = counter("cpu_seconds", "CPU time used by the group")
        self.periods: Counter = counter(
            "cpu_periods", "Enforcement periods of the CPU limit that have passed"
        )
        self.throttled_periods: Counter = counter(
            "cpu_throttled_periods", "Periods in which the group was throttled"
        )
        self.throttled: Counter = counter("cpu_throttled_seconds", "Time the group was throttled")
        self.waited: Counter = Counter(
            "cgroup_pressure_waiting_seconds",
            "Time in which some task of the group waited for the resource",
            ["resource"],
            registry=registry,
        )

    def is_brief(self) -> bool:
        """A few small files of the kernel are read."""
        return True

    def collect(self) -> None:
        """Read the groups this process is in now: it may have been moved."""
        member = membership(self._root)
        if self._found is None or self._found[0] != member:
            self._found = (member, find(self._root, member))
        groups = self._found[1]
        if groups.memory is None and groups.cpu is None:
            raise UnavailableError("there are no control groups here", reason="no cgroup")
        if groups.memory is not None:
            self._memory(memory_of(groups.memory))
        else:  # what no group tells is not zero
            drop((self.memory_limit, self.memory_used, self.memory_working_set, self.memory_ratio))
        if groups.cpu is not None:
            self._cpu(cpu_of(groups.cpu, groups.cpu_account))
        else:
            drop((self.cpu_limit, self.cpu_ratio))
        if groups.pressure is not None:
            for resource, seconds in waited_of(groups.pressure).items():
                set_total(self.waited.labels(resource), seconds)

    def _memory(self, seen: Memory) -> None:
        limit = min(seen.limit or UNLIMITED, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        self.memory_limit.set(limit)
        self.memory_used.set(_or_nan(seen.used))
        self.memory_working_set.set(_or_nan(seen.working_set))
        self.memory_ratio.set(min(1.0, _or_nan(seen.working_set) / limit))
        set_total(self.oom_kills, seen.oom_kills or 0)

    def _cpu(self, seen: Cpu) -> None:
        limit = min(seen.limit or math.inf, len(os.sched_getaffinity(0)))
        self.cpu_limit.set(limit)
        self.cpu_ratio.set(self._share(seen.used, limit))
        set_total(self.cpu, seen.used or 0)
        set_total(self.periods, seen.periods or 0)
        set_total(self.throttled_periods, seen.throttled_periods or 0)
        set_total(self.throttled, seen.throttled or 0)

    def _share(self, used: float | None, limit: float) -> float:
        """Of the limit, what was used since the last reading; NaN at the first one."""
        last, self._last = self._last, None if used is None else (time.monotonic(), used)
        if last is None or self._last is None or self._last[0] <= last[0]:
            return math.nan
        return min(1.0, max(0.0, (self._last[1] - last[1]) / (self._last[0] - last[0]) / limit))


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number
