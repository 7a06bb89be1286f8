"""What the whole session shares: a short temporary folder, and the summary of what was really exercised."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from ferrometer import CollectorRegistry
from tests.real.component import LEDGER
from tests.real.log_receivers import Receiver


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of the test's own; the collectors' tests have a stricter one."""
    return CollectorRegistry()


@pytest.fixture(autouse=True)
def _level_of_the_root_logger() -> Iterator[None]:
    """A test that takes logging over leaves the root logger's level to the tests after it."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder with a short path: a Unix socket's path has room for about 100 bytes only."""
    folder = Path(tempfile.mkdtemp(prefix="fm-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Lines of progress are seen while tests run."""

    def say(line: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"\n{line}", flush=True)

    LEDGER.say = say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which real components took part, and what to install for those that did not."""
    if LEDGER.exercised:
        terminalreporter.section("real components exercised")
        for name, where in sorted(LEDGER.exercised.items()):
            terminalreporter.line(f"{name} ({where})")
    if LEDGER.missing:
        terminalreporter.section("real components missing")
        for words in sorted(LEDGER.missing.values()):
            terminalreporter.line(words)


@pytest.fixture(scope="session")
def span_receiver() -> Iterator[Receiver]:
    """Of spans, one for all tests of this process: a ring has places for eight receivers."""
    with Receiver() as receiver:
        yield receiver
