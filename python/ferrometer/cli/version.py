"""``ferrometer version``: the versions of Ferrometer and Python."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands


def text() -> str:
    """Both versions in a line."""
    return (
        f"ferrometer {version('ferrometer')} ({platform.python_implementation()} {platform.python_version()})"
    )


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("version", help="the versions of Ferrometer and Python")
    command.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    print(text())
    return 0
