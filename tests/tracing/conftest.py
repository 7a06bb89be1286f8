"""A receiver of spans, and this process exporting to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferrometer import tracing
from tests.real.log_receivers import Receiver
from tests.tracing.received import Spans


@pytest.fixture
def spans(span_receiver: Receiver) -> Iterator[Spans]:
    """What the test records."""
    made = Spans(span_receiver)
    made.setup()
    assert tracing.flush(60)
    span_receiver.posts.clear()
    yield made
    tracing.shutdown(10)
    span_receiver.posts.clear()
