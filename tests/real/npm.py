"""Packages of npm that tests run: fetched once into .cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.real.component import CACHE, LEDGER


def npm_package(name: str, version: str) -> Path:
    """The folder whose ``node_modules`` has it; else the test skips, or fails with REQUIRE_REAL=1."""
    folder = CACHE / f"npm-{name}"
    if not (folder / "node_modules" / name).is_dir():
        words = f"needs node and npm: npm install {name}@{version}"
        installed = None
        if shutil.which("npm") and shutil.which("node"):
            folder.mkdir(parents=True, exist_ok=True)
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
            npm.append(f"{name}@{version}")
            installed = subprocess.run(npm, capture_output=True, text=True, timeout=300, check=False)
        if installed is None or installed.returncode:
            LEDGER.missing[name] = words
            (pytest.fail if os.environ.get("REQUIRE_REAL") == "1" else pytest.skip)(words)
    LEDGER.exercised[f"{name}@{version}"] = "from npm"
    return folder
