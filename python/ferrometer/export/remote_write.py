"""Pushing to a Prometheus remote write receiver: ``RemoteWrite(url).start()``."""

from __future__ import annotations

import base64
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ferrometer import _core
from ferrometer._runtime.delivery import Delivery
from ferrometer._runtime.http_client import post
from ferrometer.exposition.formats import generate_latest, generate_protobuf
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from ferrometer.metrics.registry import Collector

_log = logging.getLogger("ferrometer")

_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "User-Agent": f"ferrometer/{_core.__version__}",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class _Request(NamedTuple):
    body: bytes
    samples: int


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
        self._stopping = threading.Event()
        self._collector: threading.Thread | None = None
        where = registry if isinstance(registry, CollectorRegistry) else REGISTRY
        receiver = parts.netloc.rpartition("@")[2]  # a password in the URL is nobody's business
        self._receiver = receiver
        counts = _Counts(where, receiver)
        self._delivery = Delivery(f"remote write to {receiver}", self._send, counts, queue=queue)

    def start(self) -> Self:
        """Begins, with a first collection at once. Does nothing when it has begun."""
        if self._collector is None:
            self._stopping.clear()
            self._delivery.start()
            self._collector = threading.Thread(target=self._collect, name="ferrometer-collect", daemon=True)
            self._collector.start()
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Collects a last time and ends, within ``timeout`` seconds; what is not sent then is dropped."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        if self._collector is not None:
            self._collector.join(max(0.0, deadline - time.monotonic()))
        self._collector = None
        self._delivery.stop(deadline)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def push(self) -> None:
        """Collects now, and leaves what was collected to be sent."""
        for body, samples in self._requests():
            self._delivery.put(_Request(body, samples))

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

    def _send(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            post(self._url, request.body, self._headers, self._timeout)

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


class _Counts:
    """The self-metrics, by receiver; samples are counted, not requests."""

    def __init__(self, registry: CollectorRegistry, receiver: str) -> None:
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

    def sent(self, items: Sequence[_Request]) -> None:
        self._sent.labels(self._receiver).inc(sum(request.samples for request in items))

    def retried(self) -> None:
        self._retried.labels(self._receiver).inc()

    def dropped(self, items: Sequence[_Request], reason: str) -> None:
        self._dropped.labels(self._receiver, reason).inc(sum(request.samples for request in items))

    def queued(self, items: int) -> None:
        self._queued.labels(self._receiver).set(items)
