"""What all workers know of a budget: what was spent before it began, and which thresholds were told.

Files in the directory that the workers share. Each is made once, by whoever comes first, and outlives its
maker; without a shared directory the process knows by itself.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ferrometer.sharing.directory import digest
from ferrometer.sharing.share import shared_directory

_log = logging.getLogger("ferrometer")
T = TypeVar("T")


class BudgetBook:
    """The files of one budget; ``key`` is the same in all workers."""

    def __init__(self, tenant: str, key: str) -> None:
        self._tenant = tenant
        self._name = digest(key)
        self._told: set[float] = set()
        self._failed = False

    def begin(self, before: float) -> float:
        """What had been spent when the budget began: ``before``, where no other worker has said it."""
        return self._in_folder(lambda folder: self._begin(folder, before), before)

    def restart(self) -> None:
        """The sum that the budget looks at began anew, at zero."""
        self._in_folder(lambda folder: os.replace(_written(folder, 0.0), folder / "before"), None)

    def claim(self, threshold: float) -> bool:
        """Whether this process is the one that tells of the threshold. Asked twice, it is not."""
        if threshold in self._told:
            return False
        self._told.add(threshold)
        return self._in_folder(lambda folder: _claim(folder / f"told-{threshold!r}"), True)

    def _begin(self, folder: Path, before: float) -> float:
        path = folder / "before"
        if not path.exists():
            made = _written(folder, before)
            try:
                # A link, so that who reads it reads all of it.
                with suppress(FileExistsError):
                    os.link(made, path)
            finally:
                made.unlink()
        return float(path.read_text("ascii"))

    def _in_folder(self, call: Callable[[Path], T], otherwise: T) -> T:
        directory = shared_directory()
        if directory is None:
            return otherwise
        folder = Path(directory) / "budgets" / self._name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return call(folder)
        except (OSError, ValueError) as error:
            if not self._failed:
                self._failed = True
                _log.warning("the budget of %r is this worker's own: %s", self._tenant, error)
            return otherwise


def _written(folder: Path, value: float) -> Path:
    path = folder / f".{os.getpid()}-{secrets.token_hex(4)}"
    path.write_text(repr(value), "ascii")
    return path


def _claim(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
