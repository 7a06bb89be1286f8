"""Workers that run programs of the tests, and talk with them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Worker:
    """A process that runs a program of its own, and talks in lines of JSON."""

    def __init__(self, program: str, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> Any:
        """What it says next."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def write(self, word: str = "go") -> None:
        """Tells it to go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kills it, if it lives, and waits for its end."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Waits for its end."""
        status = self.process.wait(120)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return status


@contextmanager
def workers(begin: str, directory: Path, program: str, count: int = 1) -> Iterator[list[Worker]]:
    """Several processes with the same program, which `begin` precedes."""
    whole = begin + textwrap.dedent(program)
    started = [Worker(whole, directory) for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
