"""Series that one worker removes are gone everywhere; what is recorded afterwards counts from zero."""

from __future__ import annotations

import json
from pathlib import Path

from tests.workers.test_forks import run

CONVERSATION = """
ferrometer.share(directory)
jobs = ferrometer.Counter("jobs", "Jobs", ["queue"])
seconds = ferrometer.Histogram("seconds", "Seconds", ["queue"], buckets=(1, 2))
own = ferrometer.Gauge("own", "Of each worker", ["queue"])
depth = ferrometer.Gauge("depth", "Of all", ["queue"], multiprocess_mode="sum")
to_child, go = os.pipe()
back, to_parent = os.pipe()

def other():
    a = jobs.labels("a")
    a.inc(5)
    jobs.labels("b").inc()
    seconds.labels("a").observe(1.5)
    own.labels("a").set(3)
    depth.labels("a").set(4)
    os.write(to_parent, b"."); os.read(to_child, 1)
    a.inc(100)  # the handle of a removed series
    os.write(to_parent, b"."); os.read(to_child, 1)
    ferrometer.generate_latest()  # it learns of the removal
    assert jobs.labels("a") is not a
    jobs.labels("a").inc(3)
    os.write(to_parent, b"."); os.read(to_child, 1)

def shown():
    names = ("jobs_total", "seconds_count", "own", "depth")
    lines = [line for line in ferrometer.generate_latest().decode().splitlines() if line.startswith(names)]
    seen.append(sorted(re.sub('pid="[0-9]+",', "", line) for line in lines))

import json, re
seen = []
child = fork(other)
os.read(back, 1)
shown()
jobs.remove("a")
seconds.clear()
own.remove("a")  # of this worker, which has none
depth.clear()
shown()
for _ in range(2):
    os.write(go, b"."); os.read(back, 1)
    shown()
os.write(go, b".")
join([child])
shown()  # it is dead
shown()  # and folded
print(json.dumps(seen))
"""

OWN = 'own{queue="a"} 3.0'


def test_what_one_removes_is_gone_in_all(tmp_path: Path) -> None:
    seen = json.loads(run(CONVERSATION, tmp_path / "shared"))
    everything = ['depth{queue="a"} 4.0', 'jobs_total{queue="a"} 5.0', 'jobs_total{queue="b"} 1.0', OWN]
    assert seen[0] == [*everything, 'seconds_count{queue="a"} 1.0']
    without = ['jobs_total{queue="b"} 1.0', OWN]
    assert seen[1] == seen[2] == without
    assert seen[3:] == [['jobs_total{queue="a"} 3.0', *without]] * 3


def test_the_log_does_not_grow_with_what_is_gone(tmp_path: Path) -> None:
    """Label sets that come and go for ever leave a file of the size of what is there at any one time."""
    sizes = run(
        """
        ferrometer.share(directory)
        g = ferrometer.Gauge("g", "A gauge", ["n"], multiprocess_mode="sum")
        for round in range(60):
            for n in range(200):
                g.labels(f"{round} {n} {'x' * 50}").set(n)
            assert ferrometer.generate_latest().count(b"g{") == 200
            g.clear()
            if round in (9, 59):
                (segment,) = (f for f in os.listdir(directory) if len(f) == 36)
                print(os.stat(os.path.join(directory, segment)).st_size)
        """,
        tmp_path / "shared",
    )
    early, late = map(int, sizes.split())
    assert late <= early
