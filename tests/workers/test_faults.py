"""Where sharing is not possible: one warning that says why and what to do, and private memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

import ferrometer
from ferrometer.sharing.share import settle, share
from tests.workers.servers import served, total

PROGRAM = """
import logging, sys
import ferrometer
from ferrometer.sharing import shared_directory
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
for _ in range(2):
    print(ferrometer.share(sys.argv[1]), shared_directory())
counter = ferrometer.Counter("a", "A counter", ["x"])
for i in range(3000):
    counter.labels(str(i)).inc()
print(ferrometer.generate_latest().count(b"a_total{"))
"""


def run(directory: Path, *before: str) -> tuple[list[str], list[str]]:
    """What the program prints, and what it warns of."""
    command = [*before, sys.executable, "-c", PROGRAM, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def check_refused(directory: Path, complaint: str, *before: str) -> None:
    said, warned = run(directory, *before)
    assert said == ["None None", "None None", "3000"]
    assert len(warned) == 1, warned
    assert warned[0].startswith("WARNING ferrometer ")
    assert str(directory) in warned[0]
    assert complaint in warned[0]
    assert "FERROMETER_DIR=" in warned[0]


def _link(directory: Path) -> None:
    (directory.parent / "elsewhere").mkdir(mode=0o700)
    directory.symlink_to(directory.parent / "elsewhere")


def _open(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)


def _foreign(directory: Path) -> None:
    if os.getuid():
        pytest.skip("only root can make a folder for somebody else")
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)


def _below_a_file(directory: Path) -> None:
    directory.parent.rmdir()
    directory.parent.touch()


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (_link, "symbolic link"),
        (_open, "others can use it"),
        (_foreign, "belongs to user 65534"),
        (Path.touch, "no directory"),
        (_below_a_file, "Not a directory"),
    ],
)
def test_a_directory_that_is_none_of_ours(
    tmp_path: Path, prepare: Callable[[Path], None], complaint: str
) -> None:
    directory = tmp_path / "parent" / "directory"
    directory.parent.mkdir()
    prepare(directory)
    check_refused(directory, complaint)


def test_a_control_file_that_is_none_of_ours(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir(mode=0o700)
    (directory / "control").write_bytes(b"x" * 4096)
    (directory / "control").chmod(0o600)
    check_refused(directory, "control")


MOUNT = 'mount -t tmpfs -o "$1",mode=700 none "$0" && shift && exec "$@"'


def mounted(folder: Path, options: str) -> list[str]:
    """A command's beginning under which a file system of its own is mounted there."""
    folder.mkdir(mode=0o700)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    return ["unshare", "--mount", "sh", "-c", MOUNT, str(folder), options]


def test_a_full_file_system(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    check_refused(folder / "directory", "free some space", *mounted(folder, "size=32k"))


def test_a_file_system_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "fixed"
    check_refused(folder / "directory", "Read-only file system", *mounted(folder, "ro"))


def test_a_file_system_that_fills_up_later(tmp_path: Path) -> None:
    """Not a signal: what finds no room in the file stays in private memory."""
    folder = tmp_path / "small"
    directory = folder / "directory"
    said, warned = run(directory, *mounted(folder, "size=512k"))
    assert said == [f"{directory} {directory}", f"{directory} {directory}", "3000"]
    assert warned == []


def test_a_second_directory_comes_too_late(tmp_path: Path) -> None:
    program = f"""
import logging, ferrometer
logging.basicConfig(format="%(message)s")
assert ferrometer.share({str(tmp_path / "one")!r}) == {str(tmp_path / "one")!r}
assert ferrometer.share({str(tmp_path / "two")!r}) == {str(tmp_path / "one")!r}
assert ferrometer.share() == {str(tmp_path / "one")!r}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"this process shares its metrics in {tmp_path / 'one'} already, and not in {tmp_path / 'two'}"
    ]


def test_damaged_files_are_counted_logged_once_and_fail_nothing(tmp_path: Path) -> None:
    program = f"""
import logging, os, pathlib, ferrometer
logging.basicConfig(format="%(message)s")
counter = ferrometer.Counter("a", "A counter")
directory = pathlib.Path(ferrometer.share({str(tmp_path / "shared")!r}))
counter.inc(3)
for name, bytes in (("0" * 32, b""), ("1" * 32, b"hello" * 1000), ("2" * 32, b"FERROSEG" + bytes(5000))):
    (directory / f"{{name}}.seg").write_bytes(bytes)
    (directory / f"{{name}}.seg").chmod(0o600)
for scrape in range(3):
    text = ferrometer.generate_latest().decode()
    assert "a_total 3.0" in text
print(text)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line.split(" ", 1)[0][-36:] for line in done.stderr.splitlines()] == [
        f"{n * 32}.seg" for n in "012"
    ]
    assert done.stderr.count("is left out of the metrics of all workers: ") == 3
    for reason in ("empty", "magic", "byte_order"):
        assert f'ferrometer_segments_unreadable{{reason="{reason}"}} 1' in done.stdout


def test_workers_that_cannot_share_serve_their_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with served("uvicorn", tmp_path, workers=2, env={"FERROMETER_DIR": str(tmp_path / "taken")}) as running:
        assert len(running.from_each("/who", 2)) == 2
        answers = running.from_each("/metrics", 2)
        shown = [total(answer.body, "shop_requests_total") for answer in answers.values()]
        assert max(shown) < running.measured
        assert running.process.log().count("no directory") == 2, "once in each worker"


def test_on_other_systems(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert share("/tmp/anywhere") is None
    assert settle(True) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "on Linux only" in caplog.text
    assert "FERROMETER_SHARED=false" in caplog.text


def test_a_setting_must_be_one(tmp_path: Path) -> None:
    for wrong in ("", 3, ["/dev/shm"]):
        with pytest.raises(TypeError, match="shared: must be true, false or a directory"):
            ferrometer.instrument(FastAPI(), shared=wrong)  # type: ignore[arg-type]
