"""What a middleware adds to a request: ``pytest --pyargs ferrometer.bench --benchmark-only``.

Each runs the same application, which answers at once, and says afterwards how many requests it counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ferrometer.bench import wrapped
from ferrometer.bench.requests import receive, send

pytest.importorskip("pytest_benchmark", reason="pip install 'ferrometer[bench]'")

REQUESTS = 1000
#: Two empty ones within each other: where they do not cost clearly more than one, the figures are noise.
TWICE = "empty pass-through, twice"
SUBJECTS: dict[str, Callable[[Any], wrapped.Wrapped | None]] = {
    **wrapped.MAKERS,
    TWICE: lambda app: wrapped.pass_through(wrapped.pass_through(app).app),
}


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.benchmark(group=f"{REQUESTS} requests", warmup=True, disable_gc=True)
def test_overhead(benchmark: Any, name: str) -> None:
    """Requests to the application inside this middleware, and the number that it counted."""
    it = SUBJECTS[name](wrapped.plain())
    if it is None:
        pytest.skip("not installed")
    runs = 0

    async def batch() -> None:
        for _ in range(REQUESTS):
            await it.app(wrapped.new_scope(), receive, send)

    own = wrapped.own_code(batch)
    loop = asyncio.new_event_loop()

    def run() -> None:
        nonlocal runs
        runs += 1
        loop.run_until_complete(own())

    try:
        benchmark(run)
    finally:
        loop.close()
    if it.seen is not None:
        assert it.seen() == runs * REQUESTS
