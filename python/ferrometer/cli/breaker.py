"""``ferrometer breaker``: the circuit breakers of a directory, and how to open and close them by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferrometer.cli import arguments

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("breaker", help="list the circuit breakers, open, close or reset one")
    command.add_argument(
        "action", choices=("list", "open", "close", "reset"), nargs="?", default="list", help="what to do"
    )
    command.add_argument("name", nargs="?", help="whose breaker: not for list")
    command.add_argument(
        "--directory", **arguments.shared_directory(), help="what workers share (FERROMETER_DIR)"
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.directory is None:
        return arguments.no_directory("breaker --directory DIR")
    return run(options.directory, options.action, options.name)


def run(directory: Path, action: str, name: str | None) -> int:
    """Prints the breakers after the action; returns the exit status."""
    from ferrometer import _core

    try:
        if action != "list":
            if name is None:
                print(
                    f"ferrometer breaker: {action} which? ferrometer breaker {action} NAME", file=sys.stderr
                )
                return 2
            _core.change_breaker(name, action, directory)
        rows = _core.list_breakers(directory)
    except KeyError:
        known = ", ".join(row[0] for row in _core.list_breakers(directory)) or "none"
        print(f"ferrometer breaker: there is no breaker {name!r}; there are: {known}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"ferrometer breaker: {arguments.words(error)}", file=sys.stderr)
        return 2
    for found, state, forced, rejected, trials in rows:
        more = " (forced)" if forced else ""
        print(f"{found}: {state}{more}, {rejected} calls refused, {trials} trials under way")
    if not rows:
        print("no breakers")
    return 0
