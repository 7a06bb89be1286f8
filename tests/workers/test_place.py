"""Folders named after supervisors: never two for one name, and none left behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ferrometer.sharing.directory import ABANDONED, Place, home, private, started, sweep


def nobody(folder: str) -> bool:
    return False


@pytest.fixture
def ended() -> Place:
    """The place of a process that has been."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return Place.of(process.pid)


def test_a_place_has_a_name_that_says_all_of_it() -> None:
    place = Place.of(os.getpid(), "served:app")
    assert Place.parse(place.name) == place
    assert place.pid == os.getpid()
    assert place.started == int(started(os.getpid()))
    assert not place.is_over(0)


@pytest.mark.parametrize("name", ["", "leases", "1-2-3", "1-2-3-4-5", "x-2-3-00000000-00000000"])
def test_other_names_are_none_of_ours(name: str) -> None:
    assert Place.parse(name) is None


def test_two_applications_of_one_supervisor_have_two_places() -> None:
    assert Place.of(os.getpid(), "one:app") != Place.of(os.getpid(), "two:app")


def test_there_is_no_place_of_a_process_that_is_no_more(ended: Place) -> None:
    with pytest.raises(OSError, match="No such file"):
        Place.of(ended.pid)


def test_an_ended_supervisor_is_over_a_zombie_too(ended: Place) -> None:
    assert ended.is_over(0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        place = Place.of(process.pid)
        assert not place.is_over(0)
        process.kill()
        while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "Z":
            time.sleep(0.01)
        assert place.is_over(0)


def test_the_same_id_again_is_another_process() -> None:
    mine = Place.of(os.getpid())
    assert mine._replace(started=mine.started - 1).is_over(0)
    assert mine._replace(boot="00000000").is_over(0)


def test_a_supervisor_in_another_pid_namespace_is_left_alone_for_a_day() -> None:
    there = Place.of(os.getpid())._replace(namespace=1)
    assert not there.is_over(0)
    assert not there.is_over(ABANDONED - 1)
    assert there.is_over(ABANDONED + 1)


IN_A_NAMESPACE = """
import os, sys
from pathlib import Path
from ferrometer.sharing.directory import Place, sweep
if len(sys.argv) > 1:
    (Path(sys.argv[1]) / Place.of(1).name).mkdir()
    print(os.getpid(), Place.of(os.getpid()).name)
    sweep(Path(sys.argv[1]), lambda folder: False)
"""


def test_processes_of_two_pid_namespaces_have_two_places(tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("making a pid namespace is not permitted here")
    said = [
        subprocess.run(
            [*unshare, sys.executable, "-c", IN_A_NAMESPACE, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert [pid for pid, _ in said] == ["1", "1"], "the same id twice"
    # What the first one left is not swept by the second one, which cannot know.
    assert {name for _, name in said} == {path.name for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 2


def test_ended_supervisors_are_swept_and_nothing_else(tmp_path: Path, ended: Place) -> None:
    mine = Place.of(os.getpid())
    for name in (ended.name, mine.name, "somebody elses", mine._replace(namespace=1).name):
        (tmp_path / name / "leases").mkdir(parents=True)
        (tmp_path / name / "leases" / "gpu.lock").touch()
    sweep(tmp_path, nobody)
    assert {path.name for path in tmp_path.iterdir()} == {
        mine.name,
        "somebody elses",
        mine._replace(namespace=1).name,
    }


def test_a_place_with_a_live_process_stays(tmp_path: Path, ended: Place) -> None:
    (tmp_path / ended.name).mkdir()
    sweep(tmp_path, lambda folder: folder == str(tmp_path / ended.name))
    assert (tmp_path / ended.name).is_dir()
    sweep(tmp_path, nobody)
    assert not (tmp_path / ended.name).exists()


def test_sweeping_where_nothing_is(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere", nobody)


def test_home_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"ferrometer-{os.getuid()}"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert home() == tmp_path / name
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    assert home() == Path("/dev/shm") / name


def _linked(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _foreign(folder: Path) -> None:
    folder.mkdir()
    if os.getuid():
        pytest.skip("only root can make a folder for somebody else")
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (_linked, "is a symbolic link"),
        (_open_to_all, "others may write"),
        (_foreign, "belongs to user 65534"),
        (Path.touch, "File exists"),
    ],
)
def test_what_is_not_ours_alone_is_refused(
    tmp_path: Path, prepare: Callable[[Path], None], complaint: str
) -> None:
    folder = tmp_path / "folder"
    prepare(folder)
    with pytest.raises(OSError, match=complaint):
        private(folder)


def test_a_private_folder_is_made(tmp_path: Path) -> None:
    private(tmp_path / "a" / "b")
    private(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
