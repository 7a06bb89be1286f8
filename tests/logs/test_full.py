"""A shared directory without room: smaller rings, then private memory; the application goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.logs.programs import HEADER, lines, numbers

MOUNT = 'mount -t tmpfs -o "$1",mode=700 none "$0" && shift && exec "$@"'
BODY = """
share(sys.argv[1])
ship.start([File(sys.argv[2])], service="s")
rings = lambda: [name for name in os.listdir(sys.argv[1]) if name.endswith(".ring")]
print(len(rings()), sum(os.path.getsize(os.path.join(sys.argv[1], name)) for name in rings()))
for number in range(100): log(number)
assert ship.flush(30)
pid = os.fork()
if pid == 0:
    for number in range(100, 200): log(number)
    assert ship.flush(30)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def run(tmp_path: Path, size: str) -> tuple[str, str, list[int]]:
    folder = tmp_path / "small"
    folder.mkdir(mode=0o700)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    begin = ["unshare", "--mount", "sh", "-c", MOUNT, str(folder), f"size={size}"]
    command = [*begin, sys.executable, "-c", HEADER + BODY, str(folder / "d"), str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, sorted(numbers(lines(tmp_path / "log")))


def test_a_ring_takes_what_room_there_is(tmp_path: Path) -> None:
    out, err, found = run(tmp_path, "1800k")
    rings, size = map(int, out.split())
    assert rings == 1
    assert 64 << 10 < size <= (1 << 20) + 4096
    assert found == list(range(200)), err


def test_without_room_the_lines_stay_in_memory(tmp_path: Path) -> None:
    out, err, found = run(tmp_path, "80k")
    assert out.split() == ["0", "0"]
    assert "free some space there" in err
    assert found == list(range(200)), err
