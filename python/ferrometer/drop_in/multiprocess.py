"""prometheus_client's multi-process mode by its names: what all processes of a directory recorded, as one.

With ``PROMETHEUS_MULTIPROC_DIR`` set, metrics are shared in the folder ``ferrometer`` inside that directory.
Files that prometheus_client itself has written there, for a library that uses it, are read as well.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from prometheus_client import multiprocess as _peer
from prometheus_client.multiprocess import mark_process_dead

from ferrometer import _core
from ferrometer.metrics import late
from ferrometer.metrics.families import computed
from ferrometer.sharing.share import FOLDER, shared_directory

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["MultiProcessCollector", "mark_process_dead"]


class MultiProcessCollector(_peer.MultiProcessCollector):
    """The families of all processes, living and dead, for a registry that has no others.

    ``path``: the directory, by default that of the environment. Raises ValueError when there is none.
    """

    def __init__(self, registry: Any, path: str | os.PathLike[str] | None = None) -> None:
        late.follow()
        super().__init__(registry, path)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """All families, each once."""
        return everything(self, self._path)


def everything(collector: _peer.MultiProcessCollector, path: str | os.PathLike[str]) -> list[Metric]:
    """What is recorded below a directory, by us and by prometheus_client."""
    families: dict[str, Metric] = {}
    files = glob.glob(os.path.join(path, "*.db"))
    theirs: Iterable[Metric] = collector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
    for family in (*_ours(path), *theirs):
        known = families.setdefault(family.name, family)
        if known is not family:
            known.samples += family.samples
    return list(families.values())


def _ours(path: str | os.PathLike[str]) -> Iterable[Metric]:
    below = os.path.join(path, FOLDER)
    directory = below if os.path.isdir(below) else _named_otherwise(path)
    return computed(_core.read_directory(directory)) if directory is not None else ()


def _named_otherwise(path: str | os.PathLike[str]) -> str | None:
    """``FERROMETER_DIR`` names another one for this process's metrics; or the path is one of ours itself."""
    if glob.glob(os.path.join(path, "*.seg")):
        return os.fspath(path)
    environment = {
        os.environ.get(variable) for variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
    }
    return shared_directory() if os.fspath(path) in environment else None
