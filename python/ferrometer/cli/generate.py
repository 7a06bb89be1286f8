"""``ferrometer generate``: files for Prometheus, Grafana, Compose and their like, from one configuration."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferrometer.cli.arguments import words
from ferrometer.generate.kinds import KINDS

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands
    from ferrometer.generate.file import File


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("generate", help="files for Prometheus, Grafana, Compose and their like")
    command.add_argument("kind", choices=(*KINDS, "all"), help="what they are for")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write into")
    command.add_argument("--namespace", metavar="NAME", help="the one of [metrics] by default")
    command.add_argument("--config", type=Path, metavar="FILE", help="the application's configuration")
    command.add_argument("--diff", action="store_true", help="write nothing, and show what would change")
    command.add_argument("--force", action="store_true", help="overwrite what was edited by hand, too")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ferrometer._runtime.settings import Sources
    from ferrometer.generate import kinds
    from ferrometer.generate.deployment import deployment

    try:
        made = list(kinds.files(options.kind, deployment(Sources(options.config), options.namespace)))
        if options.diff:
            return _show(made, options.out)
        return _write(made, options.out, force=options.force)
    except (ValueError, TypeError, ModuleNotFoundError, FileNotFoundError, OSError) as error:
        print(f"ferrometer generate: {words(error)}", file=sys.stderr)
        return 2


def _show(files: list[File], folder: Path) -> int:
    from ferrometer.generate.file import State, difference, state

    found = {file.path: state(file, folder) for file in files}
    for file in files:
        if found[file.path] is not State.SAME:
            print("\n".join(difference(file, folder)))
    for path in (path for path, what in found.items() if what in (State.EDITED, State.FOREIGN)):
        print(f"{folder / path}: {found[path].value}: only --force would overwrite it", file=sys.stderr)
    return 0 if all(what is State.SAME for what in found.values()) else 1


def _write(files: list[File], folder: Path, *, force: bool) -> int:
    from ferrometer.generate.file import State, write

    try:
        found = write(files, folder, force=force)
    except OSError as error:
        raise OSError(
            f"cannot write into {folder}: {os.strerror(error.errno or 0)} ({error.filename});"
            " name a folder that you may write into: --out DIR"
        ) from None
    kept = 0
    for path, before in found.items():
        if before is State.SAME:
            print(f"{folder / path}: unchanged")
        elif before in (State.EDITED, State.FOREIGN) and not force:
            kept += 1
            print(
                f"{folder / path}: left alone: {before.value}; --diff shows what would change,"
                " --force overwrites it",
                file=sys.stderr,
            )
        else:
            print(f"{folder / path}: written")
    return 1 if kept else 0
