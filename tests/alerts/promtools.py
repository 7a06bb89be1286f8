"""The real promtools: Debian's, and that of Prometheus 3 where `make real-prometheus3` has built it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.real.component import CACHE, LEDGER, PROMTOOL


def promtools() -> list[Path]:
    """Those that are here; the first is required."""
    found = [PROMTOOL.require()]
    newer = CACHE / "prometheus3" / "promtool"
    return [*found, newer] if newer.exists() else found


def verdict(promtool: Path, *words: str | Path, folder: Path) -> tuple[int, str]:
    """The exit status, and what it says."""
    done = subprocess.run([promtool, *words], cwd=folder, capture_output=True, text=True, timeout=120)
    version = subprocess.run([promtool, "--version"], capture_output=True, text=True).stdout.split()[2]
    LEDGER.exercised[f"promtool {version}"] = "unit tests of rules"
    return done.returncode, done.stdout + done.stderr


def examples() -> Path:
    """Prometheus's own examples, from the module that `make real-prometheus3` fetches."""
    found = sorted(Path.home().glob("go/pkg/mod/github.com/prometheus/prometheus@*/cmd/promtool/testdata"))
    if not found:
        pytest.skip("needs Prometheus's module: make real-prometheus3")
    if len(promtools()) == 1:
        pytest.skip("its examples are for a promtool of its version: make real-prometheus3")
    return found[-1]
