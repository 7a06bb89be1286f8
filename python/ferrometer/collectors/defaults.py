"""The collectors that an application has without asking for them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable

from ferrometer.background.collector import Collector
from ferrometer.collectors.app.caches import CacheCollector, Lookups
from ferrometer.collectors.app.pools import PoolsCollector
from ferrometer.collectors.app.queues import QueueCollector
from ferrometer.collectors.host.cgroup import CgroupCollector
from ferrometer.collectors.host.process import ProcessCollector
from ferrometer.collectors.host.runtime import RuntimeCollector
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

_log = logging.getLogger("ferrometer.collectors")


def default_collectors(
    registry: CollectorRegistry = REGISTRY, *, lookups: Lookups | None = None, exclude: Iterable[str] = ()
) -> list[Collector]:
    """The process, the runtime, the control group, tracked caches and queues.

    ``lookups`` is told of every cache lookup; ``exclude``: names of collectors that are there already. One
    whose metrics the registry has from elsewhere, such as prometheus_client's ``ProcessCollector``, is
    left out.
    """
    makers: dict[str, Callable[[], Collector]] = {
        "process": lambda: ProcessCollector(registry=registry),
        "runtime": lambda: RuntimeCollector(registry=registry),
        "caches": lambda: CacheCollector(registry=registry, stats=lookups),
        "queues": lambda: QueueCollector(registry=registry),
        "pools": PoolsCollector,
    }
    if sys.platform == "linux":
        makers["cgroup"] = lambda: CgroupCollector(registry=registry)
    made: list[Collector] = []
    for name in makers.keys() - frozenset(exclude):
        try:
            made.append(makers[name]())
        except ValueError as error:
            _log.info("collector %r is left out: the registry has its metrics already (%s)", name, error)
    return made
