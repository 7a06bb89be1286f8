"""``ferrometer serve``, ``ferrometer inspect``: shared metrics without the processes that wrote them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ferrometer import _core
from ferrometer._runtime.settings import Sources
from ferrometer.endpoints.own_port import serve_directory
from ferrometer.endpoints.protection import protection
from ferrometer.http.feature import HttpSettings
from ferrometer.logs.ship import DEADLINE, configuration
from ferrometer.logs.sinks import parse

#: Seconds in which a worker may take over the shipping of logs before this process does.
PATIENCE = 2.0
_LOOPBACK = ("127.", "::1", "localhost")


def serve(
    directory: Path,
    *,
    port: int,
    addr: str,
    token_file: Path | None = None,
    auth_env: str | None = None,
    allow: Sequence[str] = (),
    namespace: str | None = None,
    logs: Sequence[str] = (),
    service: str = "",
) -> int:
    """Serves a directory until SIGTERM or SIGINT; 2 for what the user can mend.

    Log lines go to the sinks in ``logs`` while no worker ships them: when all are dead, above all.

    What is not given is taken from the environment and ``config.toml``, as ``instrument()`` does.
    """
    try:
        sources = Sources()
        auth = _secret(token_file, auth_env)
        chosen = protection(auth=auth, allow=_split(allow) or None, sources=sources)
        namespace = sources.read("metrics", HttpSettings, {"namespace": namespace}).namespace
        # Blocked first: the server's thread must have none, and sigwait wants them blocked.
        stops = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        server = serve_directory(
            directory,
            port,
            addr,
            auth=chosen.auth_token,
            allow=chosen.allow,
            namespace=namespace,
            native_histograms=chosen.native_histograms,
        )
        shipper = _shipper(directory, logs, service, namespace) if logs else None
    except (OSError, TypeError, ValueError) as error:
        print(f"ferrometer serve: {_words(error)}", file=sys.stderr)
        return 2
    if chosen.auth_token is None and chosen.allow is None and not addr.startswith(_LOOPBACK):
        print("ferrometer serve: everybody may read this: --token-file, --auth-env, --allow", file=sys.stderr)
    with server:
        print(f"serving {directory} at {server.url}/metrics", flush=True)
        signal.sigwait(stops)
    if shipper is not None:
        shipper.stop(DEADLINE)
    return 0


def _shipper(
    directory: Path, logs: Sequence[str], service: str, namespace: str | None
) -> _core.DirectoryShipper:
    sinks = [parse(text) for text in logs]
    config = configuration(
        sinks, directory=directory, service=service, namespace=namespace or "", patience=PATIENCE
    )
    return _core.DirectoryShipper(config)


def inspect(directory: Path, *, as_json: bool = False) -> int:
    """Prints what lies in a directory, file by file; 2 when it cannot be read."""
    try:
        segments = _core.inspect(directory)
    except OSError as error:
        print(f"ferrometer inspect: {_words(error)}", file=sys.stderr)
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


def _secret(token_file: Path | None, auth_env: str | None) -> list[str] | None:
    """The tokens; an option that gives none is an error, and never an open port."""
    if token_file is not None and auth_env is not None:
        raise ValueError("--token-file or --auth-env, not both")
    if token_file is not None:
        tokens = token_file.read_text("utf-8").split()
        if not tokens:
            raise ValueError(f"{token_file} holds no token")
        return tokens
    if auth_env is not None:
        tokens = os.environ.get(auth_env, "").split()
        if not tokens:
            raise ValueError(f"the variable {auth_env} is not set, or empty")
        return tokens
    return None


def _split(allow: Iterable[str]) -> list[str]:
    return [part.strip() for entry in allow for part in entry.split(",") if part.strip()]


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


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
