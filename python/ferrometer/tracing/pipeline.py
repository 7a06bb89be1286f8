"""What is decided once for all traces of the process, and their export."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ferrometer import _core
from ferrometer._process.ending import seconds_left
from ferrometer._runtime import otel_environment
from ferrometer.jobs.listeners import listen
from ferrometer.sharing.hash_key import hash_key_of
from ferrometer.sharing.share import shared_directory
from ferrometer.tracing.jobs import JobSpans

#: Seconds that the end of a process waits for its spans to leave.
DEADLINE = 2.0
_ROOTS = ("always_on", "always_off", "traceidratio")
SAMPLERS = (*_ROOTS, *(f"parentbased_{name}" for name in _ROOTS))
CONVENTIONS = ("stable", "seed", "both")
_registered = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a span may hold; what is beyond is left out, and counted in the span."""

    attributes: int = 128
    text: int = 8192
    events: int = 128
    links: int = 128
    event_attributes: int = 128
    link_attributes: int = 128

    def __post_init__(self) -> None:
        """Raises ValueError for a limit below 0, or without an end."""
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0 <= value <= 1 << 30:
                raise ValueError(f"the limit of {name} must be from 0 to {1 << 30}, not {value!r}")


def setup(
    service: str = "",
    *,
    endpoint: str | Sequence[str] | None = None,
    headers: Mapping[str, str] | None = None,
    version: str = "",
    environment: str = "",
    resource: Mapping[str, str] | None = None,
    sampler: str | None = None,
    ratio: float = 1.0,
    conventions: str = "stable",
    limits: Limits | None = None,
    hash_key: str | bytes | None = None,
    export: bool = True,
    gzip: bool | None = None,
    ca: str | None = None,
    timeout: float | None = None,
    delay: float = 1.0,
    queue_bytes: int = 4 << 20,
    namespace: str = "",
) -> None:
    """Record spans from now on as said here, and export them; a second call changes it.

    :param endpoint: of an OTLP receiver, to which ``/v1/traces`` is appended, or several; without it
        ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_ENDPOINT``, else
        ``http://localhost:4318``.
    :param sampler: OpenTelemetry's name of one; without it ``parentbased_traceidratio``.
    :param ratio: the share of traces that a ``traceidratio`` records, from 0 to 1.
    :param conventions: ``stable``, ``seed`` (``http.method`` and the other old names), or ``both``.
    :param export: whether spans leave at all; without that they are counted, and seen by who looks.
    :param delay: seconds to wait for more spans before a few are sent.
    :param queue_bytes: of spans that may wait in this process.

    Raises ValueError for what is no sampler, share, convention, URL or limit, and OSError when the shared
    directory cannot be written.
    """
    global _registered
    check(sampler, ratio, conventions)
    if queue_bytes < 64 << 10:
        raise ValueError(f"queue_bytes must be at least 65536, not {queue_bytes!r}")
    limits = Limits() if limits is None else limits
    described = otel_environment.resource(service, version=version, environment=environment, given=resource)
    addresses = [endpoint] if endpoint is None or isinstance(endpoint, str) else list(endpoint)
    sinks = [
        _sink(
            otel_environment.otlp(
                "TRACES",
                endpoint=address,
                headers=headers,
                resource=described,
                gzip=gzip,
                ca=ca,
                timeout=timeout,
            ),
            delay,
        )
        for address in (addresses if export else [])
    ]
    directory = shared_directory()
    _core.start_shipping(
        json.dumps(
            {
                "records": "spans",
                "directory": None if directory is None else os.fspath(directory),
                "queue_bytes": queue_bytes,
                "namespace": namespace,
                "service": service,
                "environment": environment,
                "sinks": sinks,
            }
        )
    )
    _core.configure_traces(
        sampler or "parentbased_traceidratio",
        ratio,
        (
            *(limits.attributes, limits.text, limits.events, limits.links),
            *(limits.event_attributes, limits.link_attributes),
        ),
        hash_key_of(hash_key),
        conventions,
    )
    if not _registered:
        _registered = True
        atexit.register(_at_exit)
        listen(JobSpans())


def check(sampler: str | None, ratio: float, conventions: str) -> None:
    """Raises ValueError for what is no sampler, share or convention."""
    if sampler is not None and sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"ratio must be from 0 to 1, not {ratio!r}")
    if conventions not in CONVENTIONS:
        raise ValueError(f"conventions must be one of {', '.join(CONVENTIONS)}, not {conventions!r}")


def _sink(otlp: dict[str, Any], delay: float) -> dict[str, Any]:
    name = f"otlp:{urlsplit(otlp['url']).netloc}"
    return {"name": name[:48], "kind": "otlp_traces", "linger": delay, **otlp}


def flush(timeout: float = DEADLINE) -> bool:
    """Wait until all spans of this process that have ended have left; False when that takes longer than
    ``timeout`` seconds."""
    return _core.flush_records(timeout, "spans")


def shutdown(timeout: float = DEADLINE) -> None:
    """Flush, and leave the export to others. What has not left stays in the shared directory, if any."""
    _core.stop_traces()
    _core.flush_records(timeout, "spans")
    _core.stop_shipping(0.2, "spans")


def _at_exit() -> None:
    shutdown(seconds_left())


def counts() -> dict[str, Any] | None:
    """What was recorded and what became of it, in all processes that share; None where nobody records.

    In the form of ``ferrometer.logs.ship.counts()``, with ``spans`` in place of ``lines``: those that
    say that they failed under ``error``, all others under ``info``.
    """
    told: dict[str, Any] | None = json.loads(_core.record_counts("spans"))
    return told
