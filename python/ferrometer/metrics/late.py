"""Sharing that is chosen after the import: by the environment, or by ``values.ValueClass``."""

from __future__ import annotations

import os
import sys

from ferrometer import _core

_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
_tried: set[str | None] = set()


def follow() -> None:
    """Share from now on, if a directory has been named since the import; a warning where it cannot be."""
    if _core.shared_directory() is not None:
        return
    named = next((found for variable in _VARIABLES if (found := os.environ.get(variable))), None)
    if named is not None and named not in _tried:
        _tried.add(named)
        from ferrometer.sharing.share import by_inheritance

        by_inheritance()  # says why, where it is not possible
    values = sys.modules.get("prometheus_client.values")
    is_multiprocess = values is not None and getattr(values.ValueClass, "_multiprocess", False)
    if named is None and is_multiprocess and None not in _tried:
        _tried.add(None)
        import warnings

        text = (
            "prometheus_client.values.ValueClass is that of several processes, but PROMETHEUS_MULTIPROC_DIR"
            " is not set: metrics of this process are not shared"
        )
        warnings.warn(text, RuntimeWarning, stacklevel=5)


__all__ = ["follow"]
