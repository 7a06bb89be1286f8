"""Lines leave in order, once, whatever happens to the process that wrote them or that ships them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ferrometer import _core
from tests.logs.programs import finish, lines, numbers, program, run, settled, wait_for


def test_lines_leave_in_order_to_every_sink(tmp_path: Path) -> None:
    out, err = run(
        """
ship.start([Stdout(), File(sys.argv[1])], service="s")
for number in range(2000): log(number)
assert ship.flush(30)
told(ship.counts())
""",
        tmp_path / "log",
    )
    assert numbers(map(json.loads, out.splitlines())) == list(range(2000))
    assert numbers(lines(tmp_path / "log")) == list(range(2000))
    counts = json.loads(err)
    assert counts["lines"]["info"] == 2000
    for sink in counts["sinks"]:
        assert settled(counts, sink) == 2000
        assert counts["sinks"][sink]["shipped"] == 2000


def test_the_end_of_the_interpreter_flushes(tmp_path: Path) -> None:
    run(
        "ship.start([File(sys.argv[1])], service='s')\nfor number in range(500): log(number)",
        tmp_path / "log",
    )
    assert numbers(lines(tmp_path / "log")) == list(range(500))


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"])
def test_another_worker_ships_what_a_dead_one_left(tmp_path: Path, end: str) -> None:
    shared, log = tmp_path / "shared", tmp_path / "log"
    # The first logs to a receiver that is not there, so that everything waits at its death.
    dead = program(
        f"""
share(sys.argv[1])
ship.start([Syslog("127.0.0.1:1", name="s")], service="s")
for number in range(1000): log(number)
told("ready")
{end}
""",
        shared,
        stderr=subprocess.PIPE,
    )
    _, err = dead.communicate(timeout=60)
    assert '"ready"' in err
    run(
        """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="s")], service="s")
end = time.monotonic() + 60
while [name for name in os.listdir(sys.argv[1]) if name.endswith(".ring")] and time.monotonic() < end:
    time.sleep(0.02)
    log(5000, level=0)
    if ship.counts()["sinks"]["s"]["shipped"] >= 1001: break
""",
        shared,
        log,
    )
    # Each once. An attempt that the death cut short may have arrived, as far as is known: then they say so.
    found = [row["number"] for row in lines(log) if row["number"] < 5000]
    assert found == list(range(1000))


def test_a_killed_shipper_is_replaced_and_doubles_are_marked(tmp_path: Path) -> None:
    shared, log = tmp_path / "shared", tmp_path / "log"
    worker = """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="file")], service="s", queue_bytes=8 << 20)
number, base = 0, int(sys.argv[3])
while True:
    if log(base + number):
        number += 1
        if number % 50 == 0: print(base + number - 1, flush=True)
    if number % 500 == 0: time.sleep(0.001)
"""
    acknowledged: list[int] = []
    workers = [
        program(worker, shared, log, base * 10_000_000, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for base in range(3)
    ]
    for victim in workers:
        assert victim.stdout is not None
        victim.stdout.readline()
        wait_for(lambda: log.exists() and log.stat().st_size > 100_000, "lines in the file")
        before = log.stat().st_size
        wait_for(lambda before=before: log.stat().st_size > before + 200_000, "more lines")  # type: ignore[misc]
        victim.send_signal(signal.SIGKILL)
        out, _ = victim.communicate(timeout=60)
        acknowledged.append(int(out.split()[-1]))
    # Nobody is left; whoever comes next ships the rest.
    run(
        """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="file")], service="s")
log(1)
end = time.monotonic() + 60
while len([name for name in os.listdir(sys.argv[1]) if name.endswith(".ring")]) > 1:
    assert time.monotonic() < end, os.listdir(sys.argv[1])
    time.sleep(0.02)
counts = ship.counts()
told = [counts["sinks"]["file"][what] for what in ("shipped", "queued", "full")]
assert sum(counts["lines"].values()) == sum(told) + sum(counts["dropped"].values()), counts
""",
        shared,
        log,
    )
    text = log.read_text().splitlines()
    rows = []
    for line in text:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            assert not line.endswith("}"), "only a killed shipper leaves half a line"
    for base, last in enumerate(acknowledged):
        wanted = set(range(base * 10_000_000, last + 1))
        own = [
            row
            for row in rows
            if base * 10_000_000 <= row["number"] < (base + 1) * 10_000_000 and row["number"] != 1
        ]
        assert wanted - {1} <= {row["number"] for row in own} | {1}
        unmarked = [row["number"] for row in own if "repeated" not in row]
        assert len(unmarked) == len(set(unmarked)), "a double that is not marked"


def test_forks_have_rings_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(
        """
share(sys.argv[1])
ship.start([File(sys.argv[2])], service="s")
for number in range(100): log(number, who="parent")
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        for number in range(100): log(number, who=child)
        os._exit(0)
    children.append(pid)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
for number in range(100, 200): log(number, who="parent")
end = time.monotonic() + 60
while ship.counts()["sinks"][next(iter(ship.counts()["sinks"]))]["shipped"] < 600:
    assert time.monotonic() < end, ship.counts()
    time.sleep(0.01)
""",
        tmp_path / "shared",
        log,
    )
    rows = lines(log)
    assert [row["number"] for row in rows if row["who"] == "parent"] == list(range(200))
    for child in range(4):
        assert [row["number"] for row in rows if row["who"] == child] == list(range(100))
    assert len(rows) == 600


def test_a_fork_without_a_shared_directory_sends_its_own_lines_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(
        """
ship.start([File(sys.argv[1])], service="s")
for number in range(100): log(number, who="parent")
pid = os.fork()
for number in range(100, 200): log(number, who="child" if pid == 0 else "parent")
assert ship.flush(30)
if pid == 0: os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
""",
        log,
    )
    rows = lines(log)
    assert [row["number"] for row in rows if row["who"] == "parent"] == list(range(200))
    assert [row["number"] for row in rows if row["who"] == "child"] == list(range(100, 200))


def test_a_preloaded_application_ships_once_for_all_of_its_workers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(
        """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="f")], service="s")
workers = []
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        for number in range(300): log(number, who=worker)
        ship.stop(30)
        os._exit(0)
    workers.append(pid)
for pid in workers: os.waitpid(pid, 0)
log(0, who="master")
assert ship.flush(30)
end = time.monotonic() + 60
while ship.counts()["sinks"]["f"]["shipped"] < 901: assert time.monotonic() < end; time.sleep(0.01)
""",
        tmp_path / "shared",
        log,
    )
    rows = lines(log)
    assert len(rows) == 901
    for worker in range(3):
        assert [row["number"] for row in rows if row["who"] == worker] == list(range(300))


def test_a_slow_reader_of_stdout_delays_nobody(tmp_path: Path) -> None:
    process = program(
        """
ship.start([Stdout(), File(sys.argv[1])], service="s", queue_bytes=1 << 20)
begun = time.monotonic()
for number in range(20_000): log(number, text="x" * 100)
logged = time.monotonic() - begun
while ship.counts()["sinks"]["stdout"]["shipped"] < 100: time.sleep(0.01)
begun = time.monotonic()
assert not ship.flush(0.5)
told({"flush": time.monotonic() - begun, "counts": ship.counts(), "logged": logged})
os._exit(0)
""",
        tmp_path / "log",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    # Nobody reads stdout: 64 kB of it lie in the pipe.
    told = json.loads(process.stderr.readline())
    counts = told["counts"]
    assert told["flush"] < 30
    stdout, file = (
        counts["sinks"][name] for name in sorted(counts["sinks"], key=lambda name: name != "stdout")
    )
    assert 0 < stdout["shipped"] < 2000 < file["shipped"]
    for sink in counts["sinks"]:
        assert settled(counts, sink) == 20_000
    process.kill()
    process.communicate()


def test_who_closed_stdout_does_not_hold_the_lines(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = program(
        """
ship.start([Stdout()], service="s")
for number in range(100): log(number)
assert ship.flush(30)
told(ship.counts())
""",
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    _, err = finish(process)
    counts = json.loads(err.splitlines()[-1])
    assert counts["sinks"]["stdout"]["rejected"] == 100
    assert "closed" in err.splitlines()[0]


def test_what_is_dropped_is_counted_and_told_when_it_works_again(tmp_path: Path) -> None:
    link = tmp_path / "log"
    link.symlink_to("/dev/full")
    _, err = run(
        """
path, real = sys.argv[1:]
ship.start([File(path, name="file")], service="s", queue_bytes=256 << 10)
for number in range(10_000): log(number, level=number % 5)
assert not ship.flush(0.2)
counts = ship.counts()
told(counts)
os.unlink(path)
os.symlink(real, path)
assert ship.flush(30)
end = time.monotonic() + 30
log(10_000)
while "were dropped" not in open(real).read():
    assert time.monotonic() < end
    time.sleep(0.01)
ship.flush(30)
told(ship.counts())
""",
        link,
        tmp_path / "real",
    )
    before, after = (json.loads(line) for line in err.splitlines() if line.startswith("{"))
    dropped = before["dropped"]["full"]
    assert dropped > 5000
    assert settled(before, "file") == 10_000
    assert settled(after, "file") == 10_001
    assert "No space left" in before["sinks"]["file"]["trouble"]
    assert "free some space" in before["sinks"]["file"]["trouble"]
    assert after["sinks"]["file"]["trouble"] is None
    rows = lines(tmp_path / "real")
    told = [row for row in rows if "number" not in row]
    assert [row["message"] for row in told] == [f"{dropped} log lines were dropped"]
    assert told[0]["dropped"] == dropped
    # Errors had a reserve, and debugging gave way first.
    by_level = [sum(1 for number in numbers(rows) if number % 5 == level) for level in range(5)]
    assert by_level[0] < by_level[1] <= by_level[2] + 1 <= by_level[3] + 1
    kept = numbers(rows)
    assert kept == sorted(kept)


def test_a_directory_shipper_serves_the_dead(tmp_path: Path) -> None:
    shared, log = tmp_path / "shared", tmp_path / "log"
    program(
        """
share(sys.argv[1])
ship.start([Syslog("127.0.0.1:1", name="s")], service="s")
for number in range(100): log(number)
os._exit(0)
""",
        shared,
        stderr=subprocess.DEVNULL,
    ).wait(60)
    from ferrometer.logs import ship, sinks

    config = ship.configuration([sinks.File(log, name="s")], directory=shared, service="s")
    shipper = _core.DirectoryShipper(config)
    wait_for(lambda: len(lines(log)) == 100, "all lines")
    wait_for(lambda: not list(shared.glob("*.ring")), "the ring's removal")
    assert shipper.leads
    shipper.stop(10)
    assert numbers(lines(log)) == list(range(100))
    reader = _core.LogReader(shared)
    assert reader.read() == ([], 0, False)


def test_the_next_run_of_an_application_ships_what_the_last_one_left(tmp_path: Path) -> None:
    # Each run has a directory of its own, named after its supervisor.
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    log = tmp_path / "log"
    body = """
from ferrometer.sharing import share as share_here
share_here()
ship.start([%s], service="s")
for number in range(int(sys.argv[1]), int(sys.argv[1]) + 100): log(number)
%s
"""
    first = program(body % ('Syslog("127.0.0.1:1", name="s")', "os._exit(0)"), 0, env=environment)
    assert first.wait(60) == 0
    assert len(list(tmp_path.glob("*/*/*.ring"))) == 1
    file = f'File("{log}", name="s")'
    wait = """
end = time.monotonic() + 60
while ship.counts()["sinks"]["s"]["shipped"] < 200: assert time.monotonic() < end; time.sleep(0.01)
"""
    assert program(body % (file, wait), 100, env=environment).wait(60) == 0
    assert sorted(numbers(lines(log))) == list(range(200))


def test_what_the_dead_left_is_given_up_a_day_after_its_last_line(tmp_path: Path) -> None:
    _, err = run(
        """
share(sys.argv[1])
ship.start([Syslog("127.0.0.1:1", name="away")], service="s")
os.chdir(sys.argv[1])
rings = lambda: {name for name in os.listdir() if name.endswith(".ring")}
away = lambda what: ship.counts()["sinks"]["away"][what]
own, children = rings(), []
for age in (60, 2 * 86_400):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        at = time.time_ns() - age * 10**9
        for number in range(100): _core.append_log_line(1, json.dumps({"number": number}).encode(), at)
        os.write(write, b"x")
        signal.pause()
    children.append(pid)
    os.read(read, 1)
end = time.monotonic() + 60
while away("queued") < 200: assert time.monotonic() < end; time.sleep(0.01)
for pid in children: os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
# They had written for days: tmpfs is not told of a write to a page that is mapped already.
def make_old():
    for ring in rings() - own: os.utime(ring, (0, time.time() - 3 * 86_400))
while not away("expired"):
    assert time.monotonic() < end, away("trouble")
    make_old()
    time.sleep(0.05)
# The shipper looks ten times a second.
for _ in range(10): make_old(); time.sleep(0.05)
told(ship.counts()["sinks"]["away"])
os._exit(0)
""",
        tmp_path / "shared",
    )
    told = json.loads(err.splitlines()[-1])
    assert (told["expired"], told["queued"]) == (100, 100)
