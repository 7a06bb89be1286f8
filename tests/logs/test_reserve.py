"""A receiver that is away too long is passed over, and gets the errors all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.logs.programs import lines, numbers, run, settled

BODY = """
path, away, real = sys.argv[1:4]
if sys.argv[4] == "shared": share(sys.argv[5])
ship.start([File(path, name="file"), File(away, name="away")], service="s", queue_bytes=256 << 10)
count = 0
def some(how_many):
    global count
    for _ in range(how_many):
        assert log(count, level=3 if count % 100 == 0 else count % 3)
        count += 1
# The file takes all of it; what is away can keep a part only.
for _ in range(200):
    some(50)
    end = time.monotonic() + 60
    while ship.counts()["sinks"]["file"]["queued"]:
        assert time.monotonic() < end
        time.sleep(0.001)
before = ship.counts()
os.unlink(away)
os.symlink(real, away)
assert ship.flush(60)
some(10)
assert ship.flush(60)
end = time.monotonic() + 60
def dropped(): return sum(json.loads(line).get("dropped", 0) for line in open(real))
while dropped() != ship.counts()["sinks"]["away"]["full"]:
    assert time.monotonic() < end
    some(1)
    time.sleep(0.05)
assert ship.flush(60)
told([count, before, ship.counts()])
"""


@pytest.mark.parametrize("where", ["shared", "private"])
def test_the_errors_arrive_of_what_was_passed_over(tmp_path: Path, where: str) -> None:
    link = tmp_path / "away"
    link.symlink_to("/dev/full")
    _, err = run(BODY, tmp_path / "log", link, tmp_path / "real", where, tmp_path / "shared")
    count, before, after = json.loads(next(line for line in err.splitlines() if line.startswith("[")))
    assert after["sinks"]["away"]["full"] > 5000
    for told in (before, after):
        for sink in ("file", "away"):
            assert settled(told, sink) == sum(told["lines"].values())
    assert sorted(numbers(lines(tmp_path / "log"))) == list(range(count))
    rows = lines(tmp_path / "real")
    found = numbers(rows)
    assert found == sorted(set(found)), "in order, and each once"
    errors = {number for number in range(count) if number % 100 == 0}
    assert errors <= set(found)
    # Those that were passed over went with all their neighbours.
    assert sum(1 for number in errors if number + 1 not in found) > 20
    missing = count - len(found)
    assert after["sinks"]["away"]["full"] == missing
    assert sum(row["dropped"] for row in rows if "dropped" in row) == missing
    assert after["sinks"]["away"]["shipped"] == len(found)
