"""One real program the tests talk to: where it is, how to get it, and what its absence means."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Where `python -m tests.real.fetch` unpacks what the machine lacks.
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "components"


@dataclass(frozen=True)
class Component:
    """A program by the name of its binary; `apt` is the Debian package that brings it."""

    binary: str
    apt: str
    folders: tuple[str, ...] = ()
    """Further folders to look in, for what distributions keep off PATH."""

    @property
    def variable(self) -> str:
        """The environment variable that names the binary outright, such as `PROMETHEUS_BIN`."""
        return self.binary.upper().replace("-", "_") + "_BIN"

    def find(self) -> Path | None:
        """The binary: from its environment variable, PATH, the cache, or a known folder."""
        if named := os.environ.get(self.variable):
            return Path(named) if os.access(named, os.X_OK) else None
        if on_path := shutil.which(self.binary):
            return Path(on_path)
        for folder in (CACHE / "usr/bin", *map(Path, self.folders)):
            if os.access(folder / self.binary, os.X_OK):
                return folder / self.binary
        return None

    def require(self) -> Path:
        """The binary; a test without it is skipped, or fails where `REQUIRE_REAL=1`."""
        if found := self.find():
            return found
        words = (
            f"needs a real {self.binary}: apt install {self.apt} (or {self.variable}=/path/to/{self.binary})"
        )
        LEDGER.missing[self.binary] = words
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(words, pytrace=False)
        pytest.skip(words)


PROMETHEUS = Component("prometheus", apt="prometheus")
PROMTOOL = Component("promtool", apt="prometheus")
ALL = (PROMETHEUS, PROMTOOL)


@dataclass
class Ledger:
    """What a test session really exercised and what it went without; the summary at its end shows both."""

    exercised: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


LEDGER = Ledger()
