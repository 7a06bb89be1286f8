"""OpenTelemetry's logs API: its records are lines of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.propagation import set_span_in_context

import ferrometer
from ferrometer import logs, otel
from tests.logs.written import Written
from tests.tracing.received import Spans


@pytest.fixture
def written() -> Iterator[Written]:
    written = Written(service="svc")
    otel.install()
    yield written
    written.end()


def test_severities_are_levels(written: Written) -> None:
    logger = _logs.get_logger("my.library", "1.0")
    for severity in SeverityNumber:
        assert logger.enabled(severity_number=severity)
        logger.emit(LogRecord(severity_number=severity, body=severity.name))
    logger.emit(LogRecord(body="says none"))
    words = {"TRACE": "debug", "DEBUG": "debug", "UNSPE": "info", "says ": "info", "INFO": "info"}
    words |= {"WARN": "warning", "ERROR": "error", "FATAL": "critical"}
    told = written.lines()
    assert len(told) == len(SeverityNumber) + 1
    for line in told:
        word = line["message"].rstrip("234")
        level = line["level"].lower().replace("fatal", "critical").replace("warning", "warn")
        assert level == words[word if word in words else word[:5]].replace("warning", "warn"), line
        assert line["logger"] == "my.library"


def test_what_is_below_the_level_is_not_told(written: Written) -> None:
    logger = _logs.get_logger("lib")
    logs.set_level("warn")
    try:
        assert not logger.enabled(severity_number=SeverityNumber.INFO)
        logger.emit(LogRecord(severity_number=SeverityNumber.INFO, body="quiet"))
        logger.emit(body="quiet, too", severity_number=SeverityNumber.DEBUG)
        logger.emit(body="loud", severity_number=SeverityNumber.WARN)
    finally:
        logs.set_level("debug")
    assert [line["message"] for line in written.lines()] == ["loud"]


def test_fields_events_bodies_and_secrets(written: Written) -> None:
    logger = _logs.get_logger("lib")
    logger.emit(
        LogRecord(
            timestamp=1_700_000_000_123_000_000,
            severity_text="NOTICE",
            severity_number=SeverityNumber.INFO2,
            body="served",
            attributes={"http.status": 200, "password": "hunter2", "parts": ["a", 1], "deep": {"a": None}},
        )
    )
    logger.emit(event_name="gen_ai.choice", body={"index": 0, "text": "é"}, attributes={"n": 1})
    logger.emit(body={"only": ["a", "body"]})
    logger.emit(body=17)
    try:
        raise KeyError("k")
    except KeyError as error:
        logger.emit(body="failed", exception=error, severity_number=SeverityNumber.ERROR)
    first, event, body, number, failed = written.lines()
    assert (first["message"], first["severity_text"], first["http.status"]) == ("served", "NOTICE", 200)
    assert first["parts"] == ["a", 1]
    assert "hunter2" not in str(first)
    assert first["timestamp"].startswith("2023-11-14T22:13:20.123")
    assert (event["message"], event["event.name"], event["n"]) == ("gen_ai.choice", "gen_ai.choice", 1)
    assert event["body"] == {"index": 0, "text": "é"}
    assert body["message"] == '{"only": ["a", "body"]}'
    assert number["message"] == "17"
    assert "KeyError" in str(failed)


def test_where_in_a_trace(written: Written, spans: Spans) -> None:
    logger = _logs.get_logger("lib")
    with ferrometer.span("ours") as ours:
        logger.emit(body="in ours")
        with trace.get_tracer("lib").start_as_current_span("theirs") as theirs:
            logger.emit(LogRecord(body="in theirs"))
    elsewhere = SpanContext(0x1234, 0x5678, True, TraceFlags(1))
    logger.emit(body="elsewhere", context=set_span_in_context(trace.NonRecordingSpan(elsewhere)))
    logger.emit(body="nowhere")
    told = {line["message"]: (line.get("trace_id"), line.get("span_id")) for line in written.lines()}
    assert told["in ours"] == (ours.trace_id, ours.span_id)
    assert told["in theirs"] == (ours.trace_id, f"{theirs.get_span_context().span_id:016x}")
    assert told["elsewhere"] == (f"{0x1234:032x}", f"{0x5678:016x}")
    assert told["nowhere"] == (None, None)


class Cyclic(dict[str, Any]):
    def __init__(self) -> None:
        super().__init__(x=self)

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "record",
    [
        {"body": Cyclic()},
        {"attributes": Cyclic()},
        {"attributes": 7},
        {"attributes": {1: 2, None: 3}},
        {"body": "\ud800", "event_name": "\ud800"},
        {"body": "x" * 1_000_000},
        {"severity_number": 9},
        {"timestamp": 0},
    ],
    ids=[0, 1, 2, 3, 4, 5, 6, 7],
)
def test_odd_records_raise_nothing(written: Written, record: dict[str, Any]) -> None:
    _logs.get_logger("lib").emit(**record)
    assert len(written.lines()) == 1
