"""What one worker reads for all of them: shown once, handed over, and never counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.real.prometheus import free_port
from tests.workers.servers import total, until

WORKER = """
import sys, time
from pathlib import Path
import ferrometer
from ferrometer.collectors import Collector, CollectorScheduler, set_total
from ferrometer.collectors import watch

watch.LEASE_SECONDS = 0.05
folder = Path(sys.argv[1])

class Meter(Collector):
    name = "meter"
    scope = "machine"
    interval = 0.05

    def __init__(self):
        self.read = ferrometer.Counter("meter_read", "What the meter says")
        self.parts = ferrometer.Counter("meter_parts", "What the meter says", ["part"])
        self.level = ferrometer.Gauge("meter_level", "A level", multiprocess_mode="livemostrecent")
        self.levels = ferrometer.Gauge("meter_levels", "Levels", ["part"], multiprocess_mode="livemostrecent")

    def collect(self):
        said = float((folder / "meter").read_text())
        set_total(self.read, said)
        set_total(self.parts.labels("a"), said)
        self.level.set(said)
        self.levels.labels("a").set(said)

class Own(Collector):
    name = "own"
    interval = 0.05

    def __init__(self):
        self.level = ferrometer.Gauge("own_level", "A level", ["part"], multiprocess_mode="livesum")

    def collect(self):
        self.level.labels("a").set(1)
        self.level.labels("b").set(1)
        self.level.remove("b")  # of this worker alone

ferrometer.share(folder / "shared")
with CollectorScheduler([Meter(), Own()]):
    ferrometer.start_http_server(int(sys.argv[2]), addr="127.0.0.1")
    sys.stdin.readline()
"""


class Worker:
    """A process with the two collectors."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-c", WORKER, str(folder), str(self.port)]
        self.log = folder / f"{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)

    def shown(self) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return bytes(answer.read())

    def runs_it(self, folder: Path) -> bool:
        """Whether the lease is this process's, by the kernel's list of locks."""
        inode = (folder / "shared" / "leases" / "meter.lock").stat().st_ino
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return any(line[4] == str(self.process.pid) and line[5].endswith(f":{inode}") for line in locks)


@contextmanager
def workers(folder: Path, many: int) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        running = [Worker(folder) for _ in range(many)]
        for worker in running:
            stack.enter_context(worker.process)
            stack.callback(worker.process.kill)
        for worker in running:
            until(lambda worker=worker: answers(worker), what="an answer")  # type: ignore[misc]
        yield running


def answers(worker: Worker) -> bool:
    assert worker.process.poll() is None, worker.log.read_text()
    try:
        return bool(worker.shown())
    except OSError:
        return False


def all_show(running: list[Worker], said: float, own: float) -> bool:
    for worker in running:
        text = worker.shown()
        for name in ("meter_read_total", "meter_parts_total"):
            assert total(text, name) <= said, f"{name} counts something twice"
        names = ("meter_read_total", "meter_parts_total", "meter_level", "meter_levels")
        if [total(text, name) for name in names] != [said] * 4:
            return False
        if total(text, "own_level", 'part="a"') != own:
            return False
        if total(text, "ferrometer_collector_success", 'collector="meter"') != 1:
            return False
    return True


def say(folder: Path, said: float) -> None:
    (folder / "meter.new").write_text(str(said))
    os.replace(folder / "meter.new", folder / "meter")


def test_one_reads_all_show_and_the_next_one_goes_on(tmp_path: Path) -> None:
    say(tmp_path, 100)
    with workers(tmp_path, 3) as running:
        until(lambda: all_show(running, 100, 3), what="the first reading")
        say(tmp_path, 130)
        until(lambda: all_show(running, 130, 3), what="the second reading")
        for n in (2, 1):
            holder = next(worker for worker in running if worker.runs_it(tmp_path))
            holder.process.send_signal(signal.SIGKILL)
            holder.process.wait(10)
            running.remove(holder)
            say(tmp_path, 150 - n)
            until(lambda n=n: all_show(running, 150 - n, n), what="the next worker's reading")  # type: ignore[misc]


def test_a_worker_that_comes_or_stands_by_takes_nothing_away(tmp_path: Path) -> None:
    say(tmp_path, 100)
    with workers(tmp_path, 1) as first:
        until(lambda: all_show(first, 100, 1))
        for _ in range(3):
            with workers(tmp_path, 2) as more:
                for _ in range(20):
                    text = first[0].shown()
                    assert total(text, "meter_level") == 100
                    assert total(text, "meter_levels") == 100
                    assert total(text, "meter_read_total") == 100
                until(lambda: all_show([*first, *more], 100, 3))
                for worker in more:
                    worker.process.communicate(b"\n", timeout=10)
            for _ in range(20):
                assert total(first[0].shown(), "meter_level") == 100
            until(lambda: all_show(first, 100, 1))


def test_a_meter_that_begins_anew_goes_on_from_where_it_was(tmp_path: Path) -> None:
    """A counter of several workers cannot fall: what comes is added to what there was."""
    say(tmp_path, 100)
    with workers(tmp_path, 2) as running:
        until(lambda: all_show(running, 100, 2))
        say(tmp_path, 7)
        until(lambda: {total(worker.shown(), "meter_read_total") for worker in running} == {107})
        say(tmp_path, 9)
        until(lambda: {total(worker.shown(), "meter_parts_total") for worker in running} == {109})
        holder = next(worker for worker in running if worker.runs_it(tmp_path))
        holder.process.kill()
        holder.process.wait(10)
        running.remove(holder)
        until(lambda: total(running[0].shown(), "meter_level") == 9)
        say(tmp_path, 12)
        until(lambda: total(running[0].shown(), "meter_read_total") == 112)
