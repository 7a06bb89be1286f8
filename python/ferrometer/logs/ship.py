"""The native shipper: where the lines of this process, and of the others that share with it, leave.

The lines of a process lie in a ring: in a file of the shared directory, or in its own memory where
nothing is shared. One process of a directory ships those of all; another takes over when it ends. No thread
of the shipper takes the GIL, and nothing here ever waits for a sink but :func:`flush` and :func:`stop`.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ferrometer import _core
from ferrometer._process.ending import seconds_left
from ferrometer.logs.sinks import Sink
from ferrometer.sharing.share import shared_directory

if TYPE_CHECKING:
    from ferrometer.metrics.registry import CollectorRegistry

#: Seconds that the end of a process waits for all sinks together.
DEADLINE = 2.0
_registered = False


def configuration(
    sinks: Sequence[Sink],
    *,
    directory: str | os.PathLike[str] | None,
    service: str,
    environment: str = "",
    queue_bytes: int = 4 << 20,
    namespace: str = "",
    keys: Mapping[str, str] | None = None,
    patience: float = 0.0,
) -> str:
    """What the native shipper is told, as JSON. Raises ValueError for a queue that is too small."""
    if queue_bytes < 64 << 10:
        raise ValueError(f"queue_bytes must be at least 65536, not {queue_bytes!r}")
    return json.dumps(
        {
            "directory": None if directory is None else os.fspath(directory),
            "queue_bytes": queue_bytes,
            "namespace": namespace,
            "service": service,
            "environment": environment,
            "keys": dict(keys or {}),
            "sinks": [sink.config(service, environment) for sink in sinks],
            "patience": patience,
        }
    )


def start(
    sinks: Sequence[Sink],
    *,
    service: str,
    environment: str = "",
    queue_bytes: int = 4 << 20,
    namespace: str = "",
    keys: Mapping[str, str] | None = None,
) -> None:
    """Open the ring of this process, and ship from now on; a second call changes where the lines go.

    :param queue_bytes: of lines that may wait in this process; when they are too many, DEBUG is given
    up first.
    :param keys: how the lines' format calls ``time``, ``level``, ``message``, ``trace_id``, ``span_id``.

    Raises ValueError or OSError when that is not possible.
    """
    global _registered
    _core.start_shipping(
        configuration(
            sinks,
            directory=shared_directory(),
            service=service,
            environment=environment,
            queue_bytes=queue_bytes,
            namespace=namespace,
            keys=keys,
        )
    )
    if not _registered:
        _registered = True
        atexit.register(_at_exit)


def register(registry: CollectorRegistry, namespace: str) -> None:
    """Show in a registry what was logged and what became of it, in all processes that share.

    Raises ValueError when one of the names is taken.
    """
    _core.register_record_metrics(registry._native, namespace)


def flush(timeout: float = DEADLINE) -> bool:
    """Wait until all that this process logged has left; False when that takes longer than ``timeout``
    seconds."""
    return _core.flush_records(timeout)


def stop(timeout: float = DEADLINE) -> None:
    """Flush, and leave the shipping to others. What has not left stays in the shared directory, if
    there is one."""
    _core.flush_records(timeout)
    _core.stop_shipping(0.2)


def _at_exit() -> None:
    stop(seconds_left())


def counts() -> dict[str, Any] | None:
    """What was logged and what became of it, in all processes that share; None where nobody logs.

    ``{"lines": {level: n}, "dropped": {reason: n}, "closed": n, "leads": bool, "sinks": {name: {"shipped": n,
    "rejected": n, "full": n, "damaged": n, "expired": n, "repeated": n, "queued": n, "queued_bytes": n,
    "last_success": seconds since 1970 or None, "trouble": text or None}}}``. For every sink, the lines
    of all levels
    are what was shipped, rejected, given up and dropped, and what is queued.
    """
    told: dict[str, Any] | None = json.loads(_core.record_counts())
    return told
