"""Applications that try to break the native code: each of `hostile/` ends well, in its own interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOSTILE = Path(__file__).parent / "hostile"

#: What is freed is overwritten, by Python and by glibc, so that whoever still reads it shows.
OVERWRITTEN = {
    "PYTHONMALLOC": "debug",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}
PROGRAMS = sorted(path for path in HOSTILE.glob("*.py") if path.name != "common.py")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_hostile(program: Path) -> None:
    """No crash, no corrupted memory, and the program says that what it saw was right."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", str(program)],
        env={**os.environ, **OVERWRITTEN},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok" in done.stdout, done.stdout + done.stderr
    assert "BAD" not in done.stdout, done.stdout + done.stderr
