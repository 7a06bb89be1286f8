"""FastAPI's own telemetry (0.165 and newer) beside ours: two measurements, each counting a request once."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ferrometer import CollectorRegistry, instrument
from tests.endpoints.client import calling

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        "telemetry" not in inspect.signature(FastAPI).parameters, reason="needs FastAPI 0.165 or newer"
    ),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROMETER_CONFIG", "")


class Telemetry:
    """A real OpenTelemetry SDK that keeps what it is given."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.meters = MeterProvider(metric_readers=[self._reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    def durations(self) -> int:
        """How many requests FastAPI has measured."""
        data = self._reader.get_metrics_data()
        points: list[Any] = [
            point
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "http.server.request.duration"
            for point in metric.data.data_points
        ]
        return sum(point.count for point in points)

    def requests_traced(self) -> int:
        return sum(span.name.startswith("GET") for span in self._spans.get_finished_spans())


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()


def application(telemetry: Telemetry | None) -> FastAPI:
    settings: Any = (
        {"meter_provider": telemetry.meters, "tracer_provider": telemetry.tracers} if telemetry else {}
    )
    app = FastAPI(telemetry=settings)
    app.add_api_route("/hello", lambda: "hello")
    return app


async def ask_three_times(app: FastAPI) -> int:
    """What ferrometer has counted after three requests."""
    async with calling(app) as client:
        for _ in range(3):
            assert (await client.get("/hello")).status_code == 200
        return int((await client.get("/stats")).json()["requests"]["total"])


async def test_both_measure_each_request_once(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ferrometer")
    app = application(telemetry)
    instrument(app, registry=CollectorRegistry())
    assert await ask_three_times(app) == 3
    assert telemetry.durations() >= 3
    assert "instrument(app, fastapi_metrics=False) switches that off" in caplog.text


async def test_fastapis_own_measurement_can_be_switched_off(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ferrometer")
    app = application(telemetry)
    instrument(app, registry=CollectorRegistry(), fastapi_metrics=False)
    assert await ask_three_times(app) == 3
    assert telemetry.durations() == 0
    assert telemetry.requests_traced() >= 3  # its traces stay
    assert "telemetry" not in caplog.text


async def test_where_opentelemetry_is_not_configured_there_is_nothing_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ferrometer")
    app = application(None)
    instrument(app, registry=CollectorRegistry())
    assert await ask_three_times(app) == 3
    assert "telemetry" not in caplog.text
