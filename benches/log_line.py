"""One log line of six fields in a request's context: ours, through ``logging``, and the peers, in one run.

``python -m benches.log_line``; structlog with orjson, and python-json-logger, where they are installed.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ferrometer import get_logger, logs

ROUNDS, CALLS = 40, 500
FIELDS = {"model": "llama", "tokens": 17, "cost": 0.25, "cached": True, "path": "/v1/chat", "tenant": "acme"}


def ours() -> Callable[[], object]:
    log = get_logger("bench")
    return lambda: log.info(
        "served", model="llama", tokens=17, cost=0.25, cached=True, path="/v1/chat", tenant="acme"
    )


def disabled() -> Callable[[], object]:
    log = get_logger("bench")
    return lambda: log.debug(
        "served", model="llama", tokens=17, cost=0.25, cached=True, path="/v1/chat", tenant="acme"
    )


def floor() -> Callable[[], object]:
    """Making the dict of the same names and values, and nothing else."""
    return lambda: {**FIELDS, "event": "served"}


def through_logging() -> Callable[[], object]:
    logger = logging.getLogger("bench.ours")
    logger.handlers, logger.propagate = [logs.Handler()], False
    logger.setLevel(logging.INFO)
    return lambda: logger.info("served", extra=FIELDS)


def with_json_logger() -> Callable[[], object]:
    from pythonjsonlogger.json import JsonFormatter

    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("bench.peer")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    return lambda: logger.info("served", extra=FIELDS)


def with_structlog() -> Callable[[], object]:
    import orjson
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(open(os.devnull, "wb")),  # noqa: SIM115
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(request_id="550e8400-e29b-41d4-a716-446655440000")
    log = structlog.get_logger()
    return lambda: log.info(
        "served", model="llama", tokens=17, cost=0.25, cached=True, path="/v1/chat", tenant="acme"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        logs.setup("bench", to=Path(folder) / "log", level="info", stdlib=False, format="gpuproxy")
        logs.bind_context(request_id="550e8400-e29b-41d4-a716-446655440000")
        made: dict[str, Callable[[], object]] = {}
        for make in (floor, disabled, ours, through_logging, with_structlog, with_json_logger):
            try:
                made[make.__name__] = make()
            except ImportError as error:
                print(f"{make.__name__}: {error}")
        best = dict.fromkeys(made, float("inf"))
        for _ in range(ROUNDS):
            for name, call in made.items():
                begun = time.thread_time_ns()
                for _ in range(CALLS):
                    call()
                best[name] = min(best[name], (time.thread_time_ns() - begun) / CALLS)
            logs.flush(10)
        for name, nanoseconds in best.items():
            print(f"{name:<18} {nanoseconds:8.0f} ns   x {nanoseconds / best['ours']:.2f}")


if __name__ == "__main__":
    main()
