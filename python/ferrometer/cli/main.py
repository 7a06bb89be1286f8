"""The `ferrometer` command: one file for each of its commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from ferrometer.cli import version

#: In the order in which the help names them; each is a file of this folder.
COMMANDS = (
    "demo",
    "run",
    "serve",
    "inspect",
    "logs",
    "query",
    "top",
    "rules",
    "generate",
    "breaker",
    "doctor",
    "bench",
    "version",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status, 2 for what the user can mend."""
    words = sys.argv[1:] if arguments is None else arguments
    # What the other commands import is half a second of waiting on a cold disk.
    known = [word for word in words[:1] if word in COMMANDS]
    options = parser(known or COMMANDS).parse_args(words)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line of these commands."""
    root = argparse.ArgumentParser(prog="ferrometer", description="Everything measured, nothing noticed.")
    root.add_argument("--version", action="version", version=version.text())
    commands = root.add_subparsers(metavar="command", required=True)
    for name in names:
        import_module(f"ferrometer.cli.{name}").add(commands)
    return root
