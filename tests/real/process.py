"""A program in a test's hands: its log in a file, waited for with a deadline, stopped by its own id."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType


class Process:
    """A running program; as a context manager it is stopped at the end, whatever happened."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        name: str = "",
        env: Mapping[str, str] | None = None,
        stop_with: signal.Signals = signal.SIGTERM,
        user: int | None = None,
    ) -> None:
        """`user`: for programs that refuse to be run by root; its id, and its group's."""
        self.name = name or Path(command[0]).name
        self.log_file = folder / f"{self.name}.log"
        self._stop_with = stop_with
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def log(self) -> str:
        """All the program has said so far, standard output and error together."""
        return self.log_file.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 15.0, what: str = "ready") -> None:
        """Polls `ready`, where an `OSError` means not yet; shows the log when it does not end well."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if ready():
                    return
            except OSError:
                pass
            if self._process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self._process.returncode}:\n{self._tail()}")
            time.sleep(0.02)
        raise AssertionError(f"{self.name} was not {what} within {seconds:g} s:\n{self._tail()}")

    def stop(self) -> int:
        """Asks the program to end, insists after ten seconds; returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop_with)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait(5)

    def _tail(self, lines: int = 30) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
