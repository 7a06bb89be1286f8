"""Recording into a file that other processes read, against private memory: the same code in both.

Sharing cannot be taken back, so each is a process of its own; they take turns, and are started anew several
times. `python -m benches.instructions` counts the instructions of both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave

CLIENT = "prometheus_client"
VARIABLES = {OURS: "FERROMETER_DIR", CLIENT: "PROMETHEUS_MULTIPROC_DIR"}


class Recorder:
    """A process that records, into a directory of its own or into private memory."""

    def __init__(
        self, key: str, library: str, *, shared: bool, times: int = 1, history: bool = False
    ) -> None:
        self.times = times
        self.shared = shared
        memory = Path("/dev/shm")
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        directory = Path(self.folder.name, "metrics")
        directory.mkdir(mode=0o700)
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
        if shared:
            environment[VARIABLES[library]] = str(directory)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benches.recorder", key, library, *(["history"] if history else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.step = int(self._answer())

    def sample(self, operations: int) -> float:
        """Seconds of so many operations, or of several times as many."""
        return float(self._ask(str(operations * self.times)))

    def check(self, done: int) -> None:
        """Fails unless it counted what it did; and ends it."""
        assert self._ask("check") == "right"
        files = [file.name for file in Path(self.folder.name, "metrics").iterdir()]
        assert any(name.endswith((".seg", ".db")) for name in files) == self.shared, files
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0
        self.folder.cleanup()

    def _ask(self, what: str) -> str:
        print(what, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "a process that recorded died"
        return line.strip()


def subjects(key: str, *, client: bool) -> list[Subject]:
    """Private memory is the floor. The control does everything twice."""
    made = {
        FLOOR: Recorder(key, OURS, shared=False),
        OURS: Recorder(key, OURS, shared=True),
        CONTROL: Recorder(key, OURS, shared=True, times=2),
    }
    if client and peer(CLIENT):
        made[CLIENT] = Recorder(key, CLIENT, shared=True)
    return [Subject(name, it.sample, it.check, step=it.step) for name, it in made.items()]


def _row(key: str, title: str, *, client: bool = True, batches: bool = False, note: str = "") -> Row:
    def measure(effort: Effort) -> Samples:
        return interleave(
            partial(subjects, key, client=client),
            rounds=effort.rounds(90 if batches else 240),
            # A batch is long enough, and the difference of two of them too rough to tell how many are needed.
            seconds=0.0 if batches else effort.seconds(0.0004),
            title=title,
            builds=effort.rounds(6, 1),
        )

    aims = (Aim(OURS, FLOOR, at_most=1.05),)
    return Row(f"shared_{key}", title, "ns", measure, aims, faster_than_control=OURS, note=note)


ROWS = (
    _row("inc", "inc() into a shared file", note="floor: into private memory; control: twice"),
    _row("labels", "  labels(a, b, c).inc()"),
    _row("observe", "  histogram.observe(x)"),
    _row("middleware", "  middleware", client=False, batches=True),
)
