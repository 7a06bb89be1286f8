"""What a thread of Python code loses while another thread scrapes without pause.

Loops lost are what the aim is about, and a busy machine takes loops as well: hence the same scrapes from
another process, which share the cores and the memory but no GIL, as the baseline. Time asleep is what the
kernel says the spinning thread spent neither on a core nor waiting for one: asleep for the GIL.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from benches.exposition import CHILDREN, CLIENT, QUICK_CHILDREN, filled
from benches.record import DRIVERS
from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench.peers import absent, peer
from ferrometer.bench.rounds import Effort, Samples, progress

OTHER_PROCESS = "another process scraping"
FLOOR_BYTES = 16 << 20  # hashed in about the time of one of our scrapes

Work = Callable[[float], object]
"""Something to do for so many seconds."""


class Spinner(threading.Thread):
    """Runs Python and nothing else, and notes how far it came and when."""

    LOOPS = 5_000  # about 0.1 ms: fine against a window, coarse against reading the clock

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stamps: list[float] = []
        self.stopped = False

    def run(self) -> None:
        clock, loops, stamps = time.perf_counter, self.LOOPS, self.stamps
        while not self.stopped:
            for _ in range(loops):
                pass
            stamps.append(clock())

    def rate(self, window: Window) -> float:
        """Loops a second."""
        inside = sum(window.began <= stamp < window.ended for stamp in self.stamps)
        return inside * self.LOOPS / (window.ended - window.began)

    def awake(self) -> float:
        """Seconds so far on a core or waiting for one, as Linux counts them; 0 where it does not."""
        path = Path(f"/proc/self/task/{self.native_id}/schedstat")
        return sum(map(int, path.read_text().split()[:2])) * 1e-9 if path.exists() else 0.0


class Window(NamedTuple):
    """A stretch of time, and for how much of it the spinner was awake."""

    began: float
    ended: float
    awake: float


class Lost(NamedTuple):
    """Per cent."""

    loops: float
    asleep: float


@cache
def measure(effort: Effort) -> dict[str, list[Lost | None]]:
    """Each window of work lies between idle ones, which say what the spinner reaches alone."""
    children = QUICK_CHILDREN if effort.quick else CHILDREN
    rounds, window = effort.rounds(10, 1), effort.seconds(0.4, 0.05)
    hashing = partial(hashlib.sha256, bytes(FLOOR_BYTES))
    found: dict[str, list[Lost | None]] = {}
    with other_process(children) as elsewhere:
        work: dict[str, Work] = {OTHER_PROCESS: elsewhere, FLOOR: partial(repeat, hashing)}
        for name, module in DRIVERS.items():
            if library := peer(module):
                scrape = partial(library.generate_latest, filled(library, children))
                work[CONTROL if name == CLIENT else name] = partial(repeat, scrape)
        for number in range(rounds):
            progress("GIL", number + 1, rounds)
            for name, busy in work.items():
                # The control's windows are as long as its scrapes, over a second each.
                skipped = name == CONTROL and number % 5
                found.setdefault(name, []).append(None if skipped else lost(busy, window))
    return found


def lost(busy: Work, seconds: float) -> Lost:
    """What a spinner loses beside this work."""
    spinner = Spinner()
    spinner.start()
    time.sleep(seconds / 4)  # let it reach its pace
    idle_windows, busy_windows = [_window(spinner, time.sleep, seconds)], []
    for _ in range(2):
        busy_windows.append(_window(spinner, busy, seconds))
        idle_windows.append(_window(spinner, time.sleep, seconds))
    spinner.stopped = True
    spinner.join()
    alone = statistics.median(map(spinner.rate, idle_windows))
    beside = statistics.median(map(spinner.rate, busy_windows))
    assert alone > 0
    asleep = statistics.mean(1.0 - w.awake / (w.ended - w.began) for w in busy_windows)
    return Lost(100.0 * (1.0 - beside / alone), 100.0 * asleep)


def _window(spinner: Spinner, work: Work, seconds: float) -> Window:
    awake, began = spinner.awake(), time.perf_counter()
    work(seconds)
    ended = time.perf_counter()
    return Window(began, ended, spinner.awake() - awake)


def repeat(call: Callable[[], object], seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        call()


@contextmanager
def other_process(children: int) -> Iterator[Work]:
    """Work that another process does: our scrapes, for as long as it is told."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, children), daemon=True)
    process.start()
    theirs.close()
    ours.recv()  # its registry is filled

    def work(seconds: float) -> None:
        ours.send(seconds)
        ours.recv()

    try:
        yield work
    finally:
        ours.close()
        process.join()


def _serve(connection: Connection, children: int) -> None:
    library = peer("ferrometer")
    scrape = partial(library.generate_latest, filled(library, children))
    connection.send(None)
    try:
        while True:
            repeat(scrape, connection.recv())
            connection.send(None)
    except EOFError:
        return  # the benchmark is over


def loops(effort: Effort) -> Samples:
    return {n: [v.loops if v else None for v in values] for n, values in measure(effort).items()}


def asleep(effort: Effort) -> Samples:
    if not Path("/proc/self/schedstat").exists():
        absent("time asleep for the GIL", "a Linux kernel with scheduler statistics")
        return {}
    found = measure(effort)
    return {n: [v.asleep if v else None for v in found[n]] for n in found if n != OTHER_PROCESS}


ROWS = (
    Row(
        "gil_loops",
        "  loops lost beside a scrape",
        "% lost",
        loops,
        (Aim(OURS, at_most=2),),
        baseline=OTHER_PROCESS,
        faster_than_control=OURS,
        note="by a spinning thread, more than beside the same scrapes in another process; "
        "floor: hashlib.sha256; control: prometheus_client",
    ),
    Row(
        "gil_asleep",
        "  time asleep for the GIL",
        "% lost",
        asleep,
        (Aim(OURS, at_most=2),),
        faster_than_control=OURS,
        note="the same thread, as the kernel counts it: not disturbed by other programs",
    ),
)
