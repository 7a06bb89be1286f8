"""Tells why what this worker knows is not shared with the others."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ferrometer import _core

_log = logging.getLogger("ferrometer")


def tell_troubles() -> None:
    """Logs why tables of this worker are its own, if they are; each reason once."""
    for trouble in _core.state_troubles():
        _log.warning("%s", trouble)


class TableWatch:
    """Says it once when the file behind a table is gone: workers that start now do not see it.

    ``is_shared`` tells whether other workers can come by the table; None: it is not in use.
    """

    def __init__(self, what: str, is_shared: Callable[[], bool | None]) -> None:
        self._what = what
        self._is_shared = is_shared
        self._was_shared: bool | None = None

    def look(self) -> None:
        """Call it from time to time."""
        tell_troubles()
        shared = self._is_shared()
        if self._was_shared and not shared:
            _log.warning(
                "the file of the %s in the shared directory is gone: workers that start from now on "
                "do not share the state of this one; restart all of them",
                self._what,
            )
        self._was_shared = shared
