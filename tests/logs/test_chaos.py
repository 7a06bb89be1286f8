"""Workers and shippers killed at random, a server that does all wrong: nothing is lost or counted twice.

A short form by default; ``FERROMETER_CHAOS=500`` kills so many times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.logs.programs import program, run, settled
from tests.logs.test_http_sinks import loki_rows
from tests.real.log_receivers import Receiver, Reply

KILLS = int(os.environ.get("FERROMETER_CHAOS", "8"))
SPAN = 10_000_000

WORKER = """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="file"), Loki(sys.argv[3], name="loki")], service="s", queue_bytes=1 << 20)
number = first = int(sys.argv[4])
while True:
    # What was taken is acknowledged.
    if log(number, level=number % 5): os.write(1, b"%d\\n" % number)
    number += 1
    if number % 20 == 0: time.sleep(0.002)
"""

LAST = """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="file"), Loki(sys.argv[3], name="loki")], service="s")
log(int(sys.argv[4]))
assert ship.flush(60), ship.counts()
end = time.monotonic() + 120
while len([name for name in os.listdir(sys.argv[1]) if name.endswith(".ring")]) > 1:
    assert time.monotonic() < end, ship.counts()
    time.sleep(0.02)
told(ship.counts())
"""


def reply(chance: random.Random) -> Reply:
    """Mostly well; else everything that a server can do."""
    return chance.choice(
        [
            *[Reply(204)] * 6,
            Reply(503),
            Reply(429, headers={"Retry-After": "0"}),
            Reply(drop=True),
            Reply(400, b"bad"),
            Reply(204, delay=0.2),
        ]
    )


def test_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("FERROMETER_SEED", str(time.time_ns() % 1_000_000)))
    print(f"FERROMETER_SEED={seed}")
    chance = random.Random(seed)
    shared, log = tmp_path / "shared", tmp_path / "log"
    acknowledged: set[int] = set()
    taken: list[Any] = []
    with Receiver(lambda _: taken.append(answer := reply(chance)) or answer) as receiver:  # type: ignore[func-returns-value]

        def begin(number: int) -> subprocess.Popen[str]:
            out = (tmp_path / f"acknowledged-{number}").open("w")
            arguments = (shared, log, receiver.url, number * SPAN)
            with out:
                return program(WORKER, *arguments, stdout=out, stderr=subprocess.DEVNULL)

        workers = {number: begin(number) for number in range(3)}
        for kill in range(KILLS):
            number = chance.choice(sorted(workers))
            told = tmp_path / f"acknowledged-{number}"
            end = time.monotonic() + 60
            while told.stat().st_size < 2000:
                assert time.monotonic() < end, "a worker that does not log"
                time.sleep(0.01)
            time.sleep(chance.random() * 0.1)
            workers[number].send_signal(signal.SIGKILL)
            workers.pop(number).wait(60)
            workers[kill + 3] = begin(kill + 3)
        for worker in workers.values():
            worker.kill()
            worker.wait(60)
        for file in tmp_path.glob("acknowledged-*"):
            acknowledged |= {int(line) for line in file.read_text().splitlines()}
        last = (KILLS + 3) * SPAN
        _, err = run(LAST, shared, log, receiver.url, last)
        counts = json.loads(next(line for line in err.splitlines() if line.startswith("{")))
        posts, answers = list(receiver.posts), list(taken)

    # Every line that was counted is accounted for, by each sink.
    total = sum(counts["lines"].values())
    for sink in ("file", "loki"):
        assert settled(counts, sink) == total, counts
        assert counts["sinks"][sink]["queued"] == 0
        assert counts["sinks"][sink]["damaged"] == 0

    # What a worker was told is taken is in the file, unless the file's own thread was passed over.
    rows = []
    for line in log.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            assert not line.endswith("}"), "only half lines of killed shippers are no JSON"
    found = {row["number"] for row in rows if "number" in row}
    assert len(acknowledged - found) <= counts["sinks"]["file"]["full"]
    unmarked = [row["number"] for row in rows if "number" in row and "repeated" not in row]
    assert len(unmarked) == len(set(unmarked)), "a double in the file that is not marked"

    # The server saw nothing twice that does not say so; what it took and what it refused is counted as that.
    good = [
        post for post, answer in zip(posts, answers, strict=True) if answer.status == 204 and not answer.drop
    ]
    arrived = [
        (line["number"], "repeated" in metadata)
        for _, line, metadata, _ in loki_rows(good)
        if "number" in line
    ]
    clean = [number for number, is_repeated in arrived if not is_repeated]
    assert len(clean) == len(set(clean)), "a double that is not marked"
    missing = (acknowledged | {last}) - {number for number, _ in arrived}
    told = counts["sinks"]["loki"]
    assert len(missing) <= told["rejected"] + told["full"]
    print(f"{KILLS} kills, {total} lines, {len(acknowledged)} acknowledged; {counts['sinks']}")
