"""What an instrumented server does while nobody asks it for anything: wake-ups and processor time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benches.row import FLOOR, OURS, Aim, Row
from ferrometer.bench.rounds import Effort, Samples, progress

SERVER = """
import sys
import uvicorn
from starlette.applications import Starlette
app = Starlette()
if sys.argv[1] == "ferrometer":
    import ferrometer
    ferrometer.instrument(app)
uvicorn.run(app, port=0, log_level="critical")
"""


@contextmanager
def _server(kind: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, kind], stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def wake_ups(pid: int) -> int:
    """Times that any thread of the process has waited and was woken."""
    count = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for line in (thread / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


def processor_time(pid: int) -> float:
    """Seconds of all threads, by the scheduler's own count."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _measure(read: str, effort: Effort) -> Samples:
    count = {"wake-ups": wake_ups, "time": processor_time}[read]
    samples: Samples = {FLOOR: [], OURS: []}
    seconds = 1.0 if effort.quick else 20.0
    if not os.path.exists("/proc/self/schedstat"):
        return {}
    with ExitStack() as stack:
        pids = {FLOOR: stack.enter_context(_server("bare")), OURS: stack.enter_context(_server("ferrometer"))}
        time.sleep(seconds / 2)  # what is done once, at the start
        for number in range(effort.rounds(5, 1)):
            progress("an idle server", number + 1, effort.rounds(5, 1))
            before = {name: count(pid) for name, pid in pids.items()}
            time.sleep(seconds)
            for name, pid in pids.items():
                more = (count(pid) - before[name]) / seconds
                assert name != FLOOR or read != "wake-ups" or more > 1, "the bare server does not even tick"
                samples[name].append(more if read == "wake-ups" else more * 100)
    return samples


ROWS = (
    Row(
        "idle.wakeups",
        "an idle server: wake-ups a second, more than bare",
        "/s",
        lambda effort: _measure("wake-ups", effort),
        aims=(Aim(OURS, at_most=1.0),),
        baseline=FLOOR,
        note="uvicorn with default collectors; the floor is uvicorn, which wakes ten times a second",
    ),
    Row(
        "idle.time",
        "an idle server: share of a core, more than bare",
        "% lost",
        lambda effort: _measure("time", effort),
        aims=(Aim(OURS, at_most=0.05),),
        baseline=FLOOR,
    ),
)
