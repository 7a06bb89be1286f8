"""Small programs that log, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HEADER = """
import json, os, signal, sys, time
from ferrometer import _core
from ferrometer.logs import ship, sinks
from ferrometer.logs.sinks import *

def log(number, level=1, **fields):
    line = json.dumps({"message": f"line {number}", "number": number, "pid": os.getpid(), **fields})
    return _core.append_log_line(level, line.encode())

def share(folder):
    os.makedirs(folder, mode=0o700, exist_ok=True)
    _core.share(folder)

def told(value):
    print(json.dumps(value), file=sys.stderr, flush=True)
"""


def program(body: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Starts one; ``sys.argv[1:]`` are the arguments."""
    command = [sys.executable, "-c", HEADER + body, *map(str, arguments)]
    return subprocess.Popen(command, text=True, **options)


def finish(process: subprocess.Popen[str], timeout: float = 60) -> tuple[str, str]:
    """Its stdout and stderr, once it has ended by itself with 0."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out, err


def run(body: str, *arguments: object) -> tuple[str, str]:
    """Runs one to its end."""
    return finish(program(body, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, each of them JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def numbers(rows: Iterable[dict[str, Any]]) -> list[int]:
    """Of the lines that have one."""
    return [row["number"] for row in rows if "number" in row]


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 60) -> Any:
    """The first true value of a condition."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {timeout} s"
        time.sleep(0.01)
    return value


def settled(counts: dict[str, Any], sink: str) -> int:
    """Lines of which it is known what became of them, for one sink, and those that wait."""
    told = counts["sinks"][sink]
    behind = sum(told[what] for what in ("shipped", "rejected", "full", "damaged", "expired", "queued"))
    return int(behind + sum(counts["dropped"].values()))
