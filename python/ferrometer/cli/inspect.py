"""``ferrometer inspect``: the files of a directory of shared metrics."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferrometer import _core
from ferrometer.cli.arguments import no_directory, shared_directory, words

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("inspect", help="the files of a directory of shared metrics")
    command.add_argument("directory", nargs="?", help="($FERROMETER_DIR)", **shared_directory())
    command.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.directory is None:
        return no_directory("inspect DIR")
    return inspect(options.directory, as_json=options.json)


def inspect(directory: Path, *, as_json: bool = False) -> int:
    """Prints what lies in a directory, file by file; 2 when it cannot be read."""
    try:
        segments = _core.inspect(directory)
    except OSError as error:
        print(f"ferrometer inspect: {words(error)}", file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(segments, indent=2))
        return 0
    if not segments:
        print(f"{directory} holds no segments")
        return 0
    now = time.time()
    _table(
        ["file", "state", "pid", "age", "size", "families", "series", "removed", "damage"],
        [
            [
                segment["file"],
                segment["state"],
                segment["pid"] or "-",
                _age(segment["created"], now),
                _size(segment["bytes"]),
                segment["families"],
                segment["series"],
                segment["removed"],
                segment["damage"] or "-",
            ]
            for segment in segments
        ],
    )
    return 0


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    lines = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _age(created: float | None, now: float) -> str:
    if created is None:
        return "-"
    seconds = max(0, int(now - created))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
