"""Real workers killed at any moment, beside scrapes that know what each had done.

`FERROMETER_TORTURE=10` makes it ten times as long.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workers.servers import total

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sharing is Linux's")

TIMES = float(os.environ.get("FERROMETER_TORTURE", "1"))
SECONDS = 8 * TIMES
SERIES = 3

# A worker owns one slot of the board: what it intends, and what it has done, of counts and observations.
SLOT = struct.Struct(f"<{4 * SERIES}Q")

WORKER = f"""
import mmap, struct, sys
from ferrometer import Counter, Histogram, serve_metrics, share

directory, path, slot, serves = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "serve"
with open(path, "r+b") as file:
    board = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
share(directory)
jobs = Counter("jobs", "Jobs", ["n"])
waits = Histogram("waits", "Waits", ["n"], buckets=(0.5, 1, 2))
passing = Counter("passing", "Series that come and go", ["n"])
if serves:
    print(serve_metrics(0).port, flush=True)
base, round = slot * {4 * SERIES}, 0
while True:
    round += 1
    n = round % {SERIES}
    at = base + 4 * n
    board[at] += 1
    jobs.labels(str(n)).inc()
    board[at + 1] += 1
    board[at + 2] += 1
    waits.labels(str(n)).observe(round % 100 / 30 * 10.0 ** (round % 40 - 20))
    board[at + 3] += 1
    if round % 50 == 0:
        passing.labels(str(round)).inc()
    if round % 500 == 0:
        passing.clear()
"""


class Board:
    """Memory that the workers and this process have in common."""

    def __init__(self, path: Path, slots: int) -> None:
        path.write_bytes(bytes(slots * SLOT.size))
        self.path = path
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def sums(self) -> list[int]:
        """Of each series in turn: counts intended and done, observations intended and done."""
        slots = SLOT.iter_unpack(self.memory[:])
        return [sum(column) for column in zip(*slots, strict=True)]


def started(directory: Path, board: Board, slot: int, serves: bool = False) -> subprocess.Popen[str]:
    arguments = [str(directory), str(board.path), str(slot), "serve" if serves else ""]
    return subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"it ended with {process.wait(10)}"
    return line


@contextmanager
def sidecar(directory: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "ferrometer", "serve", "--dir", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(said(process).rsplit(':', 1)[1].split('/')[0])}/metrics"
        finally:
            process.kill()


class Scraper:
    """Compares what an endpoint shows with the board, and with what it showed before."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.last = [0] * (2 * SERIES)
        self.looks = 0

    def look(self, board: Board) -> None:
        before = board.sums()
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            assert answer.status == 200
            body = answer.read()
        after = board.sums()
        for n in range(SERIES):
            counts = total(body, "jobs_total", f'n="{n}"'), total(body, "waits_count", f'n="{n}"')
            for turn, (name, shown) in enumerate(zip(("jobs", "waits"), counts, strict=True)):
                done, intended = before[4 * n + 2 * turn + 1], after[4 * n + 2 * turn]
                assert done <= shown <= intended, (
                    f"{name} {n}: {shown}, not {done} to {intended}, at {self.url}"
                )
                assert shown >= self.last[2 * n + turn], f"{name} {n} went back to {shown}"
                self.last[2 * n + turn] = int(shown)
            assert total(body, "waits_bucket", f'n="{n}"', 'le="+Inf"') == counts[1]
        assert b"ferrometer_segments_unreadable{" not in body
        self.looks += 1


def test_workers_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    directory.mkdir(mode=0o700)
    chance = random.Random(20261120)
    slots = 100 + int(60 * SECONDS)
    board = Board(tmp_path / "board", slots)
    running: list[subprocess.Popen[str]] = []
    keeper = started(directory, board, 0, serves=True)
    born = killed = 0
    try:
        with sidecar(directory) as url:
            scrapers = [Scraper(f"http://127.0.0.1:{int(said(keeper))}/metrics"), Scraper(url)]
            end = time.monotonic() + SECONDS
            told = 0.0
            while time.monotonic() < end:
                while len(running) < 2 and born + 1 < slots:
                    born += 1
                    running.append(started(directory, board, born))
                # Some before they have imported anything, some while they share, most while they count.
                time.sleep(chance.random() * 0.3)
                victim = running.pop(chance.randrange(len(running)))
                victim.send_signal(signal.SIGKILL)
                assert victim.wait(10) == -signal.SIGKILL
                assert victim.stdout is not None
                victim.stdout.close()
                killed += 1
                for scraper in scrapers:
                    scraper.look(board)
                if TIMES > 1 and time.monotonic() - told > 5:
                    told = time.monotonic()
                    print(
                        f"{killed} killed, {end - told:.0f} s to go, {sum(scrapers[0].last)} counted",
                        flush=True,
                    )
            assert keeper.poll() is None
            scrapers[0].look(board)
            for process in [keeper, *running]:
                process.kill()
                process.wait(10)
            scrapers[1].look(board)
            # Of each that was killed, at most the record that it was about to make.
            assert sum(board.sums()[::2]) - sum(scrapers[1].last) <= born + 1
            names = [file.name for file in directory.iterdir()]
            assert len(names) <= 3, f"none lives, and {names}"
    finally:
        for process in [keeper, *running]:
            process.kill()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()
    assert killed >= 5 * min(TIMES, 1)
    assert board.sums()[1] > 1000, "the workers did next to nothing"
