"""What a worker removes for itself alone, and what for all workers that share their metrics."""

from __future__ import annotations

from _contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _contextvars import Token

#: Whether ``remove()`` and ``clear()`` concern this worker's series only.
only_own: ContextVar[bool] = ContextVar("ferrometer_only_own", default=False)


class OwnSeries:
    """In this block, ``remove()`` and ``clear()`` leave other workers' series alone.

    A worker that puts down a collector, or whose pool is closed, knows nothing about those of the others.
    """

    __slots__ = ("_token",)
    _token: Token[bool]

    def __enter__(self) -> None:
        self._token = only_own.set(True)

    def __exit__(self, *_: object) -> None:
        only_own.reset(self._token)
