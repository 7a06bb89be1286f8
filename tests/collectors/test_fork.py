"""Forks of a process whose collectors run: the child is quiet and whole, and the parent never notices."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from ferrometer import CollectorRegistry
from ferrometer.collectors import CollectorScheduler
from ferrometer.testing import value
from tests.collectors.support import Counting, own_threads, until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def in_child(check: Callable[[], None]) -> None:
    """Forks, runs `check` there, and brings its failure home."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            check()
            code = 0
        except BaseException:
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        words = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path))
    monkeypatch.setenv("FERROMETER_SHARED", "false")
    return tmp_path


@pytest.mark.parametrize("scope", ["process", "machine"])
def test_in_the_child_nothing_runs_until_it_is_asked_to(scope: str) -> None:
    registry = CollectorRegistry()
    collector = Counting(registry, scope=scope)  # type: ignore[arg-type]
    scheduler = CollectorScheduler([collector], registry=registry)
    scheduler.start()
    until(lambda: collector.runs > 3)

    def quiet() -> None:
        assert not scheduler.running
        before = collector.runs
        time.sleep(0.2)
        assert collector.runs == before
        scheduler.stop()  # of nothing

    def restarted() -> None:
        before = collector.runs
        with scheduler:
            if scope == "process":
                until(lambda: collector.runs > before + 3)
                assert value(registry, "counting_things") > before
            else:  # the parent holds the lease
                until(lambda: scheduler.status()["counting"].state == "standby")
                assert collector.runs == before

    for check in (quiet, restarted):
        in_child(check)
        before = collector.runs
        until(lambda before=before: collector.runs > before + 3, what="a run of the parent")  # type: ignore[misc]
    scheduler.stop()
    until(lambda: own_threads() == [], seconds=1)


def test_a_fork_in_the_middle_of_everything() -> None:
    """Whatever the other threads hold at that moment, the child's scheduler starts and stops."""
    registry = CollectorRegistry()
    collectors = [Counting(registry, name=f"c{i}", interval=0.001) for i in range(4)]
    with CollectorScheduler(collectors, registry=registry) as scheduler:

        def restart() -> None:
            before = collectors[0].runs
            with scheduler:
                until(lambda: collectors[0].runs > before, seconds=5)

        for _ in range(10):
            in_child(restart)
        assert scheduler.running
    until(lambda: own_threads() == [], seconds=1)


def test_a_program_that_forks_ends_without_a_word(tmp_path: Path) -> None:
    import subprocess

    program = """
import os, time
from ferrometer.collectors import CollectorScheduler, FunctionCollector
scheduler = CollectorScheduler([FunctionCollector("quick", lambda: None, interval=0.001, scope="machine")])
scheduler.start()
time.sleep(0.1)
pid = os.fork()
if pid == 0:
    raise SystemExit(0)
assert os.waitpid(pid, 0)[1] == 0
time.sleep(0.1)
assert scheduler.status()["quick"].state == "ok"
scheduler.stop()
"""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
