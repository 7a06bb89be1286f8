"""Which process the workers of a server have in common, by the server's own word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.servers import SERVERS, served

# No sharing: this is about the question alone.
QUIET = {"FERROMETER_SHARED": "false"}


@pytest.mark.parametrize("server", SERVERS)
def test_all_workers_name_the_same_supervisor(server: str, tmp_path: Path) -> None:
    with served(server, tmp_path, workers=2, env=QUIET) as running:
        answers = running.from_each("/who", 2)
        found = {tuple(answer.json["supervisor"]) for answer in answers.values()}
        assert len(found) == 1
        name, pid, _ = found.pop()
        assert name == server.partition("-")[0]
        assert pid == running.process.pid
        assert pid not in answers
        assert {answer.json["directory"] for answer in answers.values()} == {None}


@pytest.mark.parametrize(
    ("server", "options"),
    [
        ("uvicorn", []),
        ("uvicorn", ["--workers", "1"]),
        ("uvicorn", ["--reload"]),
        ("uvicorn", ["--reload", "--workers", "3"]),
        ("hypercorn", []),
        ("hypercorn", ["--reload"]),
    ],
)
def test_one_process_has_no_supervisor(server: str, options: list[str], tmp_path: Path) -> None:
    bind = ["-b", "127.0.0.1:PORT"] if server == "hypercorn" else ["--port", "PORT"]
    command = [sys.executable, "-m", server, "served:app", *bind, *options]
    with served(server, tmp_path, command=command) as running:
        said = running.get("/who").json
        assert said["supervisor"] is None
        assert said["directory"] is None


def test_the_number_of_workers_may_come_from_the_environment(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", "PORT"]
    with served("uvicorn", tmp_path, command=command, env={**QUIET, "WEB_CONCURRENCY": "2"}) as running:
        assert running.get("/who").json["supervisor"] == ["uvicorn", running.process.pid, "served:app"]


PROGRAM = """
import sys, uvicorn
if __name__ == "__main__":
    uvicorn.run("served:app", port=int(sys.argv[1]), workers=2, access_log=False)
"""


def test_the_number_of_workers_may_be_an_argument_of_a_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with served("uvicorn", tmp_path, command=[sys.executable, "program.py", "PORT"], env=QUIET) as running:
        assert running.get("/who").json["supervisor"] == ["uvicorn", running.process.pid, "served:app"]


# What a worker starts is no worker, though it inherits command line, environment and modules.
OTHERS = {
    "plain": "from ferrometer.sharing.workers import supervisor; assert supervisor() is None",
    "server software": (
        "import gunicorn.arbiter, os; os.environ['SERVER_SOFTWARE'] = 'gunicorn/27'\n"
        "from ferrometer.sharing.workers import supervisor; assert supervisor() is None"
    ),
    "spawned": (
        "import multiprocessing\n"
        "from ferrometer.sharing import workers\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "    assert pool.apply(workers.supervisor) is None\n"
        "    import os; assert pool.apply(workers.parent) == os.getpid()\n"
    ),
}


@pytest.mark.parametrize("program", OTHERS.values(), ids=OTHERS)
def test_other_processes_have_none(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
