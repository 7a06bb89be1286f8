"""``ferrometer run``: a program whose prometheus_client makes native metrics."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("run", help="a program whose prometheus_client makes native metrics")
    command.add_argument(
        "program", help="a script, a module after -m, or a command", nargs=argparse.REMAINDER
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not words:
        print("ferrometer run needs a program: ferrometer run -- uvicorn app:app", file=sys.stderr)
        return 2
    if words[0] == "-m" or words[0].endswith(".py"):
        words = [sys.executable, *words]
    beside = Path(sys.executable).parent / words[0]
    if shutil.which(words[0]) is None and beside.is_file():  # of this environment, which is not activated
        words = [str(beside), *words[1:]]
    # The program's own processes inherit it: workers, reloaders.
    paths = [
        str(Path(__file__).parents[1] / "drop_in" / "startup"),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment)
    except OSError as error:
        print(f"ferrometer run: {words[0]}: {error.strerror}", file=sys.stderr)
        return 127
