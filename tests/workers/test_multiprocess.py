"""prometheus_client's multi-process mode: its variable, its collector, its modes, by its names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.workers.servers import total

HEAD = """
import os, sys
from {library} import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from {library}.multiprocess import MultiProcessCollector, mark_process_dead

def fork(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)
    return pid

def show():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    print("shown")
    print(generate_latest(registry).decode())
"""


def run(library: str, program: str, directory: Path, *, variable: str = "PROMETHEUS_MULTIPROC_DIR") -> str:
    directory.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if "multiproc" not in k.lower()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD.format(library=library) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment, variable: str(directory)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ALL_TYPES = """
    registry = CollectorRegistry()
    c = Counter("c", "A counter", ["x"], registry=registry)
    h = Histogram("h", "A histogram", buckets=(1, 5), registry=registry)
    s = Summary("s", "A summary", ["x"], registry=registry)
    plain = Counter("plain", "Of the default registry")
    nowhere = Counter("nowhere", "Of no registry", registry=None)
    def work():
        c.labels("a").inc(3)
        c.labels(str(n)).inc()
        for i in range(8):
            h.observe(i)
        s.labels("b").observe(2.5)
        plain.inc(4)
        nowhere.inc(2)
    for n in range(4):
        fork(work)
    n = "parent"
    work()
    show()
"""


def values(text: str) -> dict[str, float]:
    """Every sample but those of times, by name and labels."""
    rows = re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, flags=re.MULTILINE)
    hidden = ("_created", "ferrometer_segments")
    return {name: float(number) for name, number in rows if not any(word in name for word in hidden)}


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_all_processes_are_one_as_with_prometheus_client(tmp_path: Path, variable: str) -> None:
    ours = values(run("ferrometer", ALL_TYPES, tmp_path / "ours", variable=variable))
    theirs = values(run("prometheus_client", ALL_TYPES, tmp_path / "theirs", variable=variable))
    assert ours == theirs
    assert ours['c_total{x="a"}'] == 15
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {"ferrometer"}


MODES = """
    modes = [live + mode for live in ("", "live") for mode in ("all", "sum", "min", "max", "mostrecent")]
    gauges = {mode: Gauge(f"g_{mode}", "A gauge", ["x"], multiprocess_mode=mode) for mode in modes}
    def work(value):
        for gauge in gauges.values():
            gauge.labels("a").set(value)
    pids = [fork(lambda: work(value)) for value in (5, 7, 2)]
    for pid in pids:
        mark_process_dead(pid)
    work(3)
    print("pids", *pids, os.getpid())
    show()
"""


def test_every_mode_means_what_it_means_there(tmp_path: Path) -> None:
    said = {}
    for library in ("ferrometer", "prometheus_client"):
        text = run(library, MODES, tmp_path / library)
        pids = re.findall(r"^pids (.*)$", text, flags=re.MULTILINE)[0].split()
        for place, pid in enumerate(pids):
            text = text.replace(f'pid="{pid}"', f'pid="process {place}"')
        said[library] = values(text)
    assert said["ferrometer"] == said["prometheus_client"]
    ours = said["ferrometer"]
    assert sorted(value for name, value in ours.items() if name.startswith("g_all")) == [2, 3, 5, 7]
    assert [value for name, value in ours.items() if name.startswith("g_liveall")] == [3]
    assert ours['g_sum{x="a"}'] == 17
    assert ours['g_mostrecent{x="a"}'] == 3


def test_info_and_enum_work_where_there_they_do_not(tmp_path: Path) -> None:
    program = """
        info = Info("build", "Which")
        state = Enum("state", "How", states=["up", "down"])
        def work():
            info.info({"version": "2"})
            state.state("down")
        info.info({"version": "1"})
        fork(work)
        show()
    """
    text = run("ferrometer", program, tmp_path / "ours")
    assert 'build_info{version="2"} 1.0' in text
    assert 'state{state="down"} 1.0' in text


def test_prometheus_clients_own_files_are_read_too(tmp_path: Path) -> None:
    program = """
        import prometheus_client
        theirs = prometheus_client.Counter("theirs", "Of a library that uses it")
        ours = Counter("ours", "A counter")
        def work():
            theirs.inc(2)
            ours.inc(3)
        fork(work)
        work()
        show()
    """
    text = run("ferrometer", program, tmp_path / "both").encode()
    assert total(text, "theirs_total") == 4
    assert total(text, "ours_total") == 6


def test_removed_series_are_gone_in_all_processes(tmp_path: Path) -> None:
    program = """
        c = Counter("c", "A counter", ["x"])
        def work():
            c.labels("a").inc()
            c.labels("b").inc()
        fork(work)
        work()
        c.remove("a")
        show()
        fork(lambda: c.labels("a").inc(7))
        show()
        c.clear()
        show()
    """
    text = run("ferrometer", program, tmp_path / "ours")
    first, second, third = (part.encode() for part in text.split("shown\n")[1:])
    assert total(first, "c_total", 'x="a"') == 0
    assert total(first, "c_total", 'x="b"') == 2
    assert total(second, "c_total", 'x="a"') == 7
    assert total(second, "c_total", 'x="b"') == 2
    assert total(third, "c_total") == 0


def test_the_default_registry_shows_the_same(tmp_path: Path) -> None:
    program = """
        c = Counter("c", "A counter")
        fork(lambda: c.inc(5))
        c.inc()
        print(generate_latest().decode())
        from ferrometer import REGISTRY
        assert REGISTRY.get_sample_value("c_total") == 6
        assert c._value.get() == 1, "its own"
    """
    assert total(run("ferrometer", program, tmp_path / "ours").encode(), "c_total") == 6


def test_without_a_directory_it_is_refused_in_the_same_words() -> None:
    program = "from ferrometer.multiprocess import *\nMultiProcessCollector(None)"
    environment = {k: v for k, v in os.environ.items() if "multiproc" not in k.lower()}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert "ValueError: env PROMETHEUS_MULTIPROC_DIR is not set or not a directory" in done.stderr


def test_another_program_reads_the_directory(tmp_path: Path) -> None:
    run("ferrometer", "Counter('c', 'A counter').inc(3)", tmp_path / "ours")
    run("ferrometer", "Counter('c', 'A counter').inc(4)", tmp_path / "ours")
    program = f"""
import ferrometer
from ferrometer.multiprocess import MultiProcessCollector
for path in ({str(tmp_path / "ours")!r}, {str(tmp_path / "ours" / "ferrometer")!r}):
    registry = ferrometer.CollectorRegistry()
    MultiProcessCollector(registry, path=path)
    assert registry.get_sample_value("c_total") == 7
assert ferrometer.sharing.shared_directory() is None
"""
    subprocess.run([sys.executable, "-c", "import ferrometer.sharing\n" + program], check=True, timeout=60)


ACCELERATED = """
    import ferrometer
    before = Counter("before", "A counter")
    with ferrometer.accelerate():
        after = Counter("after", "A counter", ["x"])
        gauge = Gauge("level", "A gauge", multiprocess_mode="livesum")
        def work():
            before.inc(2)
            after.labels("a").inc(3)
            gauge.set(4)
        fork(work)
        fork(work)
        work()
        show()
    print(type(after).__mro__)
"""


def test_an_accelerated_program_shares_and_prometheus_clients_collector_shows_it(tmp_path: Path) -> None:
    text = run(
        "prometheus_client", "import ferrometer\n" + textwrap.dedent(ACCELERATED), tmp_path / "both"
    ).encode()
    assert total(text, "before_total") == 6
    assert total(text, "after_total", 'x="a"') == 9
    assert total(text, "level") == 4, "of those that live"
    assert b"ferrometer" in text
    assert len(list((tmp_path / "both").glob("counter_*.db"))) == 3, "what was made before is in its files"
    assert list((tmp_path / "both").glob("gauge_*.db")) == []
