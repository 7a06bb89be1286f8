"""Bytes for scrapers: the formats, and which of them a scraper wants."""

from __future__ import annotations

from ferrometer._prometheus_client import printer
from ferrometer.metrics.families import protobuf_of
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry, RestrictedRegistry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

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
_ESCAPINGS = frozenset({"allow-utf-8", "underscores", "dots", "values"})


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


def _with(encoder: Callable[..., bytes], how: dict[str, str]) -> Encoder:
    return lambda registry: encoder(registry, **how)


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
    best: tuple[float, Encoder, str] = (0.0, generate_latest, CONTENT_TYPE_PLAIN_0_0_4)
    for item in (accept or "").split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        given = dict(part.lower().split("=", 1) for part in parameters if "=" in part)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            continue
        if not best[0] < quality <= 1:  # NaN is neither
            continue
        version = given.get("version", "")
        escaping = given.get("escaping", "")
        escaping = escaping if escaping in _ESCAPINGS else _ESCAPING
        how = {"escaping": escaping}
        match media.lower():
            case "text/plain" if version == "1.0.0":
                media = f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping={escaping}"
                best = (quality, _with(generate_latest, how), media)
            case "text/plain" | "text/*" | "*/*":
                best = (quality, generate_latest, CONTENT_TYPE_PLAIN_0_0_4)
            case "application/openmetrics-text" if version == "1.0.0":
                media = f"{CONTENT_TYPE_OPENMETRICS}; escaping={escaping}"
                best = (quality, _with(generate_openmetrics, how), media)
            case "application/openmetrics-text" if version in ("", "0.0.1"):
                best = (quality, generate_openmetrics, CONTENT_TYPE_OPENMETRICS)
            case "application/vnd.google.protobuf" if (
                given.get("proto", "") == "io.prometheus.client.metricfamily"
                and given.get("encoding", "") == "delimited"
            ):
                protobuf = generate_protobuf if native_histograms else _classic_protobuf
                best = (quality, protobuf, CONTENT_TYPE_PROTOBUF)
    return best[1], best[2]
