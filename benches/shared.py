"""Many processes, one truth: scrapes of all of them, what their directory holds, and what the dead leave.

Ours and prometheus_client's multi-process mode have the same processes, which record the same and live on
while one of them is scraped; `crew.py` is what they run. The expositions are compared sample by sample.

Scrapes are counted in the processor's seconds: what lasts seconds is interrupted on a busy machine again and
again, what lasts milliseconds is not, and by the clock on the wall that alone would favour ours.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benches.crew import CLIENT, EVENTS
from benches.fill import KNOWN_BYTES
from benches.record import BUCKETS
from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave, progress

PROCESSES, ROUTES = 32, 1000
QUICK_PROCESSES, QUICK_ROUTES = 4, 50
ROUNDS_OF_SCRAPES = 60
SELDOM = 20  # one of prometheus_client's lasts seconds
DEATHS, QUICK_DEATHS = 1000, 20
CONSTANT = 3  # files of a directory besides one for each live process: control, graveyard, the lock of a fold
PER_ROUTE = len(BUCKETS) + 4  # the buckets, +Inf, _count, _sum, _created
NAME = "http_request_duration_seconds"

# The first scrape of a process that recorded nothing itself. It lives on, so that it leaves no dead behind.
_FIRST = """
import sys, time
from pathlib import Path
from benches import crew
name, directory = sys.argv[1], Path(sys.argv[2])
library = crew.load(name, directory)
crew.join(library, directory)
scrape = crew.scraper(library, directory)
began = time.process_time()
text = scrape()
took = time.process_time() - began
(directory.parent / "text").write_bytes(text)
print(took, flush=True)
sys.stdin.read()
"""


class Live:
    """A crew that runs."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.directory = folder / "metrics"

    def ask(self, command: str, count: int) -> float:
        """The seconds that it took."""
        assert self.process.stdin is not None
        print(command, count, file=self.process.stdin, flush=True)
        return said(self.process)

    def text(self) -> bytes:
        """What the latest scrape brought."""
        return (self.folder / "text").read_bytes()

    def files(self) -> int:
        return sum(1 for _ in self.directory.iterdir())


def allocated(directory: Path) -> int:
    """Bytes that the directory's files take, as `du` counts them."""
    return sum(file.stat().st_blocks for file in directory.iterdir()) * 512


def said(process: subprocess.Popen[str]) -> float:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process of the benchmark died"
    return float(line)


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder in memory, where there is such a place: that is where both libraries say to have it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def started(library: str, directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An interpreter with pipes to and from it; it ends when its input does."""
    # prometheus_client looks for it when it is imported.
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)} if library == CLIENT else None
    with subprocess.Popen(
        [sys.executable, *arguments, library, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


@contextmanager
def crew(library: str, processes: int, routes: int) -> Iterator[Live]:
    """Processes that record."""
    with (
        folder() as there,
        started(library, there / "metrics", "-m", "benches.crew", str(processes), str(routes)) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"the crew of {library} did not start"
        yield Live(process, there)
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()


# Answers ---------------------------------------------------------------------------------------------------


def recorded(text: bytes, processes: int, routes: int) -> dict[answers.Sample, float]:
    """The family's samples, after a look whether they are all there and say what all processes recorded."""
    samples = {
        sample: value
        for sample, value in answers.exposed(text).items()
        # Only one of the two tells when counting began, and what it has to say about itself.
        if sample[0].startswith(NAME) and not sample[0].endswith("_created")
    }
    assert len(samples) == (PER_ROUTE - 1) * routes, f"{len(samples)} samples of {routes} routes"
    counts = [value for (name, _), value in samples.items() if name == f"{NAME}_count"]
    assert counts == [processes * EVENTS] * routes, f"{processes} processes recorded {EVENTS} in each route"
    return samples


def same(ours: dict[answers.Sample, float], theirs: dict[answers.Sample, float]) -> None:
    """Fails unless both say the same; sums were added up in different orders."""
    assert ours.keys() == theirs.keys()
    for sample, value in ours.items():
        near = abs(value - theirs[sample]) <= 1e-9 * abs(value)
        assert value == theirs[sample] or (sample[0].endswith("_sum") and near), (
            sample,
            value,
            theirs[sample],
        )


# Speed -----------------------------------------------------------------------------------------------------


def size(effort: Effort) -> tuple[int, int]:
    return (QUICK_PROCESSES, QUICK_ROUTES) if effort.quick else (PROCESSES, ROUTES)


def _crews(stack: ExitStack, processes: int, routes: int) -> dict[str, Live]:
    """Ours, prometheus_client's where it is there, and one of ours with twice the routes."""
    live = {OURS: stack.enter_context(crew("ferrometer", processes, routes))}
    if peer(CLIENT):
        live[CLIENT] = stack.enter_context(crew(CLIENT, processes, routes))
    live[CONTROL] = stack.enter_context(crew("ferrometer", processes, 2 * routes))
    return live


def measure_scrape(effort: Effort) -> Samples:
    """Seconds of a scrape by a process that scraped before."""
    processes, routes = size(effort)
    with ExitStack() as stack:
        live = _crews(stack, processes, routes)
        samples = interleave(
            lambda: [
                # One of prometheus_client's lasts seconds.
                Subject(name, partial(it.ask, "work"), every=SELDOM if name == CLIENT else 1)
                for name, it in live.items()
            ],
            rounds=effort.rounds(ROUNDS_OF_SCRAPES, 2),
            seconds=0.0,  # one: what is short is seldom interrupted
            title="scrapes of many processes",
        )
        _compare(live, processes, routes)
    return samples


def measure_first(effort: Effort) -> Samples:
    """Seconds of the first scrape of a process: it opens and reads everything."""
    processes, routes = size(effort)
    rounds = effort.rounds(9, 1)
    with ExitStack() as stack:
        live = _crews(stack, processes, routes)
        samples: Samples = {name: [] for name in live}
        for number in range(rounds):
            progress("first scrapes", number + 1, rounds)
            for name in random.Random(number).sample(list(live), len(live)):
                if name == CLIENT and number % 4:
                    samples[name].append(None)
                    continue
                library = CLIENT if name == CLIENT else "ferrometer"
                fresh = stack.enter_context(started(library, live[name].directory, "-c", _FIRST))
                samples[name].append(said(fresh))
        _compare(live, processes, routes)
    return samples


def _compare(live: dict[str, Live], processes: int, routes: int) -> None:
    recorded(live[CONTROL].text(), processes, 2 * routes)
    ours = recorded(live[OURS].text(), processes, routes)
    if CLIENT in live:
        same(ours, recorded(live[CLIENT].text(), processes, routes))


def measure_recycled(effort: Effort) -> Samples:
    """Seconds of a scrape of processes before whom many died, and of as many before whom none did."""
    processes, routes = size(effort)
    deaths = QUICK_DEATHS if effort.quick else DEATHS
    with ExitStack() as stack:
        live = {name: stack.enter_context(crew("ferrometer", processes, routes)) for name in (FLOOR, OURS)}
        live[CONTROL] = stack.enter_context(crew("ferrometer", 2 * processes, routes))
        live[OURS].ask("recycle", deaths)
        samples = interleave(
            lambda: [Subject(name, partial(it.ask, "work")) for name, it in live.items()],
            rounds=effort.rounds(ROUNDS_OF_SCRAPES, 2),
            seconds=0.0,  # one: what is short is seldom interrupted
            title="scrapes after many deaths",
        )
        for name, of in ((FLOOR, processes), (OURS, processes + deaths), (CONTROL, 2 * processes)):
            recorded(live[name].text(), of, routes)
    return samples


# Files and memory ------------------------------------------------------------------------------------------


def measure_files(effort: Effort) -> Samples:
    """Files of the directory after many deaths; before them, the floor."""
    processes, _ = size(effort)
    deaths = QUICK_DEATHS if effort.quick else DEATHS
    samples: Samples = {}
    for name, library in ((OURS, "ferrometer"), (CLIENT, CLIENT)):
        if not peer(library):
            continue
        with crew(library, processes, 1) as live:
            live.ask("scrape", 1)
            before = float(live.files())
            live.ask("recycle", deaths)
            live.ask("scrape", 1)
            samples[name] = [float(live.files())]
            recorded(live.text(), processes + deaths, 1)
        if library == "ferrometer":
            samples[FLOOR] = [before]
        else:
            # Each death leaves one: these processes did record, and die.
            assert samples[name] == [before + deaths], f"{samples[name]} files after {before} and {deaths}"
    return samples


def measure_memory(effort: Effort) -> Samples:
    """Allocated bytes for each process, of the directory of a few."""
    _, routes = size(effort)
    samples: Samples = {}
    for name, library in ((OURS, "ferrometer"), (CLIENT, CLIENT)):
        if peer(library):
            with crew(library, QUICK_PROCESSES, routes) as live:
                live.ask("scrape", 1)
                recorded(live.text(), QUICK_PROCESSES, routes)
                samples[name] = [allocated(live.directory) / QUICK_PROCESSES]
    with folder() as there:
        (there / "metrics").mkdir()
        for number in range(QUICK_PROCESSES):
            (there / "metrics" / str(number)).write_bytes(bytes(KNOWN_BYTES))
        known = allocated(there / "metrics") / QUICK_PROCESSES
    assert known == KNOWN_BYTES, f"{KNOWN_BYTES} bytes were measured as {known}"
    samples[CONTROL] = [known]
    return samples


ROWS = (
    Row(
        "shared_scrape",
        "scrape of 32 processes",
        "ms",
        measure_scrape,
        (Aim(CLIENT, OURS, at_least=200),),
        faster_than_control=OURS,
        note="1 000 routes in each, one histogram, 15 buckets: 18 004 lines; control: twice the routes",
    ),
    Row(
        "shared_first",
        "  a process's first",
        "ms",
        measure_first,
        faster_than_control=OURS,
        note="it opens and reads everything; control: twice the routes",
    ),
    Row(
        "shared_recycled",
        "  after 1 000 deaths",
        "ms",
        measure_recycled,
        (Aim(OURS, FLOOR, at_most=1.1),),
        faster_than_control=OURS,
        note="floor: none died; control: twice as many live",
    ),
    Row(
        "shared_files",
        "files after 1 000 deaths",
        "files",
        measure_files,
        (Aim(OURS, at_most=PROCESSES + CONSTANT),),
        note="32 processes live; floor: before the deaths",
    ),
    Row(
        "shared_memory",
        "directory, 1 000 routes",
        "bytes",
        measure_memory,
        (Aim(OURS, CLIENT, at_most=0.5),),
        note=f"allocated by each process; one histogram, {EVENTS} values in each route; control: 8 192 bytes",
    ),
)
