"""OpenTelemetry's API over ours, and what it records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferrometer import _core, otel, tracing
from tests.real.log_receivers import Receiver
from tests.tracing.received import Spans


@pytest.fixture
def spans(span_receiver: Receiver) -> Iterator[Spans]:
    """What the test records through the API."""
    otel.install()
    made = Spans(span_receiver)
    made.setup()
    assert tracing.flush(60)
    span_receiver.posts.clear()
    yield made
    _core.span_var.set(None)
    tracing.shutdown(10)
