"""A live PostgreSQL: started, frozen, killed and restarted by a test, and asked as its superuser."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from tests.real import pid
from tests.real.component import LEDGER, POSTGRES, Component
from tests.real.process import Process
from tests.real.prometheus import free_port

PASSWORD = "a-secret-of-the-tests"
_SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "20",
    "shared_preload_libraries": "pg_stat_statements",
    "track_io_timing": "on",
    "timezone": "UTC",
}


class Postgres:
    """One cluster in a folder of its own, running or not."""

    def __init__(
        self, component: Component, folder: Path, user: int | None, *, copy_of: Path | None = None
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self._component = component
        self._user = user
        self._binary = _usable(component.require().resolve(), folder, user)
        self._process: Process | None = None
        if copy_of is not None:
            shutil.copytree(copy_of, self.data)
            self.data.chmod(0o700)
            pid.give(self.data, user)
        else:
            self._initialise()
        LEDGER.exercised[_version(self._binary)] = str(self._binary)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = Process(
            [self._binary, "-D", self.data, *options],
            folder=self.folder,
            env=self._component.environment(),
            stop_with=signal.SIGINT,  # "fast": ends the sessions instead of waiting for them
            user=self._user,
        )
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        """Shut it down, ending all sessions."""
        if self._process is not None:
            pid.thaw(self._process.pid)
            self._process.stop()
            self._process = None

    def freeze(self) -> None:
        """Stop all of its processes where they are."""
        assert self._process is not None
        pid.freeze(self._process.pid)

    def thaw(self) -> None:
        """Let them go on."""
        assert self._process is not None
        pid.thaw(self._process.pid)

    def dsn(self, user: str = "postgres", *, dbname: str = "postgres", password: str = PASSWORD) -> str:
        """A connection string."""
        return make_conninfo(
            host="127.0.0.1", port=self.port, user=user, dbname=dbname, password=password, sslmode="disable"
        )

    def url(self, user: str = "postgres", *, dbname: str = "postgres", scheme: str = "postgresql") -> str:
        """The same as a URL."""
        return f"{scheme}://{user}:{PASSWORD}@127.0.0.1:{self.port}/{dbname}"

    def sql(self, statement: str, *, dbname: str = "postgres") -> list[Any]:
        """What a statement of the superuser answers."""
        with psycopg.connect(self.dsn(dbname=dbname), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        pid.give(self.folder, self._user)
        command = [
            str(self._binary.parent / "initdb"),
            *("-D", str(self.data), "-U", "postgres", "--pwfile", str(secret)),
            *("-A", "scram-sha-256", "--locale=C", "--encoding=UTF8", "--no-sync"),
        ]
        done = subprocess.run(
            command,
            cwd="/",
            capture_output=True,
            text=True,
            env=self._component.environment(),
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
        )
        assert done.returncode == 0, done.stdout + done.stderr
        secret.unlink()

    def _answers(self) -> bool:
        # The port opens before the server takes connections; its log says when it does.
        assert self._process is not None
        if "ready to accept" not in self._process.log():
            return False
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


@contextmanager
def postgres(component: Component = POSTGRES, *, copy_of: Path | None = None) -> Iterator[Postgres]:
    """A cluster, not yet started; skips or fails where there is no PostgreSQL."""
    component.require()
    user = pid.unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="fm-pg-"))  # short: it also holds the Unix socket
    pid.give(folder, user)
    try:
        server = Postgres(component, folder, user, copy_of=copy_of)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _usable(binary: Path, folder: Path, user: int | None) -> Path:
    """The binary, copied with its libraries where that user may not reach it."""
    if user is None:
        return binary
    try:
        subprocess.run(
            [binary, "--version"], user=user, group=user, extra_groups=[], check=True, capture_output=True
        )
    except (PermissionError, subprocess.CalledProcessError):
        copy = folder / "programs"
        shutil.copytree(binary.resolve().parents[1], copy, symlinks=True)
        folder.chmod(0o755)
        return copy / "bin" / binary.name
    return binary


def _version(binary: Path) -> str:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30).stdout
    return f"PostgreSQL {said.split()[2]}"
