"""Which computed families a registry shows already: two applications of a process may share one."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from ferrometer.metrics.registry import CollectorRegistry

_EXPOSED: WeakKeyDictionary[CollectorRegistry, set[tuple[str, str | None]]] = WeakKeyDictionary()


def expose_once(
    registry: CollectorRegistry, what: str, namespace: str | None, register: Callable[[], object]
) -> None:
    """Registers what is not there yet; raises ValueError when something else has one of the names."""
    known = _EXPOSED.setdefault(registry, set())
    if (what, namespace) not in known:
        register()
        known.add((what, namespace))
