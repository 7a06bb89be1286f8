"""Whether ``_created`` is shown: the flag ``_use_created`` of prometheus_client's metrics, read when used.

Programs switch it by ``metrics._use_created = False`` as well as by ``disable_created_metrics()``.
"""

from __future__ import annotations

import os
import sys

from ferrometer import _core

#: Modules that have the flag, and what it was when last looked at.
_seen: dict[str, bool] = {}


def from_environment() -> bool:
    """What holds at first."""
    return os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "False").lower() not in ("true", "1", "t")


def watch(module: str, value: bool) -> None:
    """Heed the flag of this module from now on; it has this value now."""
    _seen[module] = value


def forget(module: str) -> None:
    """Heed it no more."""
    _seen.pop(module, None)


def follow() -> None:
    """Do what the flags say that were set since the last look."""
    for name, before in _seen.items():
        value = bool(getattr(sys.modules.get(name), "_use_created", before))
        if value != before:
            _seen[name] = value
            _core.export_created(value)


def switch(value: bool) -> None:
    """Set the flag in all modules that have it."""
    for name in _seen:
        _seen[name] = value
        if module := sys.modules.get(name):
            module._use_created = value  # type: ignore[attr-defined]
    _core.export_created(value)
