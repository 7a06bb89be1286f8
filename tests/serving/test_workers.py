"""Workers that share their metrics share a port: one serves, and when it dies another does."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.real.prometheus import free_port
from tests.serving.client import ask
from tests.serving.program import Program, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sharing is Linux's")

PROGRAM = """
import sys
import ferrometer
from ferrometer import _core

_core.share("{directory}")
ferrometer.Gauge("worker", "Which worker", multiprocess_mode="mostrecent").set({worker})
ferrometer.Counter("started", "Workers").inc()
ferrometer.Counter("by", "By worker", ["worker"]).labels("{worker}").inc({worker})
try:
    server = ferrometer.serve_metrics({port})
except OSError as error:
    print(error.errno, flush=True)
    sys.exit()
print(int(server.running), flush=True)
for line in sys.stdin:
    print(int(server.running), flush=True)
    if line == "stop\\n":
        server.stop()
"""


def is_running(program: Program) -> bool:
    program.tell()
    return bool(program.number())


def wait_for(program: Program) -> None:
    deadline = time.monotonic() + 10
    while not is_running(program):
        assert time.monotonic() < deadline, "no worker took over"
        time.sleep(0.05)


def test_one_serves_and_the_next_takes_over(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    port = free_port()
    source = PROGRAM.replace("{directory}", str(tmp_path)).replace("{port}", str(port))
    with (
        running(source.replace("{worker}", "1")) as first,
        running(source.replace("{worker}", "2")) as second,
    ):
        serving, waiting = sorted((first, second), key=lambda program: -program.number())
        assert is_running(serving)
        assert not is_running(waiting)
        assert ask(port).status == 200
        serving.process.send_signal(signal.SIGKILL)
        wait_for(waiting)
        assert ask(port).status == 200
        # Whom it is given back by stands by no longer; a third may have it at once.
        waiting.tell("stop")
        assert waiting.number() == 1
        assert not is_running(waiting)
        with running(source.replace("{worker}", "3")) as third:
            assert third.number() == 1
            assert ask(port).status == 200


def test_a_stranger_on_the_port_is_an_os_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        source = PROGRAM.replace("{directory}", str(tmp_path)).replace("{worker}", "1")
        with running(source.replace("{port}", str(other.getsockname()[1]))) as program:
            assert program.number() == errno.EADDRINUSE


def test_the_one_that_serves_tells_of_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    port = free_port()
    source = PROGRAM.replace("{directory}", str(tmp_path)).replace("{port}", str(port))
    with (
        running(source.replace("{worker}", "1")) as first,
        running(source.replace("{worker}", "2")) as second,
    ):
        serving = max((first, second), key=lambda program: program.number())
        for _ in range(2):
            told = ask(port).body
            for line in (b"started_total 2.0", b'by_total{worker="1"} 1.0', b'by_total{worker="2"} 2.0'):
                assert line in told.splitlines()
            # The totals of one that died are those of the other, who serves them then.
            if serving.process.poll() is None:
                serving.process.kill()
                wait_for(second if serving is first else first)
