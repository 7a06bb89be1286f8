"""The exposition formats, and which of them a scraper wants."""

from __future__ import annotations

from ferrometer._prometheus_client import lazily
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

#: The servers, the push functions and whatever else prometheus_client.exposition has, over what is here.
__getattr__ = lazily(globals(), "exposition")
