"""Programs of their own: what a test runner cannot do to itself, such as forking or holding the GIL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Program:
    """A running Python program whose lines are read one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the program ended with {self.process.wait(10)}: {self.errors()}"
        return line.rstrip("\n")

    def number(self) -> int:
        """The next line, a number."""
        return int(self.line())

    def tell(self, line: str = "") -> None:
        """Sends it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def wait(self, seconds: float = 20.0) -> int:
        """Its exit status."""
        return self.process.wait(seconds)

    def errors(self) -> str:
        """What it wrote to standard error, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def running(source: str) -> Iterator[Program]:
    """Runs the source, and ends it in any case."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-u", "-c", source], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()
