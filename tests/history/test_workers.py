"""Several processes of one directory: one writes, all answer, a killed writer is followed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ferrometer
from ferrometer.history.source import open_source

WORKER = """
import sys, time
import ferrometer
from ferrometer import _core
ferrometer.share(sys.argv[1])
done = ferrometer.Counter("jobs", "Jobs done")
took = ferrometer.Histogram("took_seconds", "How long")
history = _core.History(sys.argv[1])
history.start(ferrometer.REGISTRY._native)
for turn in range(10**6):
    done.inc()
    took.observe(0.01 + turn % 100 / 1000)
    print(int(history.writes), flush=True)
    time.sleep(0.05)
"""


@contextmanager
def worker(directory: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()  # closes its pipe, too


def writes(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "1\n"


def wait_for(process: subprocess.Popen[str]) -> float:
    """Until it writes; how many seconds that took."""
    began = time.monotonic()
    while not writes(process):
        assert time.monotonic() - began < 60, "nobody writes"
    return time.monotonic() - began


def values(directory: Path, expression: str) -> list[tuple[float, str]]:
    data = open_source(directory).get("query", [("query", expression)])["data"]
    return data["result"][0]["values"] if data["result"] else []


def only(value: object) -> ferrometer.history.Sample:
    """The one sample of an instant vector."""
    assert isinstance(value, list)
    (sample,) = value
    assert isinstance(sample, ferrometer.history.Sample)
    return sample


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "shared"
    made.mkdir(mode=0o700)
    return made


def test_a_killed_writer_is_followed_and_the_dead_are_asked(directory: Path) -> None:
    with worker(directory) as first:
        wait_for(first)
        with worker(directory) as second:
            until = time.monotonic() + 60
            while len(values(directory, "jobs_total[5m]")) < 3 and time.monotonic() < until:
                assert not writes(second)
                writes(first)
            before = values(directory, "jobs_total[5m]")
            assert len(before) >= 3
            first.send_signal(signal.SIGKILL)
            first.wait()
            # Lines that it printed before are still to be read.
            took = wait_for(second)
            assert took < 20, f"followed after {took:.1f} s on a loaded machine; 2 s are meant"
            until = time.monotonic() + 60
            while (
                values(directory, "jobs_total[5m]")[-1][0] <= before[-1][0] + 1 and time.monotonic() < until
            ):
                writes(second)
    after = values(directory, "jobs_total[5m]")
    assert after[: len(before)] == before
    counts = [float(value) for _, value in after]
    assert counts == sorted(counts)
    # Nobody lives any more: a command, and Python, still tell.
    command = [sys.executable, "-m", "ferrometer", "query", str(directory)]
    shown = subprocess.run(
        [*command, "max_over_time(jobs_total[5m])", "--json"], capture_output=True, text=True, check=True
    )
    assert float(json.loads(shown.stdout)["result"][0]["value"][1]) == counts[-1]
    line = subprocess.run(
        [*command, "jobs_total", "--since", "1m", "--step", "1"], capture_output=True, text=True, check=True
    )
    assert "jobs_total" in line.stdout
    assert "▁" in line.stdout
    assert "█" in line.stdout
    wrong = subprocess.run([*command, "jobs_total +"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "parse error" in wrong.stderr
    fine = only(
        ferrometer.query("histogram_quantile(0.5, last_over_time(took_seconds[5m]))", where=directory)
    )
    assert isinstance(fine.value, float)
    assert 0.01 < fine.value < 0.11


def test_a_child_of_a_fork_leaves_the_history_to_its_parent(directory: Path) -> None:
    program = """
import os, sys, time
import ferrometer
from ferrometer import _core
ferrometer.share(sys.argv[1])
ferrometer.Counter("jobs", "Jobs done").inc()
history = _core.History(sys.argv[1])
history.start(ferrometer.REGISTRY._native)
until = time.monotonic() + 60
while not history.writes and time.monotonic() < until:
    time.sleep(0.05)
assert history.writes
child = os.fork()
if child == 0:
    history.after_fork()
    ferrometer.generate_latest()
    assert not history.writes
    status, _, body = history.respond("GET", "query", [("query", "1+1")])
    assert status == 200, body
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
history.stop()
# The lock went with the thread: a child that still lived would not have it either.
again = _core.History(sys.argv[1])
again.start(ferrometer.REGISTRY._native)
while not again.writes and time.monotonic() < until:
    time.sleep(0.05)
assert again.writes
again.stop()
"""
    subprocess.run([sys.executable, "-c", program, str(directory)], check=True, timeout=120)


def test_a_full_disk_loses_the_files_and_not_the_application(directory: Path) -> None:
    """The kernel refuses what grows a file further, as it does where a disk is full."""
    program = """
import resource, sys, time
import ferrometer
from ferrometer import _core
ferrometer.share(sys.argv[1])
jobs = ferrometer.Counter("jobs", "Jobs done", ["queue"])
for queue in range(300):
    jobs.labels(str(queue)).inc()
history = _core.History(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY))
history.start(ferrometer.REGISTRY._native)
until = time.monotonic() + 60
found = b""
while b'"301"' not in found and time.monotonic() < until:
    jobs.labels("0").inc()
    time.sleep(0.05)
    _, _, found = history.respond("GET", "query", [("query", "count(jobs_total) + 1")])
assert b'"301"' in found, found
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
history.stop()
"""
    subprocess.run([sys.executable, "-c", program, str(directory)], check=True, timeout=120)
    sizes = {file.name: file.stat().st_size for file in (directory / "history").iterdir()}
    assert max(sizes.values()) <= 600, sizes


def test_children_that_nobody_told_of_the_fork_scrape_and_end(directory: Path) -> None:
    program = """
import os, sys, time
import ferrometer
from ferrometer import _core
ferrometer.share(sys.argv[1])
ferrometer.Counter("jobs", "Jobs done").inc()
history = _core.History(sys.argv[1])
history.start(ferrometer.REGISTRY._native)
until = time.monotonic() + 60
while not history.writes and time.monotonic() < until:
    time.sleep(0.05)
for _ in range(30):
    child = os.fork()
    if child == 0:
        assert b"jobs_total" in ferrometer.generate_latest()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
assert history.writes
history.stop()
"""
    subprocess.run([sys.executable, "-c", program, str(directory)], check=True, timeout=120)
