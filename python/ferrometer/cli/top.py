"""``ferrometer top``: the routes of a service, and the rest of what is measured, live in a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from ferrometer.cli.arguments import no_directory, token_variable, words

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("top", help="a service in a terminal: routes, workers, pools, collectors")
    command.add_argument(
        "where",
        nargs="?",
        metavar="URL|DIR",
        default=os.environ.get("FERROMETER_DIR") or None,
        help="the endpoints, a Prometheus, or what workers share or shared",
    )
    command.add_argument("--every", type=_seconds, default=2.0, metavar="SECONDS", help="(%(default)s)")
    token_variable(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ferrometer.history.source import open_source

    if options.where is None:
        return no_directory("top URL|DIR")
    try:
        from ferrometer.top.screen import Top

        source = open_source(options.where, options.token)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"ferrometer top: {words(error)}", file=sys.stderr)
        return 2
    Top(source, options.where.rpartition("@")[2], options.every).run()
    return 0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("from 0.1 to 3600 seconds")
    return seconds
