"""A real Chromium, by playwright without its own browsers, and axe-core, which only tests use."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.component import CACHE, CHROMIUM, LEDGER

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_AXE = "axe-core@4.14.1"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    found = CHROMIUM.require()
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=str(found),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            env=CHROMIUM.environment(),
        )
        LEDGER.exercised[f"Chromium {browser.version}"] = "by playwright"
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """The source of axe-core, from npm."""
    file = CACHE / "axe-core" / "axe.min.js"
    if not file.exists():
        if shutil.which("npm") is None:
            pytest.skip(f"needs axe-core: npm pack {_AXE}")
        with tempfile.TemporaryDirectory() as name:
            done = subprocess.run(["npm", "pack", "--silent", _AXE], cwd=name, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"needs axe-core: npm pack {_AXE} ({done.stderr.strip()[-100:]})")
            with tarfile.open(next(Path(name).glob("*.tgz"))) as archive:
                archive.extractall(name, filter="data")
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(name) / "package" / "axe.min.js", file)
    return file.read_text(encoding="utf-8")
