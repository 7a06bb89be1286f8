"""The demo's servers, in the hands of a process of its own: PostgreSQL, and Valkey or Redis.

`python -m ferrometer.demo.servers postgres valkey` starts what it is told, as far as that is installed, and
writes a line of JSON for each on standard output: its `Started`. When its standard input ends it stops them
and removes what they wrote. That is how the demo ends them, and also what its death looks like from here,
however it dies.

Both listen on sockets in a folder that nobody else may enter, and on no port.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ferrometer.demo import programs

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "20",
    "shared_buffers": "16MB",
    "fsync": "off",  # nothing outlives the demo
    "track_io_timing": "on",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Started:
    """A server that runs, or why it does not."""

    name: str
    version: str = ""
    address: str = ""
    """A connection string or URL; empty where there is none."""
    problem: str = ""


class StartError(Exception):
    """A server did not start; the text says why, in a few words."""


class _Program:
    """A running server and the user that it runs as."""

    def __init__(
        self, command: list[str | Path], folder: Path, owner: int | None, end: signal.Signals
    ) -> None:
        self._log = folder / f"{Path(command[0]).name}.log"
        self._end = end
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as(owner)
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Polls `ready`; raises StartError when it does not end well."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError):
                if ready():
                    return
            if self._process.poll() is not None:
                raise StartError(self._last_words() or f"it ended with {self._process.returncode}")
            time.sleep(0.02)
        raise StartError(f"it was not ready within {_START_SECONDS:g} s")

    def says(self, words: str) -> bool:
        """Whether that is in its log."""
        return words in self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Asks it to end, and insists."""
        if self._process.poll() is None:
            self._process.send_signal(self._end)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _last_words(self) -> str:
        return (self._log.read_text(errors="replace").strip().splitlines() or [""])[-1]


def start_postgres(folder: Path, owner: int | None, stack: ExitStack) -> Started:
    """A fresh cluster in the folder, with pg_stat_statements where that is installed."""
    found = programs.postgres()
    if found is None:
        raise StartError("it is not installed")
    data = folder / "postgres"
    made = subprocess.run(
        [
            found.parent / "initdb",
            "-D",
            data,
            "-U",
            "demo",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        **_as(owner),
    )
    if made.returncode:
        raise StartError((made.stderr.strip().splitlines() or ["initdb failed"])[-1])
    settings = _POSTGRES_SETTINGS | {"unix_socket_directories": str(folder)}
    if _has_statements(found):
        settings["shared_preload_libraries"] = "pg_stat_statements"
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    # SIGINT ends its sessions instead of waiting for them.
    server = _Program([found, "-D", data, *options], folder, owner, signal.SIGINT)
    stack.callback(server.stop)
    server.wait_until(lambda: server.says("ready to accept connections"))
    return Started("PostgreSQL", _version(found), f"host={folder} user=demo dbname=postgres")


def start_valkey(folder: Path, owner: int | None, stack: ExitStack) -> Started:
    """A server that keeps nothing on disk."""
    found = programs.valkey()
    if found is None:
        raise StartError("it is not installed")
    place = folder / "valkey.sock"
    command: list[str | Path] = [found, "--port", "0", "--unixsocket", place, "--unixsocketperm", "700"]
    command += ["--save", "", "--dir", folder]
    server = _Program(command, folder, owner, signal.SIGTERM)
    stack.callback(server.stop)
    server.wait_until(lambda: _pong(place))
    return Started("Redis" if "redis" in found.name else "Valkey", _version(found), f"unix://{place}")


_SERVERS = {"postgres": ("PostgreSQL", start_postgres), "valkey": ("Valkey", start_valkey)}


def _pong(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(1)
        asked.connect(str(place))
        asked.sendall(b"PING\r\n")
        return asked.recv(16).startswith(b"+PONG")


def _has_statements(found: Path) -> bool:
    around = found.parents[1]
    return any((around / folder / "pg_stat_statements.so").exists() for folder in ("lib", "lib/postgresql"))


def _version(found: Path) -> str:
    """The number that `--version` says."""
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=10).stdout
    words = (word.removeprefix("v=") for word in said.split())
    return next((word for word in words if word[:1].isdigit()), "")


def _owner() -> int | None:
    """The user for servers that refuse to be run by root; None where we are somebody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    return None


def _as(owner: int | None) -> dict[str, Any]:
    return {} if owner is None else {"user": owner, "group": pwd.getpwuid(owner).pw_gid, "extra_groups": []}


@contextmanager
def _folder(owner: int | None) -> Any:
    # Short: a socket's path may have some hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="fm-demo-"))
    try:
        if owner is not None:
            os.chown(folder, owner, pwd.getpwuid(owner).pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(names: list[str]) -> None:
    """Starts them, says so, and stops them when nobody listens any more."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    owner = _owner()
    with _folder(owner) as folder, ExitStack() as stack:
        for name in names:
            title, start = _SERVERS[name]
            try:
                started = start(folder, owner, stack)
            except (StartError, OSError, subprocess.SubprocessError) as error:
                started = Started(title, problem=str(error))
            with suppress(BrokenPipeError):  # nobody listens: the end of the input says so below
                print(json.dumps(asdict(started)), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
