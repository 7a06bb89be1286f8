"""The demo's client, a process of its own: real sockets, a fixed plan, every answer counted.

`python -m ferrometer.demo.traffic URL REQUESTS RATE` sends REQUESTS requests as fast as it can. It writes one
JSON object per line on standard output: `{"done": n}` while it works, its `Tally` at the end. A line on
standard input then sends it on a stroll, with RATE requests a second until that input is closed.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from ferrometer.demo.plan import Step, steps

_WORKERS = 12
_MESSAGES = 5
"""Messages a websocket connection sends, and gets back, before it closes."""
_PATIENCE_SECONDS = 30


class Tally:
    """What the client got, by the names the server should have used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done: int = 0
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.conversations: int = 0
        self.messages: int = 0
        self.hung_up: int = 0

    def answer(self, step: Step, status: int) -> None:
        """One HTTP answer, whole or hung up on."""
        with self._lock:
            self.done += 1
            self.answers[step.method, step.route, status] += 1
            self.hung_up += step.hang_up

    def conversation(self, messages: int) -> None:
        """One websocket connection with so many messages sent and returned."""
        with self._lock:
            self.done += 1
            self.conversations += 1
            self.messages += messages

    def as_json(self) -> str:
        """The line that ends the plan."""
        answers = [[*key, count] for key, count in sorted(self.answers.items())]
        others = {"conversations": self.conversations, "messages": self.messages, "hung_up": self.hung_up}
        return json.dumps({"answers": answers, **others})


class Client:
    """One keep-alive connection, as a worker thread has it."""

    def __init__(self, url: str, tally: Tally) -> None:
        self._url = urlsplit(url)
        self._tally = tally
        self._connection = self._connect()

    def take(self, step: Step) -> None:
        """Does one step and counts it."""
        if step.method == "WEBSOCKET":
            self._converse(step)
            return
        body = None if step.body is None else json.dumps(step.body)
        self._connection.request(step.method, step.path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        if step.hang_up:
            answer.read(1)
            self._slam()
        else:
            answer.read()
        if answer.status == 500:  # the server closes the connection when the application has raised
            self._connection.close()
        self._tally.answer(step, answer.status)

    def close(self) -> None:
        """Ends the connection as one should."""
        self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=_PATIENCE_SECONDS)

    def _slam(self) -> None:
        """Resets the connection, as a client does that has lost its patience or its network."""
        if self._connection.sock is not None:
            no_linger = struct.pack("ii", 1, 0)
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        self._connection.close()
        self._connection = self._connect()

    def _converse(self, step: Step) -> None:
        with connect(f"ws://{self._url.netloc}{step.path}", compression=None) as websocket:
            for number in range(_MESSAGES):
                websocket.send(f"message {number}")
                websocket.recv(timeout=_PATIENCE_SECONDS)
        self._tally.conversation(_MESSAGES)


def drive(url: str, order: Iterator[Step], requests: int, tally: Tally) -> None:
    """Takes `requests` steps, several at a time; the first error of any worker is raised."""
    pending = itertools.islice(order, requests)
    lock = threading.Lock()

    def work() -> None:
        with closing(Client(url, tally)) as client:
            while True:
                with lock:
                    step = next(pending, None)
                if step is None:
                    return
                client.take(step)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for worker in [pool.submit(work) for _ in range(_WORKERS)]:
            worker.result()


def stroll(url: str, order: Iterator[Step], rate: float, stop: Callable[[float], bool]) -> None:
    """Light traffic, `rate` steps a second, until `stop`; survives whatever a single step runs into."""
    client = Client(url, Tally())
    while not stop(1 / rate):
        try:
            client.take(next(order))
        except (OSError, http.client.HTTPException, WebSocketException):
            client = Client(url, Tally())


def main(url: str, requests: int, rate: float) -> None:
    """Drives the plan, says how it went, then strolls if it is told to."""
    parent_gone, plan_done = threading.Event(), threading.Event()
    tally = Tally()

    def report() -> None:
        while not plan_done.wait(0.1):
            print(json.dumps({"done": tally.done}), flush=True)

    def watch_parent() -> None:
        sys.stdin.read()
        parent_gone.set()

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    order = steps()
    drive(url, order, requests, tally)
    plan_done.set()
    reporter.join()
    print(tally.as_json(), flush=True)
    if sys.stdin.readline():
        threading.Thread(target=watch_parent, daemon=True).start()
        stroll(url, order, rate, parent_gone.wait)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
