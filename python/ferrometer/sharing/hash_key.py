"""The secret with which API keys are hashed in logs and traces: a key has the same mark in all of them."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ferrometer.sharing.share import shared_directory

_KEY_BYTES = 32


def hash_key_of(given: str | bytes | None) -> bytes:
    """The secret that is given, or the environment's; else the processes' common one, or this one's own."""
    given = os.environ.get("FERROMETER_LOGGING_HASH_KEY") if given is None else given
    if given:
        return given.encode() if isinstance(given, str) else bytes(given)
    directory = shared_directory()
    return secrets.token_bytes(_KEY_BYTES) if directory is None else _key_of(Path(directory) / "log-hash-key")


def _key_of(path: Path) -> bytes:
    """The key in that file, which the first process makes; nobody else than this user may read it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        try:
            # Whole, or not there: a link appears with all that it names.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(fresh)
        return path.read_bytes() or secrets.token_bytes(_KEY_BYTES)
    except OSError:
        return secrets.token_bytes(_KEY_BYTES)
