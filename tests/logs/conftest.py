"""A logger whose lines are read back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferrometer.logs import handler
from tests.logs.written import Lines, Written


@pytest.fixture
def written() -> Iterator[Written]:
    """What the test logs."""
    written = Written(service="svc", hash_key="a key")
    yield written
    handler.give_back()
    written.end()


@pytest.fixture
def lines(written: Written) -> Lines:
    """Reads the lines so far."""
    return written.lines
