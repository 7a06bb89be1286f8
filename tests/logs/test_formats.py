"""The formats by name, key by key against the examples that five teams wrote down."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

import ferrometer
from ferrometer import get_logger, logs
from tests.logs.written import Written

EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gpuproxy": (
        {
            "timestamp": "2026-01-13T12:34:56.789Z",
            "level": "INFO",
            "service": "gpuproxy",
            "message": "Request completed",
            "request_id": "550e8400-e29b-41d4-a716-446655440000",
            "user_id": "123e4567-e89b-12d3-a456-426614174000",
            "method": "POST",
            "path": "/api/v1/gpu/proxy",
            "status_code": 200,
            "duration_ms": 1234,
        },
        {},
    ),
    "omtx": (
        {
            "timestamp": "2025-01-20T18:00:00Z",
            "level": "INFO",
            "logger": "services.gpu_worker_service",
            "message": "Job completed successfully",
            "service": {"name": "omtx-hub-api", "version": "1.0.0", "environment": "production"},
            "request_id": "req-12345",
            "user_id": "user-67890",
            "job_id": "job-abcdef",
            "performance": {"duration_ms": 1250, "operation": "job_execution"},
        },
        {"version": "1.0.0", "environment": "production"},
    ),
    "platform": (
        {
            "timestamp": "2024-01-01T12:00:00.000Z",
            "level": "INFO",
            "logger": "gateway_service",
            "message": "Request processed",
            "service": "gateway",
            "trace_id": "abc123",
            "span_id": "def456",
            "method": "POST",
            "endpoint": "/v1/chat",
            "status_code": 200,
            "duration_ms": 125.5,
        },
        {},
    ),
    "staging": (
        {
            "timestamp": "2025-10-12T20:30:00Z",
            "level": "info",
            "service": "api",
            "trace_id": "abc123",
            "span_id": "def456",
            "user_id": "user_xyz",
            "message": "Image created successfully",
            "image_id": "img_123",
            "project_id": "proj_456",
            "duration_ms": 45,
        },
        {},
    ),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_team(name: str) -> None:
    example, told = EXAMPLES[name]
    service = example["service"]
    written = Written(service=service["name"] if isinstance(service, dict) else service, format=name, **told)
    standing = {"timestamp", "level", "service", "message", "logger", "performance"}
    fields = {key: value for key, value in example.items() if key not in standing}
    fields |= example.get("performance", {})
    get_logger(example.get("logger", "")).info(example["message"], **fields)
    (line,) = written.lines()
    assert TIME.fullmatch(line.pop("timestamp"))
    example.pop("timestamp")
    assert line == example


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("gpuproxy", ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"]),
        ("omtx", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("platform", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("staging", ["debug", "info", "warn", "error", "fatal"]),
    ],
)
def test_the_levels_of_a_team(name: str, levels: list[str]) -> None:
    written = Written(service="s", format=name, level="DEBUG")
    log = get_logger()
    for method in (log.debug, log.info, log.warning, log.error, log.critical):
        method("it")
    assert [line["level"] for line in written.lines()] == levels


def test_cloud_logging() -> None:
    written = Written(service="s", format="gcp", version="1", environment="e")
    get_logger("l").critical(
        "it", method="GET", path="/x", status_code=200, duration_ms=125.0, trace_id="a" * 32, span_id="b" * 16
    )
    (line,) = written.lines()
    assert TIME.fullmatch(line.pop("timestamp"))
    assert line == {
        "severity": "CRITICAL",
        "logging.googleapis.com/labels": {"service": "s", "version": "1", "environment": "e"},
        "logger": "l",
        "message": "it",
        "logging.googleapis.com/trace": "a" * 32,
        "logging.googleapis.com/spanId": "b" * 16,
        "httpRequest": {"requestMethod": "GET", "requestUrl": "/x", "status": 200, "latency": "0.125s"},
    }


def test_elastic_common_schema() -> None:
    written = Written(service="s", format="ecs", version="1")
    get_logger("l").error("it", trace_id="t", exc_info=ValueError("bad"))
    (line,) = written.lines()
    assert TIME.fullmatch(line.pop("@timestamp"))
    assert line.pop("error.stack_trace").endswith("ValueError: bad")
    assert line == {
        "log.level": "error",
        "service.name": "s",
        "service.version": "1",
        "ecs.version": "8.11.0",
        "log.logger": "l",
        "message": "it",
        "trace.id": "t",
        "error.message": "ValueError: bad",
    }


def test_a_form_for_people() -> None:
    written = Written(service="s", format="console")
    get_logger("l").warning("take care\x1b[2J", name="x y", number=5, password="hunter2")
    text = written.text()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} WARN  take care\\u\{1b\}\[2J"
        r" logger=l name=\"x y\" number=5 password=\[redacted\]\n",
        text,
    )
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"format": "gpuproxi"}, "format must be one of gpuproxy, .*, console, not 'gpuproxi'"),
        ({"level": "loud"}, "level must be one of debug, .*, not 'loud'"),
        ({"level": True}, "level must be one of"),
        ({"to": "syslog://host"}, "an address is HOST:PORT"),
        ({"to": "fax://x"}, "fax"),
        ({"sampling": {"error": (1, 1)}}, "errors are always logged"),
        ({"sampling": {"info": (1, 0)}}, r"must be \(the first so many a second"),
        ({"queue_bytes": 5}, "queue_bytes must be at least"),
    ],
)
def test_bad_arguments(told: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        logs.setup("s", **told)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ('format = "gpuproxi"', "logging.format must be one of gpuproxy, .*, console, not 'gpuproxi'"),
        ('level = "loud"', "level must be one of debug, .*, not 'loud'"),
        ('to = ["syslog://logs"]', "logging.to: an address is HOST:PORT, such as .*, not 'logs'"),
        ('to = ["fax://x"]', "logging.to: no kind of sink: 'fax'"),
        ('to = ["/no/such/x.log"]', "logging.to: .* there is no directory /no/such; make it"),
        (
            'syslog_enabled = true\nsyslog_address = "logs"',
            "logging.syslog_address: an address is HOST:PORT, such as .*, not 'logs'",
        ),
        (
            'syslog_enabled = true\nsyslog_format = "cef"',
            "logging.syslog_format must be one of json_lines, rfc5424, not 'cef'",
        ),
        (
            'syslog_enabled = true\nsyslog_network = "udp"',
            "logging.syslog_network must be tcp or tls, not 'udp'",
        ),
    ],
)
def test_a_bad_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, complaint: str
) -> None:
    (tmp_path / "config.toml").write_text(f"[logging]\n{table}\n")
    monkeypatch.setenv("FERROMETER_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(ValueError, match=complaint):
        ferrometer.instrument(Starlette(), ferrometer.Logs())
