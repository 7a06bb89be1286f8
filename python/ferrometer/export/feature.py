"""Metrics of an application over OTLP: the section ``[export]``."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ferrometer import _core
from ferrometer._runtime import otel_environment
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer._runtime.otel_environment import converted, variable
from ferrometer.exposition.formats import NATIVE_BUCKETS, generate_protobuf
from ferrometer.sharing.directory import digest
from ferrometer.sharing.lease import Lease
from ferrometer.sharing.share import shared_directory

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime

_AGGREGATIONS = {
    "explicit_bucket_histogram": "explicit",
    "base2_exponential_bucket_histogram": "exponential",
}


def _histograms(environ: Mapping[str, str]) -> str | None:
    name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    text = environ.get(name, "").strip().lower()
    if text and text not in _AGGREGATIONS:
        raise ValueError(f"{name} must be one of {', '.join(_AGGREGATIONS)}, not {text!r}")
    return _AGGREGATIONS.get(text)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Where metrics are sent over OTLP."""

    metrics: str = option("otlp", "`otlp`, or `none`.", from_environment=variable("OTEL_METRICS_EXPORTER"))
    endpoint: tuple[str, ...] | None = option(
        None,
        "OTLP receivers by HTTP, such as `http://collector:4318`;"
        " by default as `OTEL_EXPORTER_OTLP_…` says, else `http://localhost:4318`.",
    )
    interval: float = option(
        60.0,
        "Seconds between two collections.",
        from_environment=converted(lambda text: float(text) / 1000, "OTEL_METRIC_EXPORT_INTERVAL"),
    )
    histograms: str = option(
        "explicit",
        "`explicit`, with the buckets of the text format, or `exponential`, with the narrow ones.",
        from_environment=_histograms,
    )
    service: str = option("", "Name of the service.", from_environment=variable("OTEL_SERVICE_NAME"))
    version: str = option("", "Version of the service.")
    environment: str = option("", "Environment of the service.")
    queue_bytes: int = option(8 << 20, "Bytes of data points that may wait.")


class Export(Feature):
    """The metrics of all workers, exported over OTLP once for the application, by one of them."""

    section = "export"
    Settings = ExportSettings

    def __init__(
        self,
        *,
        metrics: str | None = None,
        endpoint: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
        interval: float | None = None,
        histograms: str | None = None,
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        queue_bytes: int | None = None,
    ) -> None:
        # Mappings, which no option is.
        self._headers, self._resource = headers, resource
        addresses = (endpoint,) if isinstance(endpoint, str) else endpoint
        super().__init__(
            metrics=metrics,
            endpoint=None if addresses is None else tuple(addresses),
            interval=interval,
            histograms=histograms,
            service=service,
            version=version,
            environment=environment,
            queue_bytes=queue_bytes,
        )

    def open(self, runtime: Runtime) -> None:
        """Checks the settings. Nothing is opened: the application may fork afterwards."""
        chosen: ExportSettings = runtime.settings(self)
        if chosen.metrics not in ("otlp", "none"):
            raise ValueError(f"export.metrics must be otlp or none, not {chosen.metrics!r}")
        if chosen.histograms not in _AGGREGATIONS.values():
            raise ValueError(f"export.histograms must be explicit or exponential, not {chosen.histograms!r}")
        if not chosen.interval > 0:
            raise ValueError(f"export.interval must be positive, not {chosen.interval!r}")
        if chosen.queue_bytes < 1 << 20:
            raise ValueError(f"export.queue_bytes must be at least {1 << 20}, not {chosen.queue_bytes!r}")
        preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
        if (wanted := os.environ.get(preference, "").strip().lower()) not in ("", "cumulative"):
            raise ValueError(f"{preference} is {wanted!r}; only cumulative is exported")
        disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        self._chosen, self._is_on = chosen, chosen.metrics == "otlp" and not disabled
        if not self._is_on:
            return
        for address in chosen.endpoint or (None,):
            otel_environment.url("METRICS", address)
        self._registry = runtime.registry
        self._namespace = runtime.namespace or ""
        _core.register_record_metrics(runtime.registry._native, self._namespace, "metrics")
        runtime.every("export", chosen.interval, self.collect)
        self.after_fork()

    def after_fork(self) -> None:
        """The child exports nothing until it starts, and holds no lease."""
        self._lease: Lease | None = None
        self._is_open = self._has_started = False

    def start(self) -> None:
        """From now on this process exports, or whoever holds the lease where several share their metrics."""
        if not self._is_on:
            return
        directory = shared_directory()
        self._start_ns = time.time_ns()
        self._lease = None if directory is None else Lease(Path(directory) / "leases", "otlp-metrics")
        self._has_started = True

    def collect(self) -> None:
        """Collects, and leaves it to be sent; nothing in a process that does not hold the lease."""
        if not self._has_started or (self._lease is not None and not self._lease.hold()):
            return
        if not self._is_open:
            self._open_queue()
        families = generate_protobuf(self._registry, native_buckets=NATIVE_BUCKETS)
        is_exponential = self._chosen.histograms == "exponential"
        _core.append_metrics(families, time.time_ns(), self._start_ns, is_exponential)

    def _open_queue(self) -> None:
        chosen, directory = self._chosen, shared_directory()
        resource = otel_environment.resource(
            chosen.service, version=chosen.version, environment=chosen.environment, given=self._resource
        )
        # One for all workers, and the same one whoever of them exports.
        instance = str(uuid.uuid4()) if directory is None else digest(os.fspath(directory))
        resource.setdefault("service.instance.id", instance)
        sinks = []
        for address in chosen.endpoint or (None,):
            told = otel_environment.otlp(
                "METRICS", endpoint=address, headers=self._headers, resource=resource
            )
            name = f"otlp:{urlsplit(told['url']).netloc}"
            sinks.append({"name": name[:48], "kind": "otlp_metrics", **told})
        _core.start_shipping(
            json.dumps(
                {
                    "records": "metrics",
                    "directory": None if directory is None else os.fspath(directory),
                    "queue_bytes": chosen.queue_bytes,
                    "namespace": self._namespace,
                    "service": chosen.service,
                    "sinks": sinks,
                }
            )
        )
        self._is_open = True

    def close(self, deadline: float) -> None:
        """Collects a last time, and waits until that has left, or the deadline is there."""
        if not self._is_on:
            return
        self.collect()
        self._has_started = False
        if self._is_open:
            _core.flush_records(max(0.0, deadline - time.monotonic()), "metrics")
            _core.stop_shipping(0.2, "metrics")
            self._is_open = False
        if self._lease is not None:
            self._lease.release()


FEATURE = Export
