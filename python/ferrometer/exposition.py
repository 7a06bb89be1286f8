"""Bytes for scrapers."""

from __future__ import annotations

from .registry import REGISTRY, CollectorRegistry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Collector

#: The media type of the Prometheus text format.
CONTENT_TYPE_PLAIN_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"
#: The media type of what :func:`generate_latest` returns.
CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_0_0_4


def generate_latest(registry: Collector = REGISTRY) -> bytes:
    """The registry in the Prometheus text format 0.0.4, as UTF-8.

    For ferrometer's registries the GIL is released while the text is written. Other objects with a
    ``collect()``, such as a restricted or a prometheus_client registry, go through prometheus_client.
    """
    # A registry whose collect() somebody replaced shows what that says.
    replaced = getattr(registry.collect, "__func__", None) is not CollectorRegistry.collect
    if isinstance(registry, CollectorRegistry) and not replaced:
        return registry._text()
    from prometheus_client.exposition import generate_latest as peer

    return peer(registry)
