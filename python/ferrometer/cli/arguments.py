"""What several commands ask for in the same words, and how they say what is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def shared_directory() -> dict[str, Any]:
    """The keywords of an argument that names a directory; without one it is ``FERROMETER_DIR``."""
    named = os.environ.get("FERROMETER_DIR")
    return {"type": Path, "default": Path(named) if named else None}


def is_url(where: str) -> bool:
    """Whether it is the address of an application, and not a directory."""
    return where.startswith(("http://", "https://"))


def no_directory(usage: str) -> int:
    """Says how to name a directory; returns the exit status for that."""
    from ferrometer.sharing.directory import candidates

    print(f"which directory? ferrometer {usage}, or FERROMETER_DIR in the environment", file=sys.stderr)
    for pid, path in candidates():
        print(f"  {path}  of process {pid}: {command_line(pid)}", file=sys.stderr)
    return 2


def port(text: str) -> int:
    """A port, 0 for any free one."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def positive(text: str) -> int:
    """A whole number, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def words(error: Exception) -> str:
    """An error in a line, with the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def command_line(pid: int) -> str:
    """What a process was started with, as far as the system tells."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        )
    except OSError:
        return "?"


def token_variable(command: argparse.ArgumentParser) -> None:
    """Adds ``--token-env NAME``; the value is the token. A variable without one is an error."""
    command.add_argument(
        "--token-env",
        "--auth-env",
        dest="token",
        type=_token,
        metavar="NAME",
        help="the variable that holds the bearer token",
    )


def _token(name: str) -> str:
    token = os.environ.get(name, "").strip()
    if not token:
        raise argparse.ArgumentTypeError(f"the variable {name} is not set, or empty")
    return token
