"""One line of progress: redrawn in place on a terminal, a few plain lines anywhere else."""

from __future__ import annotations

from typing import TextIO


class Progress:
    """Counts up to `total`; `finish` leaves the line behind, complete."""

    _WIDTH = 30

    def __init__(self, out: TextIO, title: str, total: int) -> None:
        self._out = out
        self._title = title
        self._total = total
        self._moving = out.isatty()
        self._next_quarter = 1

    def at(self, done: int, remark: str = "") -> None:
        """Shows that `done` of the total are done."""
        if self._moving:
            filled = self._WIDTH * done // self._total
            bar = "█" * filled + "·" * (self._WIDTH - filled)
            # Erase to the end of the line: the last remark may have been longer.
            self._write(f"\r{self._title}  {bar}  {done}/{self._total}  {remark}\x1b[K")
        elif done * 4 >= self._next_quarter * self._total:
            self._next_quarter = done * 4 // self._total + 1
            self._write(f"{self._title}  {done}/{self._total}  {remark}".rstrip() + "\n")

    def finish(self) -> None:
        """The last state, and the end of the line."""
        if self._moving:
            self.at(self._total)
            self._write("\n")
        elif self._next_quarter <= 4:
            self.at(self._total)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
