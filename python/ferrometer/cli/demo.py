"""``ferrometer demo``: a small GPU gateway under traffic, and what was seen of it."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ferrometer.cli.arguments import port, positive

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands

_NEEDS = ("fastapi", "uvicorn", "websockets")


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("demo", help="a small GPU gateway under traffic, and what was seen of it")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    command.add_argument("--port", type=port, default=8000, help="0 takes any free one (%(default)s)")
    command.add_argument("--requests", type=positive, default=2000, help="before the table (%(default)s)")
    command.add_argument(
        "--rate", type=_rate, default=5.0, help="requests a second after it; 0 for none (%(default)s)"
    )
    command.add_argument("--once", action="store_true", help="end after the table")
    command.add_argument("--sqlite", action="store_true", help="start no PostgreSQL and no Valkey beside it")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        print(f"ferrometer demo needs {', '.join(missing)}: pip install 'ferrometer[demo]'", file=sys.stderr)
        return 2
    from ferrometer.demo.runner import Options, run

    return run(
        Options(options.host, options.port, options.requests, options.rate, options.once, options.sqlite)
    )


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1000:
        raise argparse.ArgumentTypeError("a rate is a number from 0 to 1000")
    return rate
