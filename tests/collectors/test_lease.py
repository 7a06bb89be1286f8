"""Machine-wide collectors: one worker of several, another one when that one dies, told by the kernel."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ferrometer import CollectorRegistry
from ferrometer.collectors import CollectorScheduler
from ferrometer.sharing.directory import home
from ferrometer.sharing.lease import Lease, application_directory, application_key
from ferrometer.testing import samples
from tests.collectors.support import Counting, until
from tests.collectors.test_fork import in_child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock on this platform")

WORKER = """
import sys, time
from pathlib import Path
from ferrometer.collectors import CollectorScheduler, FunctionCollector, watch
watch.LEASE_SECONDS = 0.1
out = Path(sys.argv[2])

def collect():
    with out.open("a") as file:
        file.write(f"{sys.argv[1]}\\n")

scheduler = CollectorScheduler([FunctionCollector("gpu", collect, interval=0.02, scope="machine")])
scheduler.start()
(out.parent / f"ready-{sys.argv[1]}").touch()
sys.stdin.read()
scheduler.stop()
"""


class Workers:
    """Real processes with one machine-wide collector, each writing its name down at every run."""

    def __init__(self, folder: Path, program: str = WORKER) -> None:
        self._folder = folder
        self._out = folder / "runs"
        self._script = folder / "worker.py"
        self._script.write_text(program)
        self.alive: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        # One command line for all, as workers have; what differs comes in by the environment in a real
        # server and by sys.argv here, so the application is named by FERROMETER_DIR.
        command = [sys.executable, str(self._script), name, str(self._out)]
        environment = os.environ | {"FERROMETER_DIR": str(self._folder / "shared")}
        self.alive[name] = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        until((self._folder / f"ready-{name}").exists, what=f"worker {name}")

    def since(self, line: int) -> list[str]:
        return self.runs()[line:]

    def runs(self) -> list[str]:
        return self._out.read_text().split() if self._out.exists() else []

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        process = self.alive.pop(name)
        process.send_signal(how)
        process.wait(10)
        process.communicate()

    def end(self, name: str) -> None:
        process = self.alive.pop(name)
        process.communicate(timeout=20)
        assert process.returncode == 0

    def stop(self) -> None:
        for name in list(self.alive):
            self.kill(name)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    with ExitStack() as stack:
        made = Workers(tmp_path)
        stack.callback(made.stop)
        yield made


def test_one_of_three_workers_flies_and_another_one_after_kill_9(workers: Workers) -> None:
    for name in ("a", "b", "c"):
        workers.start(name)
    until(lambda: len(workers.runs()) > 10)
    left = {"a", "b", "c"}
    for _ in range(2):
        (holder,) = set(workers.since(-10))
        left.remove(holder)
        workers.kill(holder)
        before = len(workers.runs())
        began = time.monotonic()
        until(lambda before=before: len(workers.runs()) > before + 20, what="a take-over")  # type: ignore[misc]
        assert time.monotonic() - began < 5
        (successor,) = set(workers.since(before))
        assert successor in left
    workers.end(successor)


def test_a_worker_that_stops_hands_over(workers: Workers) -> None:
    workers.start("a")
    until(lambda: len(workers.runs()) > 3)
    workers.start("b")
    workers.end("a")
    before = len(workers.runs())
    until(lambda: len(workers.runs()) > before + 5)
    assert set(workers.since(before)) == {"b"}


def test_a_frozen_worker_keeps_the_lease(workers: Workers) -> None:
    """The lock is the truth: a holder that may wake up again is still the holder."""
    workers.start("a")
    until(lambda: len(workers.runs()) > 3)
    workers.start("b")
    workers.alive["a"].send_signal(signal.SIGSTOP)
    before = len(workers.runs())
    time.sleep(0.5)
    assert set(workers.since(before)) <= {"a"}
    workers.alive["a"].send_signal(signal.SIGCONT)
    until(lambda: len(workers.since(before)) > 3)
    assert set(workers.since(before)) == {"a"}


CONTENDING = """
import os, sys
from pathlib import Path
from ferrometer.collectors.lease import Lease

home = Path(sys.argv[1])
lease, holder, held = Lease(home / "application", "gpu"), home / "holder", 0
while held < 150:
    if lease.hold():
        held += 1
        os.close(os.open(holder, os.O_CREAT | os.O_EXCL))  # fails if there is another one
        os.unlink(holder)
        lease.release()
"""


def test_many_that_take_and_release_never_hold_it_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTENDING, str(tmp_path)]
    contenders = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [contender.communicate(timeout=60)[1] for contender in contenders] == [""] * 4


FORKING = """
import os, sys, time
from pathlib import Path
from ferrometer.collectors.lease import Lease
lease = Lease(Path(sys.argv[1]), "gpu")
assert lease.hold()
if os.fork() == 0:
    # A grandchild by subprocess, too: it must not inherit the descriptor through exec.
    import subprocess
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (Path(sys.argv[1]) / "child").write_text(f"{os.getpid()} {sleeper.pid}")
    time.sleep(60)
time.sleep(60)
"""


def test_a_forked_child_does_not_keep_its_dead_parents_lease(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", FORKING, str(tmp_path)])
    children = tmp_path / "child"
    until(lambda: children.exists() and len(children.read_text().split()) == 2)
    lease = Lease(tmp_path, "gpu")
    assert not lease.hold()
    holder.kill()
    holder.wait(10)
    pids = [int(pid) for pid in children.read_text().split()]
    try:
        until(lease.hold, seconds=5, what="the lease")
        for pid in pids:
            os.kill(pid, 0)  # they live: it was not their death that freed it
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_a_forked_child_does_not_take_the_lease_from_its_parent(tmp_path: Path) -> None:
    lease, other = Lease(tmp_path, "gpu"), Lease(tmp_path, "gpu")
    assert lease.hold()

    def release() -> None:
        assert not lease.held
        lease.release()
        assert not lease.hold()

    in_child(release)
    assert lease.held
    assert not other.hold()
    lease.release()
    assert other.hold()
    other.release()


def test_a_swept_file_is_noticed(tmp_path: Path) -> None:
    lease, other = Lease(tmp_path, "gpu"), Lease(tmp_path, "gpu")
    assert lease.hold()
    (tmp_path / "gpu.lock").unlink()
    assert other.hold(), "the file is new, and so is its lock"
    assert not lease.hold(), "two holders"
    other.release()
    assert lease.hold()


def test_who_releases_tidies_up_and_who_waited_gets_it(tmp_path: Path) -> None:
    folder = tmp_path / "application"
    lease, other, third = Lease(folder, "gpu"), Lease(folder, "gpu"), Lease(folder, "disk")
    assert lease.hold()
    assert third.hold()
    assert not other.hold()
    lease.release()
    assert [path.name for path in folder.iterdir()] == ["disk.lock"]
    assert other.hold()
    assert not lease.hold()
    other.release()
    third.release()
    assert not folder.exists()
    assert lease.hold()
    lease.release()


def test_holding_keeps_the_file_young(tmp_path: Path) -> None:
    lease = Lease(tmp_path, "gpu")
    assert lease.hold()
    file = tmp_path / "gpu.lock"
    os.utime(file, (1, 1))
    assert lease.hold()
    assert file.stat().st_mtime > time.time() - 60


@pytest.mark.parametrize("name", ["gpu", "../../etc/passwd", "a/b", "a b", "ö", "x" * 500])
def test_any_name_is_a_file_of_its_own_in_the_folder(tmp_path: Path, name: str) -> None:
    lease = Lease(tmp_path, name)
    other = Lease(tmp_path, name + "_")
    assert lease.hold()
    assert other.hold()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_folder_is_private_and_one_per_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FERROMETER_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    one, two = application_directory("one"), application_directory("two")
    assert one != two
    assert application_directory("one") == one
    assert one.parent == two.parent == home() == tmp_path / f"ferrometer-{os.getuid()}"
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (one, one.parent)} == {0o700}
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert application_directory("one").parent == home()  # where what is shared lies, too
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path / "named"))
    assert application_directory("one") == tmp_path / "named" / "leases"


@pytest.mark.parametrize("how", ["others may write", "a link", "somebody else's"])
def test_a_folder_that_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.delenv("FERROMETER_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / f"ferrometer-{os.getuid()}"
    if how == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        if how == "others may write":
            folder.chmod(0o777)
        elif os.getuid() == 0:
            os.chown(folder, 65534, 65534)
        else:
            pytest.skip("only root can make a folder for somebody else")
    with pytest.raises(PermissionError, match="set FERROMETER_DIR"):
        application_directory("one")


def test_workers_of_one_parent_have_one_key_and_other_programs_another() -> None:
    program = "from ferrometer.collectors.lease import application_key; print(repr(application_key()))"

    def key(*further: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, *further], capture_output=True, check=True
        ).stdout.decode()

    assert key() == key()
    assert key() != key("--port=8001")
    assert key() != repr(application_key())


def test_without_a_lease_it_runs_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ferrometer.collectors")
    (tmp_path / "file").touch()
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path / "file"))
    registry = CollectorRegistry()
    collector = Counting(registry, scope="machine")
    with CollectorScheduler([collector], registry=registry):
        until(lambda: collector.runs > 3)
    assert ["for want of a lease" in record.getMessage() for record in caplog.records] == [True]


def test_on_standby_nothing_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROMETER_DIR", str(tmp_path))
    here, there = CollectorRegistry(), CollectorRegistry()
    first, second = Counting(here, scope="machine"), Counting(there, scope="machine", stale="keep")
    one, two = CollectorScheduler([first], registry=here), CollectorScheduler([second], registry=there)
    with one:
        until(lambda: first.runs > 1)
        two.start()
        until(lambda: two.status()["counting"].state == "standby")
        shown = {name for name, labels in samples(there) if labels}
        assert shown == set()
    until(lambda: second.runs > 1)
    assert {name for name, labels in samples(there) if labels} >= {"ferrometer_collector_success"}
    two.stop()
