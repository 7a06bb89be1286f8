"""One operation again and again in a process of its own, for `shared_record.py` and `history.py`.

    python -m benches.recorder inc ferrometer
    python -m benches.recorder inc ferrometer history

Operation, library, and whether a history takes its registries every second. It answers each number on its
input with the seconds that so many operations took, less those of the loop around them, and a last `check`
with `right` when the library counted them all. Where the environment names a directory for the library, it
records into that from its import on.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time

from benches.instructions import BATCH, BY_SUBJECT
from ferrometer import CollectorRegistry, _core
from ferrometer.bench import peers

PIECES = 8


def remember() -> list[_core.History]:
    """A history of each registry that there is: the subjects do not hand theirs over."""
    registries = [thing for thing in gc.get_objects() if isinstance(thing, CollectorRegistry)]
    histories = [_core.History() for _ in registries]
    for registry, history in zip(registries, histories, strict=True):
        history.start(registry._native)
    return histories


def remembered(histories: list[_core.History]) -> bool:
    """Whether a history has a series of what was recorded; it looks once a second."""
    query = [("query", 'count({__name__=~"(events|requests|latency).*"})')]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if any(b'"result":[]' not in history.respond("GET", "query", query)[2] for history in histories):
            return True
        time.sleep(0.1)
    return False


def main(key: str, name: str, history: str = "") -> None:
    peers.only = {name}
    make, baseline, _ = BY_SUBJECT[key]
    subjects = {subject.name: subject for subject in make()}
    idle, busy = subjects[baseline], subjects[name]
    done = 0
    histories = remember() if history else []
    # So many that the difference is never lost in what surrounds it.
    print(busy.step * BATCH.get(key, 1), flush=True)
    for line in sys.stdin:
        if line == "check\n":
            busy.check(done)
            assert not histories or remembered(histories), "the history knows nothing"
            print("right", flush=True)
            continue
        operations = int(line)
        # Turns so short that few are interrupted; the first is for nothing, because this process has slept.
        piece = max(1, operations // PIECES // busy.step) * busy.step
        each = []
        for turn in range(PIECES + 1):
            first, second = (idle, busy) if turn % 2 else (busy, idle)
            took = {first.name: first.sample(piece), second.name: second.sample(piece)}
            each.append((took[busy.name] - took[idle.name]) / piece)
            done += piece
        print(statistics.median(each[1:]) * operations, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
