"""Receivers that close one half of a connection: nothing is lost, and what was in doubt says so."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.logs.programs import lines, numbers, run, settled
from tests.logs.test_http_sinks import KINDS, arrived, loki_rows, otlp_rows, ship_to
from tests.real.log_receivers import Receiver, Reply, refuse_to_read


class LineServer:
    """A server of JSON lines by TCP that keeps what came by each connection.

    :param writes_nothing: shut the writing side of every connection at once, and read on.
    :param deaf: of so many connections shut the reading side, and close them with what came unread.
    """

    def __init__(self, *, writes_nothing: bool = False, deaf: int = 0) -> None:
        self.writes_nothing, self.deaf = writes_nothing, deaf
        self.connections: list[bytearray] = []
        self._listener = socket.socket()
        # Small: what is sent to one that does not read is not all acknowledged.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines, in the order of the connections. The senders have ended."""
        self.join()
        return [json.loads(line) for received in self.connections for line in received.split(b"\n")[:-1]]

    def join(self) -> None:
        """Waits for the end of all connections."""
        for thread in self._threads[1:]:
            thread.join(60)
            assert not thread.is_alive()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(60)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.deaf:
                self.deaf -= 1
                refuse_to_read(connection)
                continue
            received = bytearray()
            self.connections.append(received)
            self._threads.append(
                threading.Thread(target=self._read, args=(connection, received), daemon=True)
            )
            self._threads[-1].start()

    def _read(self, connection: socket.socket, received: bytearray) -> None:
        with connection:
            if self.writes_nothing:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk


@contextmanager
def line_server(**how: Any) -> Iterator[LineServer]:
    server = LineServer(**how)
    try:
        yield server
    finally:
        server.close()


def send(port: int) -> dict[str, Any]:
    """Ten batches of lines, the first line a long one."""
    _, err = run(
        f"""
ship.start([Syslog("127.0.0.1:{port}", name="syslog")], service="s")
log(0, text="x" * 60_000)
for number in range(1, 200):
    log(number)
    if number % 20 == 0: assert ship.flush(60), ship.counts()
assert ship.flush(60), ship.counts()
told(ship.counts())
"""
    )
    counts: dict[str, Any] = json.loads(err.splitlines()[-1])
    assert settled(counts, "syslog") == 200
    assert counts["sinks"]["syslog"]["shipped"] == 200
    return counts


def test_a_server_of_lines_that_shuts_its_writing_side() -> None:
    with line_server(writes_nothing=True) as server:
        counts = send(server.port)
        rows = server.rows()
        # A connection that the other side has half closed is not used again, for it may be closing it.
        assert len(server.connections) > 1
    assert [row["number"] for row in rows] == list(range(200))
    assert not [row for row in rows if "repeated" in row]
    assert counts["sinks"]["syslog"]["repeated"] == 0


def test_a_server_of_lines_that_shuts_its_reading_side() -> None:
    with line_server(deaf=1) as server:
        counts = send(server.port)
        rows = server.rows()
    assert [row["number"] for row in rows] == list(range(200))
    # Nobody knows what it had read before the reset.
    repeated = [row["number"] for row in rows if row.get("repeated")]
    assert repeated[:1] == [0]
    assert counts["sinks"]["syslog"]["repeated"] == len(repeated)


def test_a_server_of_lines_that_never_reads_delays_no_other(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        _, err = run(
            f"""
away = Syslog("127.0.0.1:{listener.getsockname()[1]}", name="away")
ship.start([away, File(sys.argv[1], name="file")], service="s", queue_bytes=1 << 20)
for number in range(300): log(number, text="x" * 1000)
end = time.monotonic() + 60
while ship.counts()["sinks"]["file"]["queued"]: assert time.monotonic() < end; time.sleep(0.01)
assert not ship.flush(0.5)
told(ship.counts())
os._exit(0)
""",
            tmp_path / "log",
        )
    counts = json.loads(err.splitlines()[-1])
    assert numbers(lines(tmp_path / "log")) == list(range(300))
    assert settled(counts, "away") == settled(counts, "file") == 300
    assert counts["sinks"]["away"]["queued"] > 0


def doubles(kind: str, receiver: Receiver) -> tuple[list[int], list[int]]:
    """The numbers of the lines that are not marked as repeated, and of those that are."""
    if kind == "Loki":
        found = [
            (line["number"], "repeated" in metadata) for _, line, metadata, _ in loki_rows(receiver.posts)
        ]
    else:
        found = [
            (int(values["number"]["intValue"]), "log.record.repeated" in values)
            for values, _ in otlp_rows(receiver.posts)
        ]
    return [number for number, again in found if not again], [number for number, again in found if again]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_answers_and_shuts_its_writing_side(kind: str) -> None:
    more = "for number in range(300, 310): log(number); assert ship.flush(30)"
    with Receiver(lambda _: Reply(204, half_close=True)) as receiver:
        counts = ship_to(kind, receiver.url, more=more)
        clean, repeated = doubles(kind, receiver)
    assert counts["flushed"]
    # What went out by a connection that was just being closed is sent again, and marked.
    assert len(clean) == len(set(clean))
    assert set(clean) | set(repeated) == set(range(310))
    assert counts["sinks"]["sink"]["shipped"] == settled(counts, "sink") == 310
    assert counts["sinks"]["sink"]["repeated"] >= len(set(repeated))


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_shuts_its_reading_side(kind: str) -> None:
    with Receiver(deaf=1) as receiver:
        counts = ship_to(kind, receiver.url)
        clean, repeated = doubles(kind, receiver)
        assert sorted(arrived(kind, receiver.posts)) == sorted(clean + repeated) == list(range(300))
    assert counts["flushed"]
    assert counts["sinks"]["sink"]["shipped"] == 300
    assert repeated, "nobody knows what it had read"
    assert counts["sinks"]["sink"]["repeated"] == len(repeated)
