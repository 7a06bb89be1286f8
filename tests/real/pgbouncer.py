"""A live PgBouncer in front of a live PostgreSQL."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.real import pid
from tests.real.component import LEDGER, PGBOUNCER
from tests.real.postgres import PASSWORD, Postgres
from tests.real.process import Process
from tests.real.prometheus import free_port

_CONFIG = """\
[databases]
app = host=127.0.0.1 port={upstream} dbname=postgres user=postgres pool_size=2

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
stats_users = watcher
pool_mode = transaction
max_client_conn = 100
"""


class PgBouncer:
    """A running PgBouncer; its database `app` may have two server connections."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port

    def dsn(self, user: str = "postgres", *, dbname: str = "app", password: str = PASSWORD) -> str:
        """A connection string; database `pgbouncer` and user `watcher` for the console."""
        return make_conninfo(
            host="127.0.0.1", port=self.port, user=user, dbname=dbname, password=password, sslmode="disable"
        )

    def freeze(self) -> None:
        """Stop it where it is."""
        pid.freeze(self._process.pid)

    def thaw(self) -> None:
        """Let it go on."""
        pid.thaw(self._process.pid)


@contextmanager
def pgbouncer(upstream: Postgres) -> Iterator[PgBouncer]:
    """A PgBouncer; skips or fails where there is none."""
    binary = PGBOUNCER.require()
    user = pid.unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="fm-pgb-"))
    try:
        port, users = free_port(), folder / "users.txt"
        users.write_text("".join(f'"{name}" "{PASSWORD}"\n' for name in ("postgres", "watcher")))
        config = folder / "pgbouncer.ini"
        config.write_text(_CONFIG.format(upstream=upstream.port, port=port, users=users))
        pid.give(folder, user)
        with Process([binary, config], folder=folder, env=PGBOUNCER.environment(), user=user) as process:
            process.wait_until(lambda: _answers(port))
            LEDGER.exercised[_version(binary)] = str(binary)
            try:
                yield PgBouncer(process, port)
            finally:
                pid.thaw(process.pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def _version(binary: Path) -> str:
    env = PGBOUNCER.environment()
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, env=env, timeout=30)
    return " ".join(said.stdout.split()[:2])
