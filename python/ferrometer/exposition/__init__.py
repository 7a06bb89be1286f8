"""The exposition formats, and which of them a scraper wants."""

from __future__ import annotations

from ferrometer.exposition import formats
from ferrometer.exposition.formats import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_OPENMETRICS,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    CONTENT_TYPE_PROTOBUF,
    NATIVE_BUCKETS,
    choose_encoder,
    generate_latest,
    generate_openmetrics,
    generate_protobuf,
)

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_OPENMETRICS",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "CONTENT_TYPE_PROTOBUF",
    "NATIVE_BUCKETS",
    "choose_encoder",
    "generate_latest",
    "generate_openmetrics",
    "generate_protobuf",
]

TYPE_CHECKING = False
if not TYPE_CHECKING:

    def __getattr__(name):
        """The servers, push functions and all else of prometheus_client.exposition."""
        return getattr(formats, name)
