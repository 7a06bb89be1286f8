"""One operation again and again in a process of its own, for `shared_record.py`.

    python -m benches.recorder inc ferrometer

Operation, library. It answers each number on its input with the seconds that so many operations took, less
those of the loop around them, and a last `check` with `right` when the library counted them all. Where the
environment names a directory for the library, it records into that from its import on.
"""

from __future__ import annotations

import sys

from benches import peers
from benches.instructions import BATCH, BY_SUBJECT


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
        # Awake, and its code and cells near: the processes take turns, and this one has slept.
        warm = max(1, operations // 4 // busy.step) * busy.step
        busy.sample(warm)
        base = idle.sample(operations)
        took = busy.sample(operations)
        done += warm + operations
        print(took - base, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
