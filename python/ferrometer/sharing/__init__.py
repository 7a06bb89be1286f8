"""Many processes, one truth: where workers share their metrics."""

from __future__ import annotations

from ferrometer.sharing.share import share, shared_directory

__all__ = ["share", "shared_directory"]
