"""A plain client of a server on a port of its own, over real sockets."""

from __future__ import annotations

import http.client
import socket
from typing import NamedTuple


class Answer(NamedTuple):
    """A status, headers by lower-case name, and the body as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    port: int, path: str = "/metrics", method: str = "GET", *, host: str = "127.0.0.1", **headers: str
) -> Answer:
    """One request on a connection of its own; ``accept_encoding=`` is the header ``Accept-Encoding``."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        return ask_on(connection, path, method, **headers)
    finally:
        connection.close()


def ask_on(
    connection: http.client.HTTPConnection, path: str = "/metrics", method: str = "GET", **headers: str
) -> Answer:
    """One request on a connection that may have had others."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=sent)
    answer = connection.getresponse()
    return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def raw(port: int, data: bytes) -> socket.socket:
    """A connection on which these bytes were sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(data)
    return connection


def is_closed(connection: socket.socket, seconds: float) -> bool:
    """Whether the other end closes within so many seconds; what it sends before is thrown away."""
    connection.settimeout(seconds)
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True
