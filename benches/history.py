"""The history: bytes of a day, the cost of a look, and a latency quantile beside a real Prometheus 3.

All of it is Rust on a simulated clock (`rust/history/examples/beside_prometheus.rs`): the server gets the
very samples that the store shows, and its answers are compared with ours, point by point.
"""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from benches.shared_record import Recorder
from ferrometer.bench.peers import absent, tool
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave

PROMETHEUS = "Prometheus 3"
ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


@functools.cache
def _figures(quick: bool) -> dict[str, dict[str, Any]]:
    """The figures by their names; none where there is no cargo."""
    cargo = tool("cargo", "https://rustup.rs")
    if cargo is None:
        return {}
    example = ["--package", "ferrometer-history", "--example", "beside_prometheus"]
    # What `cargo test` built is there already, and right for answers; figures need the best code.
    profile, routes = ("dev", 20) if quick else ("release", 1000)
    command = [cargo, "run", "--locked", "--profile", profile, "--quiet", *example, "--", str(routes)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    figures = {line["figure"]: line for line in lines}
    for name in ("instant", "range"):
        assert figures[name].get("different", 0) == 0, figures[name]
    if "theirs_ms" not in figures["instant"]:
        absent(PROMETHEUS, "make real-prometheus3")
    return figures


def _of(effort: Effort) -> dict[str, dict[str, Any]]:
    return _figures(effort.quick)


def _query(name: str, effort: Effort) -> Samples:
    figures = _of(effort)
    if not figures:
        return {}
    figure = figures[name]
    samples: Samples = {OURS: [figure["ours_ms"] / 1e3]}
    if "theirs_ms" in figure:
        samples[PROMETHEUS] = [figure["theirs_ms"] / 1e3]
    return samples


def _look(effort: Effort) -> Samples:
    figures = _of(effort)
    return {OURS: [figures["look"]["ms"] / 1e3]} if figures else {}


def _day(effort: Effort) -> Samples:
    figures = _of(effort)
    return {OURS: [float(figures["day"]["bytes"])]} if figures else {}


# Prints whether it is the one that writes, twenty times a second.
WORKER = """
import sys, time
import ferrometer
from ferrometer import _core
ferrometer.share(sys.argv[1])
ferrometer.Counter("jobs", "Jobs done").inc()
history = _core.History(sys.argv[1])
history.start(ferrometer.REGISTRY._native)
while True:
    print(int(history.writes), flush=True)
    time.sleep(0.05)
"""


def _worker(directory: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORKER, directory], stdout=subprocess.PIPE, text=True)


def _until_it_writes(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    while worker.stdout.readline() != "1\n":
        assert worker.poll() is None, "it ended"


def _follow(effort: Effort) -> Samples:
    """Seconds from the kill of a writer to the moment when another process writes."""
    samples: Samples = {OURS: []}
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o700)
        writer = _worker(directory)
        _until_it_writes(writer)
        for _ in range(2 if effort.quick else 9):
            follower = _worker(directory)
            assert follower.stdout is not None
            assert follower.stdout.readline() == "0\n", "two write"
            writer.send_signal(signal.SIGKILL)
            killed = time.monotonic()
            _until_it_writes(follower)
            samples[OURS].append(time.monotonic() - killed)
            writer.communicate()
            writer = follower
        writer.kill()
        writer.communicate()
    return samples


def _recorders(key: str) -> list[Subject]:
    """Without a history is the floor. The control does everything twice."""
    made = {
        FLOOR: Recorder(key, OURS, shared=False),
        OURS: Recorder(key, OURS, shared=False, history=True),
        CONTROL: Recorder(key, OURS, shared=False, history=True, times=2),
    }
    return [Subject(name, it.sample, it.check, step=it.step) for name, it in made.items()]


def _recording(key: str, title: str) -> Row:
    def measure(effort: Effort) -> Samples:
        return interleave(
            functools.partial(_recorders, key),
            rounds=effort.rounds(240),
            seconds=effort.seconds(0.0004),
            title=title,
            builds=effort.rounds(6, 1),
        )

    aims = (Aim(OURS, FLOOR, at_most=1.02),)
    note = "floor: the same without a history; control: twice"
    return Row(f"history_record_{key}", title, "ns", measure, aims, faster_than_control=OURS, note=note)


ROWS = [
    _recording("inc", "history: inc() while it records"),
    _recording("observe", "history: observe(x) while it records"),
    Row(
        "history_day",
        "history: a day of 1 000 routes, 1 000 requests/s (Zipf)",
        "bytes",
        _day,
        aims=(Aim(OURS, at_most=32 * MIB),),
        note="all levels and families, on a simulated clock",
    ),
    Row(
        "history_look",
        "history: one look at 1 000 routes, each second",
        "ms",
        _look,
        aims=(Aim(OURS, at_most=5.0),),
        note="coding alone, without reading the cells of workers; 5 ms are 0.5 % of a core",
    ),
    Row(
        "history_instant",
        "history: p99 by endpoint of 1 000 routes x 15 buckets, instant",
        "ms",
        functools.partial(_query, "instant"),
        aims=(Aim(PROMETHEUS, over=OURS, at_least=20),),
        note="processor time, JSON included; samples every second on both sides, answers equal to 1e-9",
    ),
    Row(
        "history_range",
        "history: the same of 50 routes over 24 h in 300 steps",
        "ms",
        functools.partial(_query, "range"),
        aims=(Aim(PROMETHEUS, over=OURS, at_least=20),),
        note="as above; samples of all levels",
    ),
    Row(
        "history_follow",
        "history: from the kill of the writer to the next one",
        "ms",
        _follow,
        aims=(Aim(OURS, at_most=2000.0),),
        note="another process, which looks each second",
    ),
]
