"""A file system without room: what a process holds is in its own scrapes, whoever else cannot see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")

PROGRAM = """
import json, os, resource, sys
import ferrometer
from ferrometer import *

N = 6000
directory, room, first = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "before"
late = []

def define():
    late[:] = [
        Counter("c", "help", ["n"]),
        Gauge("g", "help", ["n"], multiprocess_mode="livesum"),
        Gauge("own", "help", ["n"], multiprocess_mode="all"),
        Histogram("h", "help", ["n"], buckets=[1, 2]),
        Summary("s", "help", ["n"]),
        Summary("wide", "help", quantiles=(0.5,)),
        Histogram("far", "help"),
        Info("told", "help"),
        Counter("traced", "help"),
    ]

if first:
    define()
    late[0].labels("0").inc()
ferrometer.share(directory)
sizes = [os.stat(f"{directory}/{name}").st_size for name in os.listdir(directory)]
# As on a full disk, writing beyond it is refused; Python ignores the signal.
limit = max(sizes) + room
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if not first:
    define()
counter, gauge, own, histogram, summary, wide, far, info, traced = late
for n in range(N):
    label = str(n)
    counter.labels(label).inc()
    gauge.labels(label).set(2)
    own.labels(label).set(3)
    histogram.labels(label).observe(1.5)
    summary.labels(label).observe(4)

def told():
    text = generate_latest().decode().splitlines()
    totals = {}
    for line in text:
        if line and line[0] != "#":
            name = line.partition("{")[0]
            if name == "h_bucket" and 'le="2.0"' not in line:
                continue
            totals.setdefault(name, [0, 0.0])
            totals[name][0] += 1
            totals[name][1] += float(line.rpartition(" ")[2])
    return totals

for n in range(1, 4001):
    wide.observe(n)
    wide.observe(2000.5)  # its bin outgrows its cells
    far.observe(10.0 ** (-200 - n % 50))
    far.observe(0.5)
info.info({"text": "x" * 500})
traced.inc(1, {"trace_id": "abc"})

shown = told()
from ferrometer.exposition import choose_encoder
openmetrics = choose_encoder("application/openmetrics-text; version=1.0.0")[0](REGISTRY).decode()
private = {
    "wide": [wide.quantile(q) for q in (0, 0.1, 0.5, 0.9, 1)],
    "text": [line for line in generate_latest().decode().splitlines() if line.startswith("wide{")],
    "far": [far.quantile(q) for q in (0, 0.4, 0.9, 1)],
    "info": 'told_info{text="' + "x" * 500 + '"} 1.0' in openmetrics,
    "exemplar": [line.rpartition(" # ")[2][:18] for line in openmetrics.splitlines() if "trace_id" in line],
}
collected = {}
for metric in REGISTRY.collect():
    for sample in metric.samples:
        collected[sample.name] = collected.get(sample.name, 0) + 1
counter.labels("5999").inc(10)
counter.remove("5998")
after = told()
faults = [line for line in generate_latest().decode().splitlines() if line.startswith("ferrometer_segment")]
after = after["c_total"]
result = {"shown": shown, "collected": collected, "after": after, "faults": faults, "private": private}
print(json.dumps(result))
"""


def run(folder: Path, room: int, when: str) -> Any:
    folder.mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder), str(room), when],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("room", [0, 1 << 17, 1 << 19, 1 << 21, 1 << 26])
def test_a_process_shows_all_that_it_holds(tmp_path: Path, room: int, when: str) -> None:
    told = run(tmp_path / "metrics", room, when)
    shown = told["shown"]
    first = 1 if when == "before" else 0
    assert shown["c_total"] == [6000, 6000 + first]
    assert shown["g"] == [6000, 12000]
    assert shown["own"] == [6000, 18000]
    assert shown["h_count"] == [6000, 6000]
    assert shown["h_sum"] == [6000, 9000]
    assert shown["h_bucket"] == [6000, 6000]
    assert shown["s_count"] == [6000, 6000]
    assert shown["s_sum"] == [6000, 24000]
    for name in ("c_total", "g", "own", "h_count", "s_sum"):
        assert told["collected"][name] == 6000
    assert told["after"] == [5999, 5999 + first + 10]
    private = told["private"]
    assert private["wide"] == pytest.approx([1, 800, 2000.5, 3200, 4000], rel=0.0028)
    [quantile] = private["text"]
    assert quantile.startswith('wide{quantile="0.5"} ')
    assert float(quantile.rpartition(" ")[2]) == pytest.approx(2000.5, rel=0.0028)
    assert private["far"] == pytest.approx([1e-249, 1e-210, 0.5, 0.5], rel=0.0028)
    assert private["info"]
    assert private["exemplar"] == ['{trace_id="abc"} 1']


OTHER = """
import sys, ferrometer
ferrometer.share(sys.argv[1])
ferrometer.Counter("c", "help").inc(3)
print("ready", flush=True)
sys.stdin.readline()
"""

READER = """
import os, pathlib, sys
import ferrometer
directory = pathlib.Path(sys.argv[1])
ferrometer.share(directory)
ferrometer.Counter("c", "help").inc(4)
def told(name):
    lines = ferrometer.generate_latest().decode().splitlines()
    return [line for line in lines if line.startswith(name)]
if sys.argv[3] == "known":
    assert told("c_total") == ["c_total 7.0"], told("c_total")
file = directory / sys.argv[2]
if not file.exists():  # folded into the graveyard
    sys.exit()
os.truncate(file, int(sys.argv[4]))
for _ in range(2):
    print(*told("c_total"))
    print(*told("ferrometer_segments_unreadable"))
"""


@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("known", ["known", "new"])
@pytest.mark.parametrize("alive", [True, False])
def test_a_file_that_somebody_has_truncated_is_unreadable(
    tmp_path: Path, known: str, alive: bool, size: int
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OTHER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        [file] = folder.glob("*.seg")
        if not alive:
            other.kill()
            other.wait()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", READER, str(folder), file.name, known, str(size)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        other.kill()
    assert done.returncode == 0, done.stderr[-3000:]
    if known == "known" and not alive:
        return  # its totals were folded into the graveyard before
    counted, unreadable, again, still = done.stdout.splitlines()
    assert counted == again == "c_total 4.0"
    assert unreadable == still
    assert unreadable.endswith(" 1.0"), unreadable
