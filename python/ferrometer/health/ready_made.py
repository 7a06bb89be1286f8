"""Health checks ready for ``HealthChecks.register``: GPUs, a disk, a URL.

Plain functions: ``HealthChecks`` runs each in a thread of its own.
"""

from __future__ import annotations

import http.client
import io
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ferrometer.background.collector import CollectError
from ferrometer.collectors.gpu.device import InvisibleError, LostError, Session, session
from ferrometer.collectors.host.disk import usage

Result: TypeAlias = Mapping[str, Any]


def gpu_check(*, min_gpus: int = 1) -> Callable[[], Result]:
    """Healthy when NVML reaches at least ``min_gpus`` GPUs, and none of those it lists is lost.

    Fields: ``gpus`` that answer, ``lost_gpus``, and a ``reason`` where there is none to ask. NVML is
    kept initialised between two calls, and initialised anew after one that found too little.
    """
    if isinstance(min_gpus, bool) or not isinstance(min_gpus, int):
        raise TypeError(f"min_gpus must be an int, not {type(min_gpus).__name__}")
    if min_gpus < 0:
        raise ValueError(f"min_gpus must not be negative, not {min_gpus}")

    def check() -> Result:
        try:
            with session() as nvml:
                answers = [_answers(nvml, index) for index in range(nvml.count)]
                answering, lost = answers.count(True), answers.count(False)
                # One that is added shows in a new session only.
                nvml.spent = lost > 0 or answering < min_gpus
        except CollectError as error:  # no package, no driver, a driver that does not start
            return {"healthy": min_gpus == 0, "gpus": 0, "lost_gpus": 0, "reason": error.reason}
        return {"healthy": not lost and answering >= min_gpus, "gpus": answering, "lost_gpus": lost}

    return check


def _answers(nvml: Session, index: int) -> bool | None:
    """Whether the GPU answers; None for one that this process is not to see."""
    try:
        device = nvml.device(index)
        for question in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetName"):
            device.ask(question)
    except InvisibleError:
        return None
    except LostError:
        return False
    return device.answers > 0


def disk_check(path: str | os.PathLike[str], *, min_free: float = 0.05) -> Callable[[], Result]:
    """Healthy when an ordinary user may still write ``min_free`` at ``path``.

    ``min_free``: below 1 a share of the file system, from 1 on bytes. Fields: ``free_bytes``,
    ``total_bytes``. A path that cannot be read raises OSError, which makes the check unhealthy.
    """
    place = os.fspath(path)
    if isinstance(min_free, bool) or not isinstance(min_free, int | float):
        raise TypeError(f"min_free must be a number, not {type(min_free).__name__}")
    if not 0 <= min_free < math.inf:
        raise ValueError(f"min_free must be a share below 1 or a number of bytes, not {min_free!r}")

    def check() -> Result:
        total, _, free, _, _ = usage(place)
        needed = min_free if min_free >= 1 else min_free * total
        return {"healthy": free >= needed, "free_bytes": free, "total_bytes": total}

    return check


def url_check(
    url: str,
    timeout: float = 0.8,
    *,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Callable[[], Result]:
    """Healthy when ``GET url`` is answered with a status from 200 to 399 within ``timeout`` seconds.

    Field: ``status_code``. No redirect is followed, no proxy asked, no body read. ``context``: for
    TLS, by default one that trusts the system's authorities. It raises OSError or HTTPException when
    there is no such answer. The name's resolution is not within the time; ``register(timeout=)`` is
    what bounds that.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url must hold no password; write headers={'Authorization': ...}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a finite number of seconds above 0, not {timeout!r}")
    secure = parts.scheme == "https"
    trusted = context if context is not None or not secure else ssl.create_default_context()
    host, port = parts.hostname, parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"User-Agent": "ferrometer", "Accept": "*/*", "Connection": "close", **(headers or {})}

    def check() -> Result:
        deadline = time.monotonic() + timeout
        connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted)
            if secure
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        try:
            connection.request("GET", target, headers=sent)
            answer = http.client.HTTPResponse(_Wire(connection.sock, deadline), method="GET")  # type: ignore[arg-type]
            answer.begin()
            return {"healthy": 200 <= answer.status < 400, "status_code": answer.status}
        finally:
            connection.close()

    return check


class _Wire:
    """A socket for ``HTTPResponse`` that has one deadline for all that is read, not one per read."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._stream = _Timed(sock, deadline)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What is read from it."""
        return io.BufferedReader(self._stream)


class _Timed(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not complete in time")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


__all__ = ["disk_check", "gpu_check", "url_check"]
