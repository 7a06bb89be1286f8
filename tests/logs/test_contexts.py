"""What surrounds an event is in its line: requests, jobs, traces, in threads and executors too."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import ferrometer
from ferrometer import get_logger, get_structured_logger, logs, propagate
from ferrometer.logs import JobLoggingContext, RequestLoggingContext, handler, set_trace_context
from tests.logs.written import Lines, Written

log = get_logger("contexts")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def fields(line: dict[str, Any]) -> dict[str, Any]:
    standing = ("timestamp", "level", "service", "logger", "message")
    return {key: value for key, value in line.items() if key not in standing}


def test_requests_and_jobs(lines: Lines) -> None:
    with RequestLoggingContext("req-1", "user-1"):
        log.info("a")
        with JobLoggingContext("job-1", "user-2", "boltz2"):
            log.info("b", job_type="mine")
        log.info("c", request_id="other")
    log.info("d")
    assert [fields(line) for line in lines()] == [
        {"request_id": "req-1", "user_id": "user-1"},
        {"request_id": "req-1", "job_id": "job-1", "user_id": "user-2", "job_type": "mine"},
        {"user_id": "user-1", "request_id": "other"},
        {},
    ]


def test_tasks_do_not_see_each_other(lines: Lines) -> None:
    async def one(name: str) -> None:
        async with RequestLoggingContext(name), JobLoggingContext(f"job of {name}"):
            await asyncio.sleep(0)
            log.info(name)

    async def both() -> None:
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(both())
    found = lines()
    assert sorted(line["message"] for line in found) == ["a", "b"]
    for line in found:
        assert line["request_id"] == line["message"]
        assert line["job_id"] == f"job of {line['message']}"


def test_threads_and_executors(lines: Lines) -> None:
    with RequestLoggingContext("req-1"), ThreadPoolExecutor(2) as pool:
        work = propagate(lambda: log.info("with"))
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()
        pool.submit(lambda: log.info("without")).result()
    found = [(line["message"], line.get("request_id")) for line in lines()]
    assert found == [("with", "req-1")] * 4 + [("without", None)]


def test_a_trace_and_bound_fields(lines: Lines) -> None:
    set_trace_context(TRACE, SPAN)
    bound = log.bind(tenant="t", api_key="abcdef")
    bound.info("a", tenant="u")
    set_trace_context()
    bound.bind(tenant=None).info("b")
    first, second = map(fields, lines())
    assert first == {"trace_id": TRACE, "span_id": SPAN, "tenant": "u", "api_key": second["api_key"]}
    assert second["api_key"].startswith("sha256:")
    assert set(second) == {"api_key"}


def test_a_bound_logger_follows_a_new_format(written: Written) -> None:
    bound = log.bind(user_id="u")
    bound.info("a")
    logs.setup("svc", format="ecs", to=_file(), stdlib=False)
    bound.info("b")
    assert [line.get("user_id") or line.get("user.id") for line in written.lines()] == ["u", "u"]


def _file() -> Any:
    from tests.logs.written import FILE

    return FILE


def test_loggers_of_ai_platforms(lines: Lines) -> None:
    logger = get_structured_logger("gateway")
    logger.log_request("POST", "/v1/chat", 200, 125.5, user_id="user123", request_id="req456")
    logger.log_request("POST", "/v1/chat", 502, 1.0)
    logger.log_inference("llama-3.3-8b", 250.5, batch_size=4)
    logger.log_mcp_operation("github", "search", 50.0, status="success")
    logger.log_drift("llama-3.3-8b", 0.18, 0.15)
    found = lines()
    assert [line["level"] for line in found] == ["INFO", "ERROR", "INFO", "INFO", "WARN"]
    assert fields(found[0]) == {
        "method": "POST",
        "endpoint": "/v1/chat",
        "status_code": 200,
        "duration_ms": 125.5,
        "user_id": "user123",
        "request_id": "req456",
    }
    assert fields(found[2]) == {"model": "llama-3.3-8b", "batch_size": 4, "latency_ms": 250.5}
    assert fields(found[3])["mcp_server"] == "github"
    assert fields(found[4]) == {"model": "llama-3.3-8b", "drift_score": 0.18, "threshold": 0.15}


def test_levels(lines: Lines) -> None:
    assert logs.get_level() == "debug"
    log.debug("a")
    logs.set_level("WARNING")
    log.info("b")
    log.warning("c")
    logs.set_level("off")
    log.critical("d")
    logs.set_level(logging.DEBUG)
    log.debug("e")
    assert [line["message"] for line in lines()] == ["a", "c", "e"]


def test_sampling(written: Written) -> None:
    written = Written(sampling={"info": (3, 10)})
    for _ in range(200):
        log.info("often")
        log.error("always")
    found = written.lines()
    often = [line for line in found if line["message"] == "often"]
    assert sum(line["message"] == "always" for line in found) == 200
    assert 3 < len(often) <= 3 * 3 + 20
    left_out = sum(line.get("sampled_out", 0) for line in often)
    assert 200 - len(often) - 9 <= left_out <= 200 - len(often)


def test_standard_logging(written: Written) -> None:
    written = Written(stdlib=True)
    logger = logging.getLogger("standard")
    logger.warning("slow %s", "x", extra={"tenant": "t", "password": "hunter2"})
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("failed")
    with RequestLoggingContext("req-1"):
        logger.error("a number: %d", 5)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", UserWarning, stacklevel=1)
    logging.getLogger("uvicorn.error").info("Started")
    found = written.lines()
    assert [line["logger"] for line in found] == ["standard"] * 3 + ["py.warnings", "uvicorn.error"]
    assert fields(found[0]) == {"tenant": "t", "password": "[redacted]"}
    assert found[0]["message"] == "slow x"
    assert found[1]["error"] == "ValueError: bad"
    assert found[1]["stack_trace"].startswith("Traceback")
    assert found[2]["request_id"] == "req-1"
    assert found[2]["message"] == "a number: 5"


def test_servers_loggers_are_taken_over_once(written: Written) -> None:
    import uvicorn

    written = Written(stdlib=True, access=True)
    uvicorn.Config(lambda: None, log_config=uvicorn.config.LOGGING_CONFIG)
    logs.setup(to=_file(), format="gpuproxy", stdlib=True, access=True)
    logging.getLogger("uvicorn.error").info("once")
    logging.getLogger("uvicorn.access").info("never")
    assert [line["message"] for line in written.lines()] == ["once"]


def test_filters_of_a_handler(written: Written) -> None:
    class Tenant(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.tenant = "t"
            return record.getMessage() != "hidden"

    ours = logs.Handler()
    ours.addFilter(Tenant())
    logger = logging.getLogger("filtered")
    logger.handlers, logger.propagate = [ours], False
    try:
        logger.error("hidden")
        logger.error("shown")
    finally:
        logger.handlers, logger.propagate = [], True
    assert [(line["message"], line["tenant"]) for line in written.lines()] == [("shown", "t")]


def test_sampling_by_the_configuration(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("[logging]\nsample_first = 3\nsample_then = 1000\naccess = false\n")
    monkeypatch.setenv("FERROMETER_CONFIG", str(tmp_path / "config.toml"))
    app = Starlette()
    feature = ferrometer.Logs(service="svc", to=_file(), format="gpuproxy", level="debug", stdlib=False)
    ferrometer.instrument(app, feature, registry=ferrometer.CollectorRegistry(), default_collectors=False)
    with TestClient(app):
        for _ in range(100):
            log.debug("details")
            log.warning("often")
            log.error("always")
    found = [line["message"] for line in written.lines()]
    # The first three of a second; the loop may see several.
    assert 3 <= found.count("often") < 100
    assert 3 <= found.count("details") < 100
    assert found.count("always") == 100
    Written(access=False)


def test_a_handler_by_dict_config(written: Written) -> None:
    import logging.config

    handlers = {"ours": {"class": "ferrometer.logs.Handler", "level": "WARNING"}}
    loggers = {"configured": {"handlers": ["ours"], "level": "DEBUG", "propagate": False}}
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "handlers": handlers, "loggers": loggers}
    )
    logging.getLogger("configured").info("below")
    logging.getLogger("configured").error("above")
    assert [line["message"] for line in written.lines()] == ["above"]


def test_structlog(written: Written) -> None:
    structlog = pytest.importorskip("structlog", reason='pip install "ferrometer[logs]"')
    from ferrometer.logs import structlog as ours

    try:
        ours.configure()
        structlog.get_logger("named").bind(tenant="t").info("a", password="hunter2")
        structlog.configure(processors=[structlog.processors.add_log_level, ours.processor])
        structlog.get_logger().warning("b", tenant="u")
    finally:
        structlog.reset_defaults()
    first, second = written.lines()
    assert (first["message"], first["logger"], fields(first)) == (
        "a",
        "named",
        {"tenant": "t", "password": "[redacted]"},
    )
    assert (second["message"], second["level"], fields(second)) == ("b", "WARN", {"tenant": "u"})


def application(**middleware: Any) -> Any:
    async def work(request: Request) -> Response:
        request.state.user_id = "user-7"
        log.info("inside")
        await run_in_threadpool(log.info, "pool")
        await asyncio.get_running_loop().run_in_executor(None, propagate(lambda: log.info("executor")))
        return JSONResponse({}, background=BackgroundTask(log.info, "background"))

    async def fail(request: Request) -> Response:
        raise ValueError("bad")

    class Base(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Callable[[Request], Any]) -> Any:
            log.info("base")
            return await call_next(request)

    app = Starlette(routes=[Route("/items/{item}", work), Route("/fail", fail)])
    app.add_middleware(Base)
    return ferrometer.MetricsMiddleware(app, registry=ferrometer.CollectorRegistry(), request_id=True)


def test_a_request_and_its_line(written: Written) -> None:
    written = Written(access=True)
    try:
        client = TestClient(application(), raise_server_exceptions=False)
        trace = {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-request-id": "req-9"}
        assert client.get("/items/5?token=abc", headers=trace).status_code == 200
        assert client.get("/fail").status_code == 500
    finally:
        Written(access=False)
    found = written.lines()
    request = [line for line in found if line.get("request_id") == "req-9"]
    assert {line["message"] for line in request} == {
        "base",
        "inside",
        "pool",
        "executor",
        "background",
        "Request completed",
    }
    assert {line["trace_id"] for line in request} == {TRACE}
    assert {line["span_id"] for line in request} == {SPAN}
    (access,) = [line for line in request if line["message"] == "Request completed"]
    assert access.pop("duration_ms") > 0
    assert fields(access) == {
        "request_id": "req-9",
        "trace_id": TRACE,
        "span_id": SPAN,
        "method": "GET",
        "path": "/items/5",
        "endpoint": "/items/{item}",
        "status_code": 200,
        "response_bytes": 2,
        "user_id": "user-7",
    }
    (failed,) = [line for line in found if line.get("status_code") == 500]
    assert failed["level"] == "ERROR"
    assert failed["request_id"]
    assert "trace_id" not in failed


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-0x",
        f"01-{TRACE}-{SPAN}-01more",
    ],
)
def test_a_traceparent_that_is_none(written: Written, header: str) -> None:
    written = Written()
    TestClient(application()).get("/items/5", headers={"traceparent": header})
    assert all("trace_id" not in line for line in written.lines())


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_google_is_told_whether_a_trace_is_sampled(written: Written, flags: str, sampled: bool) -> None:
    written = Written(format="gcp", access=True)
    TestClient(application()).get("/items/5", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    lines = written.lines()
    key = "logging.googleapis.com/trace"
    assert [line[f"{key}_sampled"] for line in lines if line.get(key) == TRACE] == [sampled] * len(lines)
    with logs.LoggingContext(trace_id=TRACE, span_id=SPAN, trace_sampled=True):
        logs.set_trace_context("f" * 32, SPAN)
        get_logger().info("another trace")
    assert f"{key}_sampled" not in written.lines()[-1]
    logs.clear_context()
    written = Written()
    TestClient(application()).get("/items/5", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    assert all("trace_sampled" not in line for line in written.lines())


def test_what_a_client_sends_makes_neither_lines_nor_keys(written: Written) -> None:
    written = Written(access=True)
    forged = '","level":"FATAL","message":"forged","x":"'
    client = TestClient(application())
    client.get("/items/5%0A%7B%22message%22%3A%22forged%22%7D", headers={"x-request-id": forged})
    client.get(
        '/items/"%2C"level"%3A"FATAL',
        headers={b"user-agent": forged.encode(), b"x-request-id": "\u2028\x85".encode()},
    )
    Written(access=False)
    found = written.lines()
    assert len(found) == 2 * 6
    assert {line["level"] for line in found} == {"INFO"}
    assert {line["message"] for line in found} == {
        *("base", "inside", "pool", "executor", "background", "Request completed")
    }
    assert {line["path"] for line in found if "path" in line} == {
        '/items/5\n{"message":"forged"}',
        '/items/","level":"FATAL',
    }


def test_no_line_where_none_is_wanted(written: Written) -> None:
    TestClient(application()).get("/items/5")
    assert "Request completed" not in {line["message"] for line in written.lines()}


def test_an_instrumented_application(written: Written) -> None:
    app = Starlette(routes=[Route("/", lambda request: JSONResponse({}))])
    registry = ferrometer.CollectorRegistry()
    feature = ferrometer.Logs(service="svc", to=_file(), format="gpuproxy")
    ferrometer.instrument(app, feature, registry=registry, default_collectors=False)
    with TestClient(app) as client:
        client.get("/")
        logging.getLogger("of the app").warning("told")
    found = written.lines()
    assert [line["logger"] for line in found if line["message"] == "told"] == ["of the app"]
    assert [line["path"] for line in found if line["message"] == "Request completed"] == ["/"]
    Written(access=False)
    handler.give_back()
