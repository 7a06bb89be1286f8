"""Shipping logs: processor time of the shipper and of `logging` for as many lines, both to a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benches.row import FLOOR, OURS, Aim, Row
from ferrometer.bench.rounds import Effort, Samples

LINES = 20_000
#: A usual line: 372 bytes.
LINE = json.dumps(
    {"timestamp": "2026-11-28T08:37:02.123456Z", "level": "INFO", "message": "served", "x": "y" * 280}
)

# Prints nanoseconds of one thread's processor time for a line. A queue takes all lines before the file can be
# opened, so that what is measured is the shipper alone.
PROGRAM = """
import os, sys, threading, time
from ferrometer import _core
from ferrometer.logs import ship, sinks
line, count, path = sys.argv[1].encode(), int(sys.argv[2]), sys.argv[3]

def busy():
    for task in os.listdir("/proc/self/task"):
        try:
            name = open(f"/proc/self/task/{task}/comm").read().strip()
            if name == "ferrometer-file":
                return int(open(f"/proc/self/task/{task}/schedstat").read().split()[0])
        except OSError:
            pass
    return 0

ship.start([sinks.File(path, name="file")], service="bench", queue_bytes=64 << 20)
while not busy():
    time.sleep(0.001)
before = busy()
for _ in range(count):
    _core.append_log_line(1, line)
assert ship.flush(60)
print((busy() - before) / count)
"""


def _ours(folder: Path) -> float:
    path = folder / "ours"
    command = [sys.executable, "-c", PROGRAM, LINE, str(LINES), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert len(path.read_bytes().splitlines()) == LINES
    path.unlink()
    return float(done.stdout) / 1e9


# The floor: one write for as many bytes as a batch of the shipper has. The peer: a handler that writes what
# is formatted already, which is the least that a listener of QueueHandler does.
PEERS = """
import logging, os, sys, time
line, count, path, which = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if which == "floor":
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    batch = (line + "\\n").encode() * 700
    begun = time.thread_time_ns()
    for _ in range(count // 700): os.write(file, batch)
else:
    handler = logging.FileHandler(path)
    records = [logging.LogRecord("bench", 20, "", 0, line, None, None) for _ in range(count)]
    begun = time.thread_time_ns()
    for record in records: handler.handle(record)
print((time.thread_time_ns() - begun) / (count // 700 * 700 if which == "floor" else count))
"""


def _peer(folder: Path, which: str) -> float:
    path = folder / which
    command = [sys.executable, "-c", PEERS, LINE, str(LINES), str(path), which]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    path.unlink()
    return float(done.stdout) / 1e9


def _measure(effort: Effort) -> Samples:
    samples: Samples = {OURS: [], FLOOR: [], "logging": []}
    # On a disk the file system would be measured.
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        for _ in range(3 if effort.quick else 9):
            samples[FLOOR].append(_peer(Path(name), "floor"))
            samples[OURS].append(_ours(Path(name)))
            samples["logging"].append(_peer(Path(name), "logging"))
    return samples


ROWS = [
    Row(
        key="ship.file",
        title="a log line to a file: processor time of who writes it",
        unit="ns",
        measure=_measure,
        aims=(Aim(OURS, at_most=5000), Aim("logging", over=OURS, at_least=4.0)),
        note="ours holds no GIL; 5 µs a line are 200 000 lines a second on one core",
    )
]
