"""Pushing to a Prometheus remote write receiver: ``RemoteWrite(url).start()``."""

from __future__ import annotations

import base64
import logging
import random
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ferrometer import _core
from ferrometer.exposition.formats import generate_latest, generate_protobuf
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from ferrometer.metrics.registry import Collector

_log = logging.getLogger("ferrometer")

_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "User-Agent": f"ferrometer/{_core.__version__}",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
#: Seconds before the first retry, and the longest before any.
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 30.0


class _Request(NamedTuple):
    body: bytes
    samples: int


class _Refused(Exception):
    """The receiver will never take this request."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, and its success mean nothing."""

    def redirect_request(self, *arguments: Any, **keywords: Any) -> None:
        """None: it is an error."""


class RemoteWrite:
    """Sends a registry's samples to a remote write receiver (protocol version 1.0), every so often.

    One thread collects, another sends: a receiver that is slow or away does not stop the collecting. What it
    does not take now (network errors, 5xx, 429 and its Retry-After) is sent again, ever more patiently and
    not in step with others; what it refuses (other statuses) is dropped, and so is the oldest of what waits
    when more than ``queue`` requests do. ``ferrometer_remote_write_*`` counts all of this.

    Threads end with a fork: start it in each worker, with a label that tells them apart.
    """

    def __init__(
        self,
        url: str,
        *,
        registry: Collector = REGISTRY,
        interval: float = 15.0,
        labels: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        queue: int = 100,
        batch: int = 2000,
        headers: Mapping[str, str] | None = None,
        auth: str | tuple[str, str] | None = None,
        exemplars: bool = False,
        native_histograms: bool = False,
    ) -> None:
        """Nothing is sent before :meth:`start`.

        :param url: such as ``http://prometheus:9090/api/v1/write``.
        :param interval: seconds between collections.
        :param labels: added to every sample that has no label of that name; ``job`` and ``instance``, mostly.
        :param timeout: seconds that one request may take.
        :param queue: requests that may wait.
        :param batch: samples in one request.
        :param headers: further headers, such as a tenant's.
        :param auth: a bearer token, or user and password.
        :param exemplars: send them too; those of a series come after its samples.
        :param native_histograms: send histograms with their narrow buckets too, beside the classic ones. A
            receiver that takes none, such as a Prometheus where they are switched off, may refuse them.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be one like 'http://prometheus:9090/api/v1/write', not {url!r}")
        for name, value in {"interval": interval, "timeout": timeout, "queue": queue, "batch": batch}.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, not {value!r}")
        self._url = url
        self._registry = registry
        self._interval = interval
        self._labels = sorted((labels or {}).items())
        self._timeout = timeout
        self._batch = batch
        self._exemplars = exemplars
        self._native_histograms = native_histograms
        self._headers = {**_HEADERS, **(headers or {})}
        if isinstance(auth, str):
            self._headers["Authorization"] = f"Bearer {auth}"
        elif auth is not None:
            pair = base64.b64encode(":".join(auth).encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self._waiting: deque[_Request] = deque()
        self._most = queue
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._collector: threading.Thread | None = None
        self._sender: threading.Thread | None = None
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._count_in(registry if isinstance(registry, CollectorRegistry) else REGISTRY, parts.netloc)

    def _count_in(self, registry: CollectorRegistry, netloc: str) -> None:
        receiver = netloc.rpartition("@")[2]  # a password in the URL is nobody's business
        name = "ferrometer_remote_write"
        self._sent = Counter(f"{name}_samples", "Samples that were taken", ["receiver"], registry=registry)
        self._retried = Counter(f"{name}_retries", "Requests sent again", ["receiver"], registry=registry)
        self._dropped = Counter(
            f"{name}_dropped_samples", "Samples given up", ["receiver", "reason"], registry=registry
        )
        self._queued = Gauge(
            f"{name}_queue_requests",
            "Requests that wait",
            ["receiver"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._receiver = receiver

    def start(self) -> Self:
        """Begins, with a first collection at once. Does nothing when it has begun."""
        if self._collector is None:
            self._stopping.clear()
            self._deadline = float("inf")
            self._collector = threading.Thread(target=self._collect, name="ferrometer-collect", daemon=True)
            self._sender = threading.Thread(
                target=self._send, args=(self._collector,), name="ferrometer-send", daemon=True
            )
            self._collector.start()
            self._sender.start()
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Collects a last time and ends, within ``timeout`` seconds; what is not sent then is dropped."""
        self._deadline = time.monotonic() + timeout
        self._stopping.set()
        for thread in (self._collector, self._sender):
            if thread is not None:
                with self._changed:
                    self._changed.notify_all()
                thread.join(max(0.0, self._deadline - time.monotonic()))
        self._collector = self._sender = None
        with self._changed:
            self._drop("stopped", *self._waiting)
            self._waiting.clear()
            self._queued.labels(self._receiver).set(0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def push(self) -> None:
        """Collects now, and leaves what was collected to be sent."""
        for body, samples in self._requests():
            with self._changed:
                if len(self._waiting) >= self._most:
                    self._drop("queue_full", self._waiting.popleft())
                self._waiting.append(_Request(body, samples))
                self._queued.labels(self._receiver).set(len(self._waiting))
                self._changed.notify_all()

    def _requests(self) -> list[tuple[bytes, int]]:
        text = generate_latest(self._registry)
        now = time.time_ns() // 1_000_000
        found = _core.write_requests(text, now, self._labels, self._batch)
        if self._exemplars or self._native_histograms:
            found += _core.write_further_requests(
                generate_protobuf(self._registry),
                now,
                self._labels,
                self._batch,
                self._exemplars,
                self._native_histograms,
            )
        return found

    def _drop(self, reason: str, *requests: _Request) -> None:
        for request in requests:
            self._dropped.labels(self._receiver, reason).inc(request.samples)

    def _collect(self) -> None:
        due = time.monotonic()
        while True:
            last = self._stopping.is_set()
            try:
                self.push()
            except Exception:  # a registry of other makers, whose collectors may raise anything
                _log.exception("nothing was collected for %s", self._receiver)
            if last:
                return
            # In step with the clock, but no hurry to make up for collections that were missed.
            due = max(due + self._interval, time.monotonic())
            self._stopping.wait(due - time.monotonic())

    def _send(self, collector: threading.Thread) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    stopping = self._stopping.is_set()
                    if stopping and not collector.is_alive():
                        return
                    self._changed.wait(_FIRST_WAIT if stopping else None)
                request = self._waiting.popleft()
                self._queued.labels(self._receiver).set(len(self._waiting))
            self._deliver(request)

    def _deliver(self, request: _Request) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                self._post(request.body)
            except _Refused as refusal:
                _log.warning("%s refuses samples: %s", self._receiver, refusal)
                return self._drop("refused", request)
            except (OSError, HTTPException) as error:
                asked = _retry_after(error)
            else:
                return self._sent.labels(self._receiver).inc(request.samples)
            if not self._rest(max(asked, wait * random.uniform(0.5, 1.0))):
                return self._drop("stopped", request)
            wait = min(2 * wait, _LONGEST_WAIT)
            self._retried.labels(self._receiver).inc()

    def _rest(self, seconds: float) -> bool:
        """Waits, not for long when the end is near; whether there is time for another try."""
        if self._stopping.is_set():
            time.sleep(min(seconds, _FIRST_WAIT))
        else:
            self._stopping.wait(seconds)
        return time.monotonic() < self._deadline

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                answer.read(1 << 16)
        except urllib.error.HTTPError as error:
            with suppress(OSError):
                error.close()
            if error.code < 500 and error.code != 429:
                raise _Refused(f"{error.code} {error.reason}") from error
            raise


def _retry_after(error: Exception) -> float:
    """Seconds that the receiver asks us to wait; a date, which nobody sends, counts as none."""
    if isinstance(error, urllib.error.HTTPError):
        with suppress(ValueError):
            return min(max(0.0, float(error.headers.get("Retry-After", "0"))), _LONGEST_WAIT)
    return 0.0
