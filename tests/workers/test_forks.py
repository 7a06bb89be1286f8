"""Processes that multiply: by fork with threads, by fork of a fork, by spawn; and that end in every way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.workers.servers import total, until

HEAD = """
import multiprocessing, os, signal, sys, threading, time
import ferrometer

directory = sys.argv[1]
counter = ferrometer.Counter("a", "A counter", ["x"])
histogram = ferrometer.Histogram("h", "A histogram", buckets=(1, 10))
child = counter.labels("child")

def work(n, x="child"):
    for i in range(n):
        counter.labels(x).inc()
        histogram.observe(i % 20)

def fork(then, end=os._exit):
    pid = os.fork()
    if pid == 0:
        then()
        end(0)
    return pid

def join(pids):
    for pid in pids:
        os.waitpid(pid, 0)

def show():
    print(ferrometer.generate_latest().decode())
"""


def run(program: str, directory: Path, **environment: str) -> bytes:
    """What the program prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + textwrap.dedent(program), str(directory)],
        capture_output=True,
        timeout=120,
        env={**os.environ, **environment},
        cwd=directory.parent,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr, done.stderr.decode()
    return done.stdout


def check(exposition: bytes, n: int, *labels: str) -> None:
    assert total(exposition, "a_total", *labels) == n
    if not labels:
        assert total(exposition, "h_count") == n
        assert total(exposition, "h_bucket", 'le="+Inf"') == n


ENDS = {
    "os._exit": "os._exit",
    "sys.exit": "sys.exit",
    "SIGKILL": "lambda _: os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "lambda _: os.kill(os.getpid(), signal.SIGTERM)",
    "abort": "lambda _: os.abort()",
    "exec": "lambda _: os.execlp('true', 'true')",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_forks_are_counted_however_they_end(end: str, tmp_path: Path) -> None:
    program = f"""
        ferrometer.share(directory)
        work(10)
        join([fork(lambda: work(100), end={end}) for _ in range(5)])
        work(1)
        show()
    """
    check(run(program, tmp_path / "shared"), 511)


def test_what_was_before_sharing_comes_along_and_into_no_child(tmp_path: Path) -> None:
    program = """
        work(7)
        ferrometer.share(directory)
        work(5)
        join([fork(lambda: work(2)) for _ in range(3)])
        show()
    """
    check(run(program, tmp_path / "shared"), 18)


def test_a_fork_of_a_fork_of_a_fork(tmp_path: Path) -> None:
    program = """
        def deep(n):
            work(10)
            if n:
                join([fork(lambda: deep(n - 1)) for _ in range(2)])
            work(1)
        ferrometer.share(directory)
        deep(4)
        show()
    """
    check(run(program, tmp_path / "shared"), 31 * 11)


def test_forks_while_threads_count(tmp_path: Path) -> None:
    program = """
        ferrometer.share(directory)
        going, counted = True, []
        def count(x):
            n = 0
            while going:
                counter.labels(x).inc()
                histogram.observe(n)
                n += 1
                if n % 100 == 0:
                    counter.labels(f"{x}-{n}").inc(0)   # a new series: the log grows
            counted.append(n)
        threads = [threading.Thread(target=count, args=(f"thread{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            join([fork(lambda: work(25)) for _ in range(2)])
        going = False
        for thread in threads:
            thread.join()
        print("counted", sum(counted))
        show()
    """
    said = run(program, tmp_path / "shared")
    counted = int(re.findall(rb"^counted (\d+)$", said, re.MULTILINE)[0])
    check(said, 2000, 'x="child"')
    check(said, counted + 2000)


def test_a_scrape_in_the_parent_while_children_come_and_go(tmp_path: Path) -> None:
    program = """
        ferrometer.share(directory)
        last = -1
        for _ in range(40):
            pids = [fork(lambda: work(5)) for _ in range(3)]
            text = ferrometer.generate_latest().decode()
            shown = sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("a_total{"))
            assert shown >= last, (shown, last)
            last = shown
            join(pids)
        show()
    """
    check(run(program, tmp_path / "shared"), 600)


def test_two_hundred_short_forks_leave_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    program = """
        ferrometer.share(directory)
        most = 0
        for i in range(200):
            join([fork(lambda: work(3))])
            if i % 20 == 19:
                ferrometer.generate_latest()
                most = max(most, len(os.listdir(directory)))
        assert most < 30, most
        ferrometer.generate_latest()
        print("files", sorted(os.listdir(directory)))
        show()
    """
    said = run(program, directory)
    check(said, 600)
    files = re.findall(rb"^files (.*)$", said, re.MULTILINE)[0].decode()
    assert files.count(".seg") == 2, files  # its own, and the graveyard
    assert files.count("'") <= 10, files


def test_spawned_processes_follow_their_parent(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(
        "import ferrometer\n"
        "counter = ferrometer.Counter('a', 'A counter', ['x'])\n"
        "histogram = ferrometer.Histogram('h', 'A histogram', buckets=(1, 10))\n"
        "def work(n):\n"
        "    for i in range(n):\n"
        "        counter.labels('spawned').inc()\n"
        "        histogram.observe(i)\n"
    )
    program = """
        ferrometer.share(directory)
        sys.path.insert(0, os.getcwd())
        import job
        with multiprocessing.get_context("spawn").Pool(3) as pool:
            pool.map(job.work, [10] * 12)
            pool.close()
            pool.join()
        process = multiprocessing.get_context("spawn").Process(target=job.work, args=(30,))
        process.start()
        process.join()
        with multiprocessing.get_context("fork").Pool(3) as pool:
            pool.map(job.work, [10] * 5)
            pool.close()
            pool.join()
        show()
    """
    check(run(program, tmp_path / "shared"), 200)


def test_a_subprocess_is_another_program(tmp_path: Path) -> None:
    program = """
        ferrometer.share(directory)
        import subprocess
        other = "from ferrometer.sharing import shared_directory; print(shared_directory())"
        assert subprocess.check_output([sys.executable, "-c", other]).strip() == b"None"
        work(1)
        show()
    """
    check(run(program, tmp_path / "shared"), 1)


def test_the_environment_is_enough_for_programs_that_know_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    for n in range(1, 4):
        said = run("work(10)\nshow()", directory, FERROMETER_DIR=str(directory))
        check(said, 10 * n)
    check(run("work(10)\nshow()", directory, FERROMETER_DIR=str(directory), FERROMETER_SHARED="false"), 10)


def test_the_command_records_nothing_into_the_directory_it_looks_at(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    for command in (
        ["-m", "ferrometer", "version"],
        [str(Path(sys.executable).parent / "ferrometer"), "version"],
    ):
        words = command if command[0] != "-m" else [sys.executable, *command]
        subprocess.run(words, check=True, env={**os.environ, "FERROMETER_DIR": str(directory)}, timeout=30)
        assert not directory.exists()


def test_the_same_process_id_twice(tmp_path: Path) -> None:
    """In two pid namespaces at once, and in one after the other."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("making a pid namespace is not permitted here")
    directory = tmp_path / "shared"
    program = HEAD + textwrap.dedent("""
        gauge = ferrometer.Gauge("g", "A gauge", multiprocess_mode="liveall")
        gauge.set(3)
        ferrometer.share(directory)
        work(10)
        print(os.getpid(), flush=True)
        sys.stdin.readline()
        show()
    """)

    def start() -> subprocess.Popen[bytes]:
        command = [*unshare, sys.executable, "-c", program, str(directory)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    for round_ in range(1, 4):
        both = [start(), start()]
        for process in both:
            assert process.stdout is not None
            assert process.stdout.readline() == b"1\n"
        one, _ = both[0].communicate(b"\n", timeout=30)
        check(one, 20 * round_)
        assert total(one, "g") == 6, "both live"
        two, _ = both[1].communicate(b"\n", timeout=30)
        check(two, 20 * round_)
        assert total(two, "g") == 3, "one lives"


def test_a_child_that_cannot_share_says_so(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    program = HEAD + textwrap.dedent("""
        import shutil
        ferrometer.share(directory)
        shutil.rmtree(directory)
        open(directory, "w").close()
        join([fork(lambda: work(5))])
        work(5)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert str(directory) in done.stderr
    assert "its own numbers only" in done.stderr


def test_a_parent_that_is_killed_leaves_its_children_sharing(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    program = """
        ferrometer.share(directory)
        work(10)
        if not os.fork():
            while os.getppid() == int(sys.argv[2]):
                time.sleep(0.01)
            work(10)
            fork(lambda: work(10))
            os.wait()
            show()
            sys.stdout.flush()
            os._exit(0)
        time.sleep(60)
    """
    source = (
        (HEAD + textwrap.dedent(program))
        .replace("int(sys.argv[2])", "parent")
        .replace("ferrometer.share(directory)", "ferrometer.share(directory); parent = os.getpid()")
    )
    command = [sys.executable, "-c", source, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        until(lambda: len(list(directory.glob("*.seg"))) == 2, what="two processes")
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        check(process.stdout.read(), 30)


def test_a_pool_that_one_worker_closes_stays_in_the_others(tmp_path: Path) -> None:
    program = """
        from ferrometer.collectors.sql.metrics import PoolMetrics, PoolState
        ferrometer.share(directory)
        def pool():
            made = PoolMetrics("main", lambda: PoolState(2, 1, 5), None, ferrometer.REGISTRY)
            made.refresh()
            return made
        def child():
            pool().forget()
            os.close(ready[1])
            time.sleep(60)
        pool()
        ready = os.pipe()
        pid = fork(child)
        os.close(ready[1])
        os.read(ready[0], 1)
        show()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    """
    said = run(program, tmp_path / "shared")
    assert total(said, "db_pool_connections", 'state="active"') == 2
    assert total(said, "db_pool_connections_max") == 5
