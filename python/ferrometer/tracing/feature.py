"""Traces of an application: the section ``[traces]``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer._runtime import otel_environment
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer._runtime.otel_environment import converted, variable
from ferrometer.tracing import pipeline

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


def _conventions(environ: Mapping[str, str]) -> str | None:
    words = [word.strip() for word in environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")]
    return "both" if "http/dup" in words else None


@dataclass(frozen=True, slots=True)
class TracesSettings:
    """Which requests are traced, and where their spans go."""

    service: str = option("", "Name of the service.", from_environment=variable("OTEL_SERVICE_NAME"))
    version: str = option("", "Version of the service.")
    environment: str = option("", "Environment of the service.")
    sampler: str | None = option(
        None,
        "`always_on`, `always_off`, `traceidratio`, or one of these behind `parentbased_`;"
        " by default `parentbased_traceidratio`.",
        from_environment=variable("OTEL_TRACES_SAMPLER"),
    )
    ratio: float = option(
        1.0,
        "Share of the traces that begin here which is recorded, from 0 to 1.",
        from_environment=converted(float, "OTEL_TRACES_SAMPLER_ARG"),
    )
    exporter: str = option("otlp", "`otlp`, or `none`.", from_environment=variable("OTEL_TRACES_EXPORTER"))
    endpoint: tuple[str, ...] | None = option(
        None,
        "OTLP receivers by HTTP, such as `http://collector:4318`;"
        " by default as `OTEL_EXPORTER_OTLP_…` says, else `http://localhost:4318`.",
    )
    conventions: str = option(
        "stable",
        "How attributes of requests are called: `stable`, `seed` (`http.method` …), or `both`.",
        from_environment=_conventions,
    )
    delay: float = option(
        1.0,
        "Seconds to wait for more spans before a few are sent.",
        from_environment=converted(lambda text: float(text) / 1000, "OTEL_BSP_SCHEDULE_DELAY"),
    )
    queue_bytes: int = option(4 << 20, "Bytes of spans that may wait in one process.")
    hash_key: str | None = option(None, "Secret with which API keys are hashed.", secret=True)
    attribute_limit: int = option(
        128,
        "Attributes of a span.",
        from_environment=converted(int, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    )
    text_limit: int = option(
        8192,
        "Characters of a text in an attribute.",
        from_environment=converted(
            int, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
        ),
    )
    event_limit: int = option(
        128, "Events of a span.", from_environment=converted(int, "OTEL_SPAN_EVENT_COUNT_LIMIT")
    )
    link_limit: int = option(
        128, "Links of a span.", from_environment=converted(int, "OTEL_SPAN_LINK_COUNT_LIMIT")
    )
    event_attribute_limit: int = option(
        128,
        "Attributes of an event.",
        from_environment=converted(int, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    )
    link_attribute_limit: int = option(
        128,
        "Attributes of a link.",
        from_environment=converted(int, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
    )


class Traces(Feature):
    """A span for each request, and those of the application, recorded natively and exported over OTLP."""

    section = "traces"
    Settings = TracesSettings

    def __init__(
        self,
        *,
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        sampler: str | None = None,
        ratio: float | None = None,
        exporter: str | None = None,
        endpoint: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
        conventions: str | None = None,
        delay: float | None = None,
        queue_bytes: int | None = None,
        hash_key: str | None = None,
        attribute_limit: int | None = None,
        text_limit: int | None = None,
        event_limit: int | None = None,
        link_limit: int | None = None,
        event_attribute_limit: int | None = None,
        link_attribute_limit: int | None = None,
    ) -> None:
        # Mappings, which no option is.
        self._headers, self._resource = headers, resource
        addresses = (endpoint,) if isinstance(endpoint, str) else endpoint
        super().__init__(
            service=service,
            version=version,
            environment=environment,
            sampler=sampler,
            ratio=ratio,
            exporter=exporter,
            endpoint=None if addresses is None else tuple(addresses),
            conventions=conventions,
            delay=delay,
            queue_bytes=queue_bytes,
            hash_key=hash_key,
            attribute_limit=attribute_limit,
            text_limit=text_limit,
            event_limit=event_limit,
            link_limit=link_limit,
            event_attribute_limit=event_attribute_limit,
            link_attribute_limit=link_attribute_limit,
        )

    def open(self, runtime: Runtime) -> None:
        """Checks the settings. Nothing is opened: the application may fork afterwards."""
        chosen: TracesSettings = runtime.settings(self)
        pipeline.check(chosen.sampler, chosen.ratio, chosen.conventions)
        if chosen.exporter not in ("otlp", "none"):
            raise ValueError(f"traces.exporter must be otlp or none, not {chosen.exporter!r}")
        self._limits = pipeline.Limits(
            *(chosen.attribute_limit, chosen.text_limit, chosen.event_limit, chosen.link_limit),
            *(chosen.event_attribute_limit, chosen.link_attribute_limit),
        )
        self._export = chosen.exporter == "otlp"
        for address in chosen.endpoint or (None,) if self._export else ():
            otel_environment.url("TRACES", address)
        self._chosen = chosen
        self._namespace = runtime.namespace or ""
        self._is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        _core.register_record_metrics(runtime.registry._native, self._namespace, "spans")

    def start(self) -> None:
        """Opens this process's queue, and exports."""
        if self._is_off:
            return
        chosen = self._chosen
        pipeline.setup(
            chosen.service,
            endpoint=chosen.endpoint,
            headers=self._headers,
            version=chosen.version,
            environment=chosen.environment,
            resource=self._resource,
            sampler=chosen.sampler,
            ratio=chosen.ratio,
            conventions=chosen.conventions,
            limits=self._limits,
            hash_key=chosen.hash_key,
            export=self._export,
            delay=chosen.delay,
            queue_bytes=chosen.queue_bytes,
            namespace=self._namespace,
        )

    def close(self, deadline: float) -> None:
        """Waits until what was recorded has left, or the deadline is there."""
        pipeline.flush(max(0.0, deadline - time.monotonic()))


FEATURE = Traces
