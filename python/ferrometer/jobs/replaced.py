"""Methods of a task queue's classes, replaced for as long as its jobs are counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class Replaced:
    """What stands in place of some methods, and what stood there."""

    def __init__(self) -> None:
        self._originals: dict[tuple[Any, str], Any] = {}

    def __bool__(self) -> bool:
        return bool(self._originals)

    def replace(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        """From now on ``function(original, self, ...)`` is called; ``original`` is to be called by it."""
        original = self._originals[owner, name] = vars(owner)[name]

        @functools.wraps(original)
        def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
            return function(original, self, *args, **kwargs)

        setattr(owner, name, replaced)

    def take_back(self) -> None:
        """Each method is again what it was."""
        for (owner, name), original in self._originals.items():
            setattr(owner, name, original)
        self._originals.clear()
