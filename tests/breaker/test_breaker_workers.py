"""One breaker in several processes: what one finds out counts for all, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ferrometer.cli import main as cli
from tests.real.component import UNSHARE
from tests.workers import talking

BEGIN = """
import asyncio, json, os, signal, sys, time
import ferrometer
ferrometer.share(sys.argv[1])
from ferrometer.breaker import CircuitBreaker, CircuitOpenError

def quick(open_seconds, **settings):
    fixed = dict(consecutive_failures=3, trial_seconds=3600, jitter=0)
    return CircuitBreaker("provider", open_seconds=open_seconds, **fixed, **settings)

def say(value): print(json.dumps(value), flush=True)
def listen(): return sys.stdin.readline().strip()

def fail(one, times=3):
    for _ in range(times):
        one.begin().failure()

def wait_until_it_may_be_tried(one):
    while one.state == "open":
        try:
            return one.begin()
        except CircuitOpenError:
            time.sleep(0.01)
    while True:
        try:
            return one.begin()
        except CircuitOpenError:
            time.sleep(0.01)
"""

workers = partial(talking.workers, BEGIN)


def test_a_trip_counts_in_every_worker_within_a_millisecond(tmp_path: Path) -> None:
    watcher = """
        one = CircuitBreaker("provider", consecutive_failures=3, open_seconds=3600, longest_open_seconds=3600)
        say("ready")
        listen()
        last = None
        while True:
            at = time.monotonic()
            try:
                one.begin().success()
            except CircuitOpenError:
                break
            last = at
        say(last)
    """
    tripper = """
        one = CircuitBreaker("provider", consecutive_failures=3, open_seconds=3600, longest_open_seconds=3600)
        say("ready")
        listen()
        while one.state == "closed":
            one.begin().failure()
        say(time.monotonic())
        listen()
    """
    with workers(tmp_path, watcher, 4) as watching, workers(tmp_path, tripper, 1) as [tripping]:
        for worker in [*watching, tripping]:
            assert worker.read() == "ready"
        for worker in watching:
            worker.write()
        tripping.write()
        tripped = tripping.read()
        assert isinstance(tripped, float)
        for worker in watching:
            last = worker.read()
            # The latest call that was let through began before the trip, or within a millisecond of it.
            assert last is None or (isinstance(last, float) and last <= tripped + 0.001)


def test_a_killed_trial_frees_its_lease(tmp_path: Path) -> None:
    program = """
        one = quick(0.05)
        fail(one)
        call = wait_until_it_may_be_tried(one)
        say(call.is_trial)
        listen()
    """
    other = """
        one = quick(0.05)
        say([one.state, one.trials])
        for _ in range(20):
            try:
                one.begin()
            except CircuitOpenError as error:
                assert error.retry_after > 3000, error.retry_after
            else:
                say("let through beside a living trial")
            time.sleep(0.01)
        say("refused")
        listen()
        call = wait_until_it_may_be_tried(one)
        say(call.is_trial)
        call.success()
        say([one.state, one.trials])
        listen()
    """
    with workers(tmp_path, program, 1) as [first]:
        assert first.read() is True
        with workers(tmp_path, other, 1) as [second]:
            assert second.read() == ["half_open", 1]
            assert second.read() == "refused"
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(60)
            second.write()
            assert second.read() is True
            assert second.read() == ["closed", 0]


def test_a_fork_with_a_trial_open_leaves_it_to_the_parent(tmp_path: Path) -> None:
    program = """
        one = quick(0.05)
        fail(one)
        call = wait_until_it_may_be_tried(one)
        child = os.fork()
        if child == 0:
            call.success()  # the parent's trial, not this one's
            try:
                one.begin()
            except CircuitOpenError:
                os._exit(7)
            os._exit(1)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        say([one.state, one.trials])
        call.success()
        say([one.state, one.trials])
        fail(one)
        child = os.fork()
        if child == 0:
            call = wait_until_it_may_be_tried(one)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        call = wait_until_it_may_be_tried(one)
        say(call.is_trial)
        listen()
    """
    with workers(tmp_path, program, 1) as [worker]:
        assert worker.read() == 7
        assert worker.read() == ["half_open", 1]
        assert worker.read() == ["closed", 0]
        assert worker.read() is True


def test_ten_thousand_callers_at_half_open_get_the_trials_that_are_allowed(tmp_path: Path) -> None:
    program = """
        one = quick(0.2, trials=3)
        say("ready")
        listen()
        through = 0

        async def ask(gate):
            global through
            await gate.wait()
            try:
                async with one.call():
                    through += 1
                    await asyncio.get_running_loop().run_in_executor(None, listen)
            except CircuitOpenError:
                pass

        async def main():
            gate = asyncio.Event()
            tasks = [asyncio.create_task(ask(gate)) for _ in range(2500)]
            await asyncio.sleep(0)
            while one.state == "open":
                try:
                    call = one.begin()
                    call.cancel()
                except CircuitOpenError:
                    pass
            gate.set()
            for _ in range(5):
                await asyncio.sleep(0)
            say([through, one.trials])
            await asyncio.gather(*tasks)

        asyncio.run(main())
    """
    trip = """
        one = quick(0.2, trials=3)
        fail(one)
        say(one.state)
    """
    with workers(tmp_path, program, 4) as asking:
        for worker in asking:
            assert worker.read() == "ready"
        with workers(tmp_path, trip, 1) as [tripping]:
            assert tripping.read() == "open"
        for worker in asking:
            worker.write()
        found = [worker.read() for worker in asking]
        through = sum(one[0] for one in found if isinstance(one, list))
        assert through == 3, found


def test_breakers_made_before_sharing_and_before_a_fork_are_one(tmp_path: Path) -> None:
    source = """
import json, os, sys
import ferrometer
from ferrometer.breaker import CircuitBreaker
one = CircuitBreaker("provider", group="all", consecutive_failures=1, open_seconds=300)
other = CircuitBreaker("other", group="all", consecutive_failures=1)
ferrometer.share(sys.argv[1])
child = os.fork()
if child == 0:
    one.begin().failure()
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps([one.state, other.state]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", source, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(ended.stdout) == ["open", "closed"]


def test_a_worker_without_a_breaker_shows_those_of_the_others(tmp_path: Path) -> None:
    program = """
        one = CircuitBreaker("provider", consecutive_failures=3)
        fail(one)
        say(one.state)
        listen()
    """
    scraper = """
        from ferrometer.breaker.feature import expose
        expose(namespace="gw")
        value = ferrometer.REGISTRY.get_sample_value
        say(value("gw_circuit_breaker_state", {"provider": "provider", "state": "open"}))
    """
    with workers(tmp_path, program, 1) as [first], workers(tmp_path, scraper, 1) as [second]:
        assert first.read() == "open"
        second.kill()
        with workers(tmp_path, scraper, 1) as [third]:
            assert third.read() == 1


def test_two_of_a_group_never_open_both(tmp_path: Path) -> None:
    watcher = """
        both = [CircuitBreaker(name, group="all", consecutive_failures=1, open_seconds=3600,
                               longest_open_seconds=3600) for name in "ab"]
        say("ready")
        mine = int(listen())
        shut = 0
        for turn in range(3000):
            one = both[mine]
            try:
                one.begin().failure()
            except CircuitOpenError:
                pass
            if [each.state for each in both] == ["open", "open"]:
                shut += 1
            if one.state == "open" and turn % 3 == 0:
                one.reset()
        say(shut)
        listen()
    """
    with workers(tmp_path, watcher, 2) as pair:
        for worker in pair:
            assert worker.read() == "ready"
        for index, worker in enumerate(pair):
            worker.write(str(index))
        # Each looks at one after the other, so what it saw may be two moments; still hardly ever.
        assert all(worker.read() == 0 for worker in pair)


def test_a_directory_that_cannot_be_written_leaves_a_breaker_to_each_worker(tmp_path: Path) -> None:
    (tmp_path / "breakers-1.state").write_bytes(b"of another version")
    program = """
        import logging
        told = []
        class Told(logging.Handler):
            def emit(self, record): told.append(record.getMessage())
        logging.getLogger("ferrometer").addHandler(Told())
        one = CircuitBreaker("provider", consecutive_failures=1)
        fail(one, 1)
        say([one.state, told])
    """
    with workers(tmp_path, program, 1) as [worker]:
        found = worker.read()
    assert isinstance(found, list)
    assert found[0] == "open"
    [words] = found[1]
    assert "not shared with the others" in words
    assert "breakers-1.state is of another version or owner, or damaged" in words


def test_a_directory_that_vanishes_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    directory.mkdir(mode=0o700)
    program = """
        import logging, shutil
        from ferrometer._runtime.runtime import Runtime
        from ferrometer.breaker.feature import Breakers
        told = []
        class Told(logging.Handler):
            def emit(self, record): told.append(record.getMessage())
        feature = Breakers()
        Runtime().add(feature)
        one = CircuitBreaker("provider", consecutive_failures=1)
        feature._table.look()
        logging.getLogger("ferrometer").addHandler(Told())
        shutil.rmtree(sys.argv[1])
        feature._table.look()
        feature._table.look()
        fail(one, 1)
        say([one.state, [words for words in told if "of the circuit breakers" in words]])
    """
    with workers(directory, program, 1) as [worker]:
        found = worker.read()
    assert isinstance(found, list)
    assert found[0] == "open"
    [words] = found[1]
    assert "restart all of them" in words


def test_a_million_names_are_capped(registry_program: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", registry_program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    series, without_room, state = json.loads(ended.stdout)
    assert series == 1024 * 3
    assert without_room == 2000 - 1024
    assert state == "open"


@pytest.fixture
def registry_program() -> str:
    """2 000 breakers of the million: the table has room for 1 024."""
    return textwrap.dedent("""
        import json, sys
        import ferrometer
        from ferrometer.breaker import CircuitBreaker
        from ferrometer.breaker.feature import expose
        ferrometer.share(sys.argv[1])
        expose()
        made = [CircuitBreaker(f"provider {i}", consecutive_failures=1) for i in range(2000)]
        made[-1].begin().failure()
        text = ferrometer.generate_latest().decode()
        series = sum(line.startswith("circuit_breaker_state{") for line in text.splitlines())
        labels = {"table": "breakers"}
        without = ferrometer.REGISTRY.get_sample_value("ferrometer_breakers_without_room_total", labels)
        print(json.dumps([series, without, made[-1].state]))
    """)


def test_the_command_lists_opens_and_resets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = """
        one = CircuitBreaker("openai", consecutive_failures=3)
        say(one.state)
        while listen():
            say([one.state, one.forced])
    """
    with workers(tmp_path, program, 1) as [worker]:
        assert worker.read() == "closed"
        where = ["--directory", str(tmp_path)]
        assert cli.main(["breaker", "list", *where]) == 0
        assert capsys.readouterr().out == "openai: closed, 0 calls refused, 0 trials under way\n"
        assert cli.main(["breaker", "open", "openai", *where]) == 0
        worker.write()
        assert worker.read() == ["open", True]
        assert "openai: open (forced)" in capsys.readouterr().out
        assert cli.main(["breaker", "reset", "openai", *where]) == 0
        worker.write()
        assert worker.read() == ["closed", False]
        assert cli.main(["breaker", "open", "nobody", *where]) == 1
        assert "there is no breaker 'nobody'; there are: openai" in capsys.readouterr().err
        assert cli.main(["breaker", "open", *where]) == 2
        assert cli.main(["breaker", "--directory", str(tmp_path / "none")]) == 2
    assert cli.main(["breaker", "list", "--directory", str(tmp_path)]) == 0


def _in_another_time(directory: Path, seconds: int, program: str) -> Any:
    """What a process says whose monotonic clock is so many seconds ahead."""
    command = [str(UNSHARE.require()), "--time", "--monotonic", str(seconds), sys.executable, "-c"]
    ended = subprocess.run(
        [*command, BEGIN + textwrap.dedent(program), str(directory)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "unshare" in ended.stderr:
        pytest.skip(f"no time namespaces here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_clocks_that_jump_keep_no_breaker_open_for_longer_and_lose_no_call(tmp_path: Path) -> None:
    program = """
        from ferrometer.providers import record
        one = quick(60, longest_open_seconds=120)
        if one.state != "closed":
            call = one.begin()  # never refused for a day
            assert call.is_trial
            call.success()
        record("p")
        found = [one.state, ferrometer._core.list_providers()[0][4]]
        fail(one)
        say([*found, one.state])
    """
    # A day ahead, back again, ahead again: each finds a breaker that another time opened.
    assert _in_another_time(tmp_path, 86_400, program) == ["closed", 1.0, "open"]
    assert _in_another_time(tmp_path, 0, program) == ["closed", 1.0, "open"]
    assert _in_another_time(tmp_path, 86_400, program) == ["closed", 1.0, "open"]
