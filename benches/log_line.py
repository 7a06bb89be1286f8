"""One log line of six fields in a request's context, beside the floor and the peers."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from benches.middleware import _by_hand
from benches.row import FLOOR, OURS, Aim, Row
from ferrometer import _core, get_logger, logs
from ferrometer.bench import wrapped
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave
from ferrometer.logs import handler

STRUCTLOG, JSON_LOGGER = "structlog + orjson", "python-json-logger"
#: What a line costs where others see the record, too, and `logging` has to make it.
RECORD = "ours from a record"
FIELDS: dict[str, Any] = {
    "model": "llama",
    "tokens": 17,
    "cost": 0.25,
    "cached": True,
    "path": "/v1/chat",
    "tenant": "acme",
}
REQUEST_ID = "550e8400-e29b-41d4-a716-446655440000"
CALL = "model='llama', tokens=17, cost=0.25, cached=True, path='/v1/chat', tenant='acme'"


def _timed(statement: str, **names: Any) -> Callable[[int], float]:
    """Runs a statement so often in a loop of its own; the seconds that it took."""
    source = (
        f"def timed(count):\n began = clock()\n for _ in range(count): {statement}\n return clock() - began"
    )
    space: dict[str, Any] = {"clock": perf_counter, **names}
    exec(source, space)  # as timeit does it: no call around the statement
    timed: Callable[[int], float] = space["timed"]
    return timed


@contextmanager
def _set_up(effort: Effort, **options: Any) -> Iterator[Path]:
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        path = Path(folder) / "log"
        # As many lines as a round logs: what is measured is the line, and not a full queue.
        logs.setup(
            "bench", to=path, level="info", stdlib=False, format="gpuproxy", queue_bytes=256 << 20, **options
        )
        logs.bind_context(request_id=REQUEST_ID)
        try:
            yield path
        finally:
            logs.clear_context()
            logs.shutdown()


def _flushed(timed: Callable[[int], float]) -> Callable[[int], float]:
    """The queue is empty before each round, and the shipper at rest."""

    def sample(count: int) -> float:
        assert logs.flush(60)
        return timed(count)

    return sample


def _taken_over(timed: Callable[[int], float]) -> Callable[[int], float]:
    """`logging` is taken over during each round, as `setup` does it, and as it was for the peers."""

    def sample(count: int) -> float:
        assert logs.flush(60)
        handler.take_over(logging.INFO, access=False)
        try:
            return timed(count)
        finally:
            handler.give_back()

    return sample


def _logging_logger(name: str, only: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.handlers, logger.propagate = [only], False
    logger.setLevel(logging.INFO)
    return logger


def _peers() -> list[Subject]:
    """Those that are installed, to where it costs nothing."""
    made = []
    try:
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
        structlog.contextvars.bind_contextvars(request_id=REQUEST_ID)
        log = structlog.get_logger()
        made.append(Subject(STRUCTLOG, _timed(f"log.info('served', {CALL})", log=log)))
    except ImportError:
        pass
    try:
        from pythonjsonlogger.json import JsonFormatter

        stream = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
        stream.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger = _logging_logger("bench.peer", stream)
        made.append(
            Subject(JSON_LOGGER, _timed("log.info('served', extra=fields)", log=logger, fields=FIELDS))
        )
    except ImportError:
        pass
    return made


def _checked(path: Path) -> Callable[[int], None]:
    def check(done: int) -> None:
        assert logs.flush(60)
        with path.open() as lines:
            assert sum('"message":"served"' in line for line in lines) >= done

    return check


def _line(effort: Effort) -> Samples:
    with _set_up(effort) as path:

        def make() -> list[Subject]:
            ours = _flushed(_timed(f"log.info('served', {CALL})", log=get_logger("bench")))
            floor = _timed(f"dict(event='served', {CALL})")
            return [Subject(FLOOR, floor), Subject(OURS, ours, _checked(path)), *_peers()]

        return interleave(make, rounds=effort.rounds(40), seconds=effort.seconds(0.004), title="log line")


def _through_logging(effort: Effort) -> Samples:
    with _set_up(effort) as path:

        def make() -> list[Subject]:
            # An application's logger: it has no handlers, and ours hangs on the root.
            ours = logging.getLogger("bench.ours")
            recorded = _logging_logger("bench.recorded", logs.Handler())
            nothing = _logging_logger("bench.nothing", logging.NullHandler())
            statement = "log.info('served', extra=fields)"
            return [
                Subject(FLOOR, _timed(statement, log=nothing, fields=FIELDS)),
                Subject(OURS, _taken_over(_timed(statement, log=ours, fields=FIELDS)), _checked(path)),
                Subject(RECORD, _flushed(_timed(statement, log=recorded, fields=FIELDS))),
                *(peer for peer in _peers() if peer.name == JSON_LOGGER),
            ]

        return interleave(
            make, rounds=effort.rounds(40), seconds=effort.seconds(0.01), title="through logging"
        )


def _disabled(effort: Effort) -> Samples:
    with _set_up(effort):

        def make() -> list[Subject]:
            stdlib = _logging_logger("bench.off", logging.NullHandler())
            return [
                Subject("empty loop", _timed("pass")),
                Subject(OURS, _timed(f"log.debug('served', {CALL})", log=get_logger("bench"))),
                Subject("logging", _timed("log.debug('served', extra=fields)", log=stdlib, fields=FIELDS)),
            ]

        return interleave(
            make, rounds=effort.rounds(60), seconds=effort.seconds(0.004), title="disabled level"
        )


def _access(effort: Effort) -> Samples:
    import ferrometer

    with _set_up(effort):
        _core.set_log_level(1)

        def requests(app: Any, wanted: bool) -> Callable[[int], float]:
            def sample(count: int) -> float:
                assert logs.flush(60)
                _core.log_requests(wanted)
                seconds = _by_hand(app, count)
                _core.log_requests(False)
                return seconds

            return sample

        def make() -> list[Subject]:
            apps = [
                ferrometer.MetricsMiddleware(wrapped.starlette(), registry=ferrometer.CollectorRegistry())
                for _ in range(2)
            ]
            return [
                Subject("metrics alone", requests(apps[0], False)),
                Subject(OURS, requests(apps[1], True)),
            ]

        return interleave(
            make, rounds=effort.rounds(40), seconds=effort.seconds(0.01), title="line of a request"
        )


# A process that logs 50 000 lines a second into a shared directory, until it is killed.
WRITER = """
import sys, time
from ferrometer import _core
from ferrometer.logs import ship
_core.share(sys.argv[1])
ship.start([], service="bench", queue_bytes=16 << 20)
print("ready", flush=True)
line, begun, sent = sys.argv[2].encode(), time.monotonic(), 0
while True:
    due = int((time.monotonic() - begun) * 50_000)
    if due - sent > 50_000:  # it was stopped
        sent = due
    while sent < due:
        _core.append_log_line(1, line)
        sent += 1
    time.sleep(0.001)
"""

# Answers requests in the process that ships those lines to a file; prints the 99th percentile of each round,
# first with the writer stopped, then with it.
SERVER = """
import json, os, signal, subprocess, sys, time
from benches.log_line import WRITER, p99
from ferrometer import _core
from ferrometer.logs import ship, sinks
import ferrometer
from ferrometer.bench import wrapped
folder, line, rounds, requests = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
_core.share(folder)
ship.start([sinks.File(os.path.join(folder, "log"), name="file")], service="bench")
while not ship.counts()["leads"]: time.sleep(0.01)
writer = subprocess.Popen([sys.executable, "-c", WRITER, folder, line], stdout=subprocess.PIPE)
assert writer.stdout.readline() == b"ready\\n"
app = ferrometer.MetricsMiddleware(wrapped.starlette(), registry=ferrometer.CollectorRegistry())
found = []
try:
    p99(app, requests)
    for _ in range(rounds):
        writer.send_signal(signal.SIGSTOP); time.sleep(0.1)
        alone = p99(app, requests)
        writer.send_signal(signal.SIGCONT); time.sleep(0.1)
        before = ship.counts()["sinks"]["file"]["shipped"]
        begun = time.monotonic()
        beside = p99(app, requests)
        rate = (ship.counts()["sinks"]["file"]["shipped"] - before) / (time.monotonic() - begun)
        found.append([alone, beside, rate])
finally:
    writer.kill()
print(json.dumps(found), flush=True)
"""


def p99(app: Any, requests: int) -> float:
    """The 99th percentile of so many requests, one after the other, in seconds."""
    times = sorted(_by_hand(app, 1) for _ in range(requests))
    return times[len(times) * 99 // 100]


def _beside_shipping(effort: Effort) -> Samples:
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        shared = Path(folder) / "shared"
        shared.mkdir(mode=0o700)
        rounds, requests = (2, 500) if effort.quick else (15, 10_000)
        line = json.dumps({"level": "INFO", "message": "served", "x": "y" * 200})
        command = [sys.executable, "-c", SERVER, str(shared), line, str(rounds), str(requests)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert any(rate > 0 for _, _, rate in found), found
    return {"alone": [row[0] for row in found], OURS: [row[1] for row in found]}


ROWS = [
    Row(
        key="log.line",
        title="a log line: 6 fields and a request's context, redacted, queued",
        unit="ns",
        measure=_line,
        aims=(
            Aim(OURS, at_most=1000),
            Aim(STRUCTLOG, over=OURS, at_least=6),
            Aim(JSON_LOGGER, over=OURS, at_least=15),
        ),
        note="the floor makes a dict of the same keywords; the peers write to /dev/null and redact nothing",
    ),
    Row(
        key="log.logging",
        title="the same through logging",
        unit="ns",
        measure=_through_logging,
        aims=(Aim(OURS, at_most=3500), Aim(JSON_LOGGER, over=OURS, at_least=4)),
        note="logging is taken over, as setup does it; the floor is logging itself, with a NullHandler",
    ),
    Row(
        key="log.disabled",
        title="a line below the level, six keywords",
        unit="ns",
        measure=_disabled,
        aims=(Aim(OURS, at_most=25),),
        baseline="empty loop",
    ),
    Row(
        key="log.access",
        title="the line of a request, beside metrics alone",
        unit="ns",
        measure=_access,
        aims=(Aim(OURS, at_most=800),),
        baseline="metrics alone",
    ),
    Row(
        key="log.p99",
        title="p99 of a request beside shipping 50 000 lines a second",
        unit="ns",
        measure=_beside_shipping,
        aims=(Aim(OURS, over="alone", at_most=1.1),),
        note="the lines come from another process; it and the shipper need a second processor",
    ),
]
