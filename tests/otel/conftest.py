"""OpenTelemetry's API over ours, and what it records.

A process gets one provider for ever, and whoever asked for a tracer keeps it: FastAPI's own telemetry
records into it from then on. So these tests have a process of their own: `tests/test_otel.py` starts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferrometer import _core, otel, tracing
from tests.real.log_receivers import Receiver
from tests.tracing.received import Spans


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leaves these tests out, unless nothing else is asked for."""
    asked = [argument for argument in config.invocation_params.args if "tests" in Path(argument).parts]
    alone = bool(asked) and all("otel" in Path(argument.partition("::")[0]).parts for argument in asked)
    return None if alone else True


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
