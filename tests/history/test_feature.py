"""The feature's settings and what is said where there is no history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette

import ferrometer


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seconds_1s": 0}, "seconds_1s must be from 1 to 1e10 seconds, not 0"),
        ({"budget_mib": -1.0}, "budget_mib must be greater than 0, not -1.0"),
        ({"queries": 0}, "queries must be greater than 0, not 0"),
        ({"marks": [""]}, "marks must not be empty"),
    ],
)
def test_wrong_settings(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ferrometer.instrument(
            Starlette(),
            ferrometer.History(**arguments),  # type: ignore[arg-type]
            registry=ferrometer.CollectorRegistry(),
        )


def test_no_history_here(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"instrument\(app, ferrometer.History\(\)\)"):
        ferrometer.query("up")
    with pytest.raises(FileNotFoundError, match="has no history"):
        ferrometer.query("up", where=tmp_path)
    with pytest.raises(ValueError, match="url must be one like"):
        ferrometer.query("up", where="ftp://x")
    with pytest.raises(OSError, match="cannot be reached"):
        ferrometer.query("up", where="http://127.0.0.1:9")


def test_off_costs_nothing() -> None:
    """Without History() neither its modules nor its thread are there."""
    program = """
import sys
from contextlib import suppress
from pathlib import Path
import ferrometer
from starlette.applications import Starlette
from starlette.testclient import TestClient
app = Starlette()
ferrometer.instrument(app, shared=False)
with TestClient(app) as client:
    client.get("/metrics")
    threads = []
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # one that ends meanwhile
            threads.append(path.read_text().strip())
assert not [name for name in sys.modules if name.startswith("ferrometer.history")], "imported"
assert not [name for name in threads if name.startswith("ferrometer-hist")], threads
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
