"""One operation again and again in a process of its own, for `shared_record.py`.

    python -m benches.recorder inc ferrometer

Operation, library. It answers each number on its input with the seconds that so many operations took, less
those of the loop around them, and a last `check` with `right` when the library counted them all. Where the
environment names a directory for the library, it records into that from its import on.
"""

from __future__ import annotations

import statistics
import sys

from benches.instructions import BATCH, BY_SUBJECT
from ferrometer.bench import peers

PIECES = 8


def main(key: str, name: str) -> None:
    peers.only = {name}
    make, baseline, _ = BY_SUBJECT[key]
    subjects = {subject.name: subject for subject in make()}
    idle, busy = subjects[baseline], subjects[name]
    done = 0
    # So many that the difference is never lost in what surrounds it.
    print(busy.step * BATCH.get(key, 1), flush=True)
    for line in sys.stdin:
        if line == "check\n":
            busy.check(done)
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
    main(sys.argv[1], sys.argv[2])
