"""The type of pytest-benchmark's `benchmark` fixture, which brings none that a strict checker accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Benchmark(Protocol):
    """Times a function over rounds and returns what it returned."""

    group: str | None

    def pedantic(
        self, target: Callable[..., T], args: tuple[object, ...] = (), *, rounds: int, warmup_rounds: int
    ) -> T: ...
