"""Bytes for scrapers: the formats, and which of them a scraper wants."""

from __future__ import annotations

from ferrometer._core import choose_format
from ferrometer._prometheus_client import printer
from ferrometer.metrics.families import protobuf_of
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry, RestrictedRegistry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ferrometer.metrics.base import MetricWrapperBase
    from ferrometer.metrics.registry import Collector

    Encoder: TypeAlias = Callable[[Collector], bytes]

#: The media type of the Prometheus text format.
CONTENT_TYPE_PLAIN_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"
#: The media type of the Prometheus text format 1.0.0, which says how names are escaped.
CONTENT_TYPE_PLAIN_1_0_0 = "text/plain; version=1.0.0; charset=utf-8"
#: The media type of what :func:`generate_latest` returns.
CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_1_0_0
#: The media type of OpenMetrics text.
CONTENT_TYPE_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: The media type of length-delimited protobuf messages.
CONTENT_TYPE_PROTOBUF = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
#: Buckets that a native histogram may have before its resolution is halved.
NATIVE_BUCKETS = 160


_ESCAPING = "underscores"


def _is_ours(registry: Collector) -> bool:
    # A registry whose collect() somebody replaced shows what that says.
    replaced = getattr(registry.collect, "__func__", None) is not CollectorRegistry.collect
    return isinstance(registry, CollectorRegistry) and not replaced


def generate_latest(registry: Collector = REGISTRY, escaping: str = _ESCAPING) -> bytes:
    """The registry in the Prometheus text format, as UTF-8.

    For ferrometer's registries the GIL is released while the text is written. Other objects with a
    ``collect()``, such as a restricted or a prometheus_client registry, go through prometheus_client.

    :param escaping: for names that are not letters, digits, ``_`` and ``:``: "underscores", "dots",
        "values" or "allow-utf-8".
    """
    how = _how(escaping)
    # "dots" doubles the underscores of every name; the other schemes leave ordinary names alone.
    if escaping != "dots" and _is_ours(registry):
        return registry._text(**how)  # type: ignore[attr-defined,no-any-return]  # checked by _is_ours
    return printer("exposition")(registry, **how)  # type: ignore[no-any-return]


def generate_openmetrics(
    registry: Collector = REGISTRY, escaping: str = _ESCAPING, version: str = ""
) -> bytes:
    """The registry in OpenMetrics text: units, creation times, exemplars. Otherwise as above.

    :param version: "2.0.0" adds the native histograms of collectors that have some.
    """
    how = _how(escaping) | ({"version": version} if version not in ("", "1.0.0") else {})
    if escaping != "dots" and _is_ours(registry):
        return registry._openmetrics(**how)  # type: ignore[attr-defined,no-any-return]  # likewise
    return printer("openmetrics.exposition")(registry, **how)  # type: ignore[no-any-return]


def _how(escaping: str) -> dict[str, str]:
    """Arguments for prometheus_client, of which older releases know no escaping."""
    return {} if escaping == _ESCAPING else {"escaping": escaping}


def generate_protobuf(registry: Collector = REGISTRY, *, native_buckets: int = NATIVE_BUCKETS) -> bytes:
    """The registry as length-delimited protobuf messages, with native histograms.

    Histograms of other objects with a ``collect()`` are classic only. A restricted registry shows the whole
    of each family of ferrometer's of which a sample was asked for.

    :param native_buckets: how many buckets a native histogram may have; its resolution is the finest, up
        to 128 buckets an octave, that needs no more. Histograms with negative values stay classic.
    """
    if native_buckets < 1:
        raise ValueError(f"native_buckets must be at least 1, not {native_buckets}")
    if _is_ours(registry) or isinstance(registry, RestrictedRegistry):
        return registry._protobuf(native_buckets)  # type: ignore[attr-defined,no-any-return]  # checked
    return b"".join(protobuf_of(family) for family in registry.collect())


def _encoder(form: str, escaping: str, native_histograms: bool) -> Encoder:
    """The encoder of a format."""
    match form:
        case "text":
            return lambda registry: generate_latest(registry, escaping)
        case "openmetrics":
            return lambda registry: generate_openmetrics(registry, escaping)
        case _ if native_histograms or form == "native protobuf":
            return generate_protobuf
        case _:
            return _classic_protobuf


def _classic_protobuf(registry: Collector) -> bytes:
    """As ``generate_protobuf``, without native histograms."""
    if _is_ours(registry) or isinstance(registry, RestrictedRegistry):
        return registry._protobuf(0)  # type: ignore[attr-defined,no-any-return]  # checked
    return generate_protobuf(registry)


def choose_encoder(accept: str | None, *, native_histograms: bool = False) -> tuple[Encoder, str]:
    """The encoder that an Accept header prefers, and its media type; text when it names none of ours.

    :param native_histograms: whether protobuf has native histograms. Prometheus drops the classic buckets
        of a target that offers native ones.

    Quality values count, and among equals the order of the header, as Prometheus sends it. What makes no
    sense is passed over.
    """
    form, escaping, media_type = choose_format(accept)
    return _encoder(form, escaping, native_histograms), media_type


def additions(
    registry: Collector, form: str, escaping: str, names: set[str] | None
) -> tuple[list[MetricWrapperBase], bytes, bytes] | bytes:
    """What the native responder asks Python for: the metrics that it leaves out, what is written before and
    after all others; or the whole exposition, where the registry is not ours or every name is escaped."""
    if escaping == "dots" or not _is_ours(registry):
        restricted: Collector = registry.restricted_registry(names) if names else registry  # type: ignore[attr-defined]  # all registries have it
        return _encoder(form, escaping, False)(restricted)
    modules = {"text": "exposition", "openmetrics": "openmetrics.exposition"}
    return registry._additions(modules.get(form), _how(escaping), names)  # type: ignore[attr-defined,no-any-return]  # checked by _is_ours
