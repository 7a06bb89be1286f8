"""How full the file systems of chosen paths are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ferrometer.background.collector import CollectError, Collector, Scope
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Gauge


class DiskCollector(Collector):
    """``filesystem_size_bytes{path}``, ``_avail_bytes``, ``_free_bytes``, ``_used_ratio``, ``_files``, ...

    ``avail`` is what an ordinary user may still write, ``free`` what root may. With a ``namespace``
    also ``{namespace}_storage_used_bytes`` and ``{namespace}_storage_total_bytes``. A path that cannot
    be read has ``filesystem_device_error`` 1 and no other value; the others are read all the same.
    """

    name = "disk"
    scope: Scope = "machine"

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]] = ("/",),
        *,
        namespace: str | None = None,
        registry: CollectorRegistry = REGISTRY,
        interval: float = 60.0,
    ) -> None:
        if isinstance(paths, str | os.PathLike):
            raise TypeError(f"paths must be a list of paths; write [{os.fspath(paths)!r}]")
        self.paths: tuple[str, ...] = tuple(os.fspath(path) for path in paths)
        if not self.paths:
            raise ValueError("paths must name at least one path")
        self.interval = interval

        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, ["path"], registry=registry, multiprocess_mode="livemostrecent")

        self.size: Gauge = gauge("filesystem_size_bytes", "Size of the file system")
        self.free: Gauge = gauge("filesystem_free_bytes", "Free space, with what is reserved for root")
        self.avail: Gauge = gauge("filesystem_avail_bytes", "Space that an ordinary user may still write")
        self.used_ratio: Gauge = gauge(
            "filesystem_used_ratio", "Used share of what an ordinary user may fill"
        )
        self.files: Gauge = gauge("filesystem_files", "Inodes of the file system")
        self.files_free: Gauge = gauge("filesystem_files_free", "Free inodes")
        self.error: Gauge = gauge("filesystem_device_error", "Whether the path could not be read")
        self.storage: tuple[Gauge, ...] = ()
        if namespace:
            self.storage = (
                gauge(f"{namespace}_storage_used_bytes", "Used storage"),
                gauge(f"{namespace}_storage_total_bytes", "Size of the storage"),
            )

    def collect(self) -> None:
        """Ask the file systems; a network file system that hangs is the scheduler's to time out."""
        errors = [error for path in self.paths if (error := self._read(path)) is not None]
        if len(errors) == len(self.paths):
            words = "; ".join(f"{error.filename}: {error.strerror}" for error in errors)
            raise CollectError(words, reason=type(errors[0]).__name__)

    def _read(self, path: str) -> OSError | None:
        try:
            size, free, avail, files, files_free = usage(path)
        except OSError as error:
            for gauge in (self.size, self.free, self.avail, self.used_ratio, self.files, self.files_free):
                gauge.remove(path)
            for gauge in self.storage:
                gauge.remove(path)
            self.error.labels(path).set(1)
            return error
        used = size - free
        self.error.labels(path).set(0)
        self.size.labels(path).set(size)
        self.free.labels(path).set(free)
        self.avail.labels(path).set(avail)
        self.used_ratio.labels(path).set(used / (used + avail) if used + avail else 0.0)
        if files:  # some file systems have no such limit
            self.files.labels(path).set(files)
            self.files_free.labels(path).set(files_free)
        for gauge, value in zip(self.storage, (used, size), strict=False):
            gauge.labels(path).set(value)
        return None


def usage(path: str) -> tuple[int, int, int, int, int]:
    """Bytes in all, free, and free to users; inodes in all and free. Raises OSError."""
    if not hasattr(os, "statvfs"):
        usage = shutil.disk_usage(Path(path))
        return usage.total, usage.free, usage.free, 0, 0
    seen = os.statvfs(path)
    unit = seen.f_frsize
    return seen.f_blocks * unit, seen.f_bfree * unit, seen.f_bavail * unit, seen.f_files, seen.f_ffree
