"""A scrape: `generate_latest` over 10 000 histogram children, and what a Python thread loses meanwhile."""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benches import answers
from benches.peers import peer
from benches.record import BUCKETS, DRIVERS, LABELS, latencies
from benches.rounds import Effort, Samples, Subject, interleave, progress
from benches.row import CONTROL, FLOOR, OURS, Aim, Row

CHILDREN = 10_000
QUICK_CHILDREN = 500
PER_CHILD = len(BUCKETS) + 4  # the buckets, +Inf, _count, _sum, _created
CLIENT = "prometheus_client"
OTHER_PROCESS = "another process scraping"
FLOOR_BYTES = 16 << 20  # hashed in about the time of one of our scrapes

Work = Callable[[float], object]


def filled(library: Any, children: int) -> Any:
    """A registry with one histogram of so many children, a few realistic observations in each."""
    registry = library.CollectorRegistry()
    # A family of ours stops at 10 000 series unless told otherwise, and the control has more.
    more = {"max_series": children} if library.__name__ == "ferrometer" else {}
    family = library.Histogram(
        "http_request_duration_seconds",
        "Request latency.",
        LABELS,
        registry=registry,
        buckets=BUCKETS,
        **more,
    )
    values = latencies(1000)
    for i in range(children):
        child = family.labels("GET", f"/v1/models/{i}/infer", "200")
        for k in range(8):
            child.observe(values[(i * 8 + k) % 1000])
    return registry


def check_text(text: bytes, children: int) -> None:
    """The text has every line it must have, parses, and says what was observed."""
    lines = text.count(b"\n")
    # HELP and TYPE of the histogram and of its `_created` family.
    assert lines == children * PER_CHILD + 4, f"{lines} lines for {children} children"
    samples = answers.exposed(text)
    counts = [v for (name, _), v in samples.items() if name == "http_request_duration_seconds_count"]
    infinite = [v for (name, labels), v in samples.items() if ("le", "+Inf") in labels]
    assert len(counts) == len(infinite) == children
    assert set(counts) == set(infinite) == {8.0}


# Speed -----------------------------------------------------------------------------------------------------


def scrape_subjects(children: int) -> list[Subject]:
    subjects = [_scrape(name, peer(module), children) for name, module in DRIVERS.items() if peer(module)]
    subjects.append(_scrape(CONTROL, peer("ferrometer"), 2 * children))
    return subjects


def _scrape(name: str, library: Any, children: int) -> Subject:
    registry = filled(library, children)
    latest: list[bytes] = []

    def sample(scrapes: int) -> float:
        began = time.perf_counter()
        for _ in range(scrapes):
            text = library.generate_latest(registry)
        took = time.perf_counter() - began
        latest[:] = [text]
        return took

    # A scrape of prometheus_client lasts over a second: a few of them are enough.
    every = 5 if name == CLIENT else 1
    return Subject(name, sample, lambda done: check_text(latest[0], children), every=every)


def measure_speed(effort: Effort) -> Samples:
    children = QUICK_CHILDREN if effort.quick else CHILDREN
    return interleave(
        partial(scrape_subjects, children),
        rounds=effort.rounds(25, 2),
        seconds=effort.seconds(0.03),
        title="generate_latest",
    )


# The GIL ---------------------------------------------------------------------------------------------------


class Spinner(threading.Thread):
    """A thread that runs Python and nothing else, and notes how far it came and when."""

    LOOPS = 5_000  # about 0.1 ms: fine against a window, coarse against reading the clock

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stamps: list[float] = []
        self.stopped = False

    def run(self) -> None:
        clock, loops = time.perf_counter, self.LOOPS
        stamps = self.stamps
        while not self.stopped:
            for _ in range(loops):
                pass
            stamps.append(clock())

    def rate(self, began: float, ended: float) -> float:
        """Loops a second between two moments."""
        inside = sum(began <= stamp < ended for stamp in self.stamps)
        return inside * self.LOOPS / (ended - began)


def measure_gil(effort: Effort) -> Samples:
    """Per cent of its loops that a spinning thread loses while another thread scrapes without pause.

    Each window of work lies between two idle ones, which say what the spinner reaches alone. What remains is
    corrected for the machine: the same scrapes in ANOTHER PROCESS, which shares its cores and its memory but
    no GIL. The floor is a C function of CPython's own that lets go of the GIL for about as long; the control
    is a scrape that holds it.
    """
    children = QUICK_CHILDREN if effort.quick else CHILDREN
    rounds, window = effort.rounds(15, 1), effort.seconds(0.4, 0.05)
    hashing = partial(hashlib.sha256, bytes(FLOOR_BYTES))
    samples: Samples = {}
    with other_process(children) as elsewhere:
        work: dict[str, Work] = {OTHER_PROCESS: elsewhere, FLOOR: partial(_repeat, hashing)}
        for name, module in DRIVERS.items():
            if library := peer(module):
                scrape = partial(library.generate_latest, filled(library, children))
                work[CONTROL if name == CLIENT else name] = partial(_repeat, scrape)
        for number in range(rounds):
            progress("GIL", number + 1, rounds)
            for name, busy in work.items():
                # The control's windows are as long as its scrapes, over a second each.
                skipped = name == CONTROL and number % 5
                samples.setdefault(name, []).append(None if skipped else _lost(busy, window))
    return samples


def _lost(busy: Work, window: float) -> float:
    spinner = Spinner()
    spinner.start()
    time.sleep(window / 4)  # let it reach its pace
    idle_windows, busy_windows = [_window(time.sleep, window)], []
    for _ in range(2):
        busy_windows.append(_window(busy, window))
        idle_windows.append(_window(time.sleep, window))
    spinner.stopped = True
    spinner.join()
    alone = statistics.median(spinner.rate(*w) for w in idle_windows)
    beside = statistics.median(spinner.rate(*w) for w in busy_windows)
    assert alone > 0
    return 100.0 * (1.0 - beside / alone)


def _window(work: Work, seconds: float) -> tuple[float, float]:
    began = time.perf_counter()
    work(seconds)
    return began, time.perf_counter()


def _repeat(call: Callable[[], object], seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        call()


@contextmanager
def other_process(children: int) -> Iterator[Work]:
    """Work that another process does: our scrapes, for as long as it is told."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, children), daemon=True
    )
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
            _repeat(scrape, connection.recv())
            connection.send(None)
    except EOFError:
        return  # the benchmark is over


ROWS = (
    Row(
        "scrape",
        "generate_latest, 10 000 hist.",
        "ms",
        measure_speed,
        (Aim(CLIENT, OURS, at_least=100),),
        faster_than_control=OURS,
        note=f"{CHILDREN * PER_CHILD + 4:,} lines, 14 buckets; control: twice the children".replace(
            ",", " ", 1
        ),
    ),
    Row(
        "gil",
        "  loops lost beside a scrape",
        "% lost",
        measure_gil,
        (Aim(OURS, at_most=2),),
        baseline=OTHER_PROCESS,
        faster_than_control=OURS,
        note="by a spinning thread, more than beside the same scrapes in another process; "
        "floor: hashlib.sha256; control: prometheus_client",
    ),
)
