"""What a process gets from its environment, its terminal and its parent, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.logs.programs import lines, wait_for

EACH_LEVEL = """
import sys
from ferrometer import get_logger, logs
%s
log = get_logger("l")
for name in ("debug", "info", "warning", "error", "critical"): getattr(log, name)(name)
assert logs.flush(60)
"""


def run(body: str, *arguments: object, **environment: str) -> str:
    told = {name: value for name, value in os.environ.items() if name not in ("LOG_LEVEL", "NO_COLOR")}
    command = [sys.executable, "-c", body, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=told | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("environment", "told", "least"),
    [
        ({}, "", "info"),
        ({"LOG_LEVEL": "ERROR"}, "", "error"),
        ({"LOG_LEVEL": "warn"}, "", "warning"),
        ({"LOG_LEVEL": "ERROR"}, ", level='debug'", "debug"),
        ({"LOG_LEVEL": "FATAL"}, "", "critical"),
    ],
)
def test_the_level_of_the_environment(
    tmp_path: Path, environment: dict[str, str], told: str, least: str
) -> None:
    run(EACH_LEVEL % f"logs.setup('s', to=sys.argv[1]{told})", tmp_path / "log", **environment)
    names = ["debug", "info", "warning", "error", "critical"]
    assert [line["message"] for line in lines(tmp_path / "log")] == names[names.index(least) :]


def test_the_setup_of_ai_platforms(tmp_path: Path) -> None:
    run(EACH_LEVEL % "logs.setup_structured_logging('gateway', 'warning', to=sys.argv[1])", tmp_path / "log")
    rows = lines(tmp_path / "log")
    assert [(row["service"], row["logger"], row["level"]) for row in rows] == [
        ("gateway", "l", level) for level in ("WARNING", "ERROR", "CRITICAL")
    ]


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["coloured", "plain"])
def test_lines_for_people_on_a_terminal(environment: dict[str, str]) -> None:
    master, slave = os.openpty()
    told = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment
    body = EACH_LEVEL % "logs.setup('s')"
    process = subprocess.Popen([sys.executable, "-c", body], stdout=slave, env=told)
    os.close(slave)
    shown = b""
    while shown.count(b"\n") < 4:
        shown += os.read(master, 4096)
    assert process.wait(60) == 0
    os.close(master)
    rows = shown.decode().splitlines()
    assert ["\x1b[" in row for row in rows] == [not environment] * 4
    for row, level in zip(rows, ("info", "warning", "error", "critical"), strict=True):
        assert level in row
        assert not row.startswith("{")


def test_a_pipe_gets_json() -> None:
    rows = [json.loads(line) for line in run(EACH_LEVEL % "logs.setup('s')").splitlines()]
    assert [row["message"] for row in rows] == ["info", "warning", "error", "critical"]


def test_spawned_processes_log_to_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "spawning.py").write_text(
        """
import multiprocessing, os, sys
from ferrometer import get_logger, logs, sharing

def work(number):
    get_logger("worker").info("spawned", number=number, pid=os.getpid())
    return logs.flush(60)

def begin():
    sharing.share()
    logs.setup("s", to=sys.argv[1])

if __name__ == "__main__":
    begin()
    get_logger("main").info("parent")
    with multiprocessing.get_context("spawn").Pool(2, begin) as pool:
        assert all(pool.map(work, range(20), 1))
    assert logs.flush(60)
"""
    )
    command = [sys.executable, str(tmp_path / "spawning.py"), str(tmp_path / "log")]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(lines(tmp_path / "log")) >= 21, "all lines")
    rows = lines(tmp_path / "log")
    assert sorted(row["number"] for row in rows if row["message"] == "spawned") == list(range(20))
    assert [row["message"] for row in rows if row["logger"] == "main"] == ["parent"]
