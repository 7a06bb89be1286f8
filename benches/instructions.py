"""Instructions for each operation, counted by callgrind: exact where times are noisy.

    python -m benches.instructions                    the table
    python -m benches.instructions --where observe    and the functions they are spent in

Each operation runs in two processes under valgrind, many times and many more times; the difference, divided,
is the operation alone. An extension without symbols (`strip`) shows as one function.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benches import middleware, record
from benches.callgrind import Place, self_costs
from benches.row import FLOOR, OURS
from ferrometer.bench import peers, wrapped
from ferrometer.bench.rounds import Subject

BY_SUBJECT: dict[str, tuple[Callable[[], list[Subject]], str, tuple[str, ...]]] = {
    # Key: the subjects, the one to subtract, and those to show.
    "inc": (record.inc_subjects, record.EMPTY, (FLOOR, OURS)),
    "labels": (
        lambda: record.labels_subjects(1, literal=True),
        record.EMPTY,
        (record.SINGLE_NOOP, FLOOR, OURS),
    ),
    "labels_100": (lambda: record.labels_subjects(100), record.EMPTY, (FLOOR, OURS)),
    "labels_fresh": (lambda: record.labels_subjects(1, fresh=True), record.EMPTY, (FLOOR, OURS)),
    "observe": (record.observe_subjects, record.EMPTY, (FLOOR, OURS)),
    "middleware": (
        lambda: middleware.subjects(wrapped.plain, middleware.awaited),
        wrapped.BARE,
        (FLOOR, OURS),
    ),
    "middleware_sampled": (
        lambda: middleware.subjects(wrapped.plain, middleware.awaited, sampled=True),
        wrapped.BARE,
        (FLOOR, OURS),
    ),
    "middleware_starlette": (
        lambda: middleware.subjects(wrapped.starlette, middleware.awaited),
        wrapped.BARE,
        (FLOOR, OURS),
    ),
}
SHARED = "ferrometer, shared"  # the same, into a file that other processes read
SHARES = ("inc", "labels", "observe", "middleware")
MANY, MORE = 4, 12  # batches: the difference is eight of them
BATCH = {"middleware": 400, "middleware_sampled": 400, "middleware_starlette": 400}  # steps of five requests


def costs(key: str, name: str, folder: Path) -> Counter[Place]:
    """Instructions for one operation, by the function that executes them."""
    few, many = (self_costs(_count(key, name, batches, folder)) for batches in (MANY, MORE))
    many.subtract(few)
    operations = (MORE - MANY) * _operations(key, name)
    return Counter({place: count / operations for place, count in many.items()})


def _count(key: str, name: str, batches: int, folder: Path) -> Path:
    out = folder / f"{key}-{name.replace(' ', '_')}-{batches}.callgrind"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable]
    command += ["-m", "benches.instructions", "--run", key, OURS if name == SHARED else name, str(batches)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    if name == SHARED:
        environment["FERROMETER_DIR"] = str(folder / "metrics")
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert name != SHARED or list((folder / "metrics").glob("*.seg")), "nothing was shared"
    return out


def _subject(key: str, name: str) -> Subject:
    peers.only = {"ferrometer"}
    of = OURS if name == SHARED else name
    [subject] = [s for s in BY_SUBJECT[key][0]() if s.name == of]
    return subject


def _operations(key: str, name: str) -> int:
    """Operations in a batch."""
    return _subject(key, name).step * BATCH.get(key, 40)


def run(key: str, name: str, batches: int) -> None:
    """What happens under valgrind."""
    subject = _subject(key, name)
    for _ in range(batches):
        subject.sample(_operations_of(subject, key))


def _operations_of(subject: Subject, key: str) -> int:
    return subject.step * BATCH.get(key, 40)


def table(keys: list[str], where: bool) -> None:
    print(f"{'instructions for each operation':<34}{'all':>8}{'ferrometer':>12}{'CPython':>10}{'other':>8}")
    for key in keys:
        _, baseline, names = BY_SUBJECT[key]
        with tempfile.TemporaryDirectory() as folder:
            base = costs(key, baseline, Path(folder))
            for name in (*names, SHARED) if key in SHARES else names:
                each = costs(key, name, Path(folder))
                each.subtract(base)
                _print_line(f"{key}: {name}", each)
                if where:
                    _print_places(each)


def _print_line(title: str, each: Counter[Place]) -> None:
    ours = sum(count for place, count in each.items() if "_core." in place.file)
    python = sum(
        count for place, count in each.items() if "python" in place.file and "_core." not in place.file
    )
    total = sum(each.values())
    print(f"{title:<34}{total:8.1f}{ours:12.1f}{python:10.1f}{total - ours - python:8.1f}", flush=True)


def _print_places(each: Counter[Place]) -> None:
    for place, count in each.most_common(25):
        if count >= 0.5:
            print(f"{'':8}{count:8.1f}  {place.function[:90]}")
    for place, count in sorted(each.items(), key=lambda item: item[1])[:6]:
        if count <= -0.5:
            print(f"{'':8}{count:8.1f}  {place.function[:90]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.instructions", description=__doc__)
    parser.add_argument("keys", nargs="*", help=f"of {', '.join(BY_SUBJECT)}; all by default")
    parser.add_argument("--where", action="store_true", help="show the functions")
    parser.add_argument("--run", nargs=3, metavar=("KEY", "SUBJECT", "BATCHES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run[0], options.run[1], int(options.run[2]))
        return 0
    if unknown := set(options.keys) - set(BY_SUBJECT):
        parser.error(f"no operation is called {sorted(unknown)}; there are {', '.join(BY_SUBJECT)}")
    if peers.tool("valgrind", "apt-get install valgrind") is None:
        print("benches: valgrind is not installed, so nothing was counted: apt-get install valgrind")
        return 0
    table(options.keys or list(BY_SUBJECT), options.where)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
