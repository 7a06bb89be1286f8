"""``prometheus_client.openmetrics.exposition``, written natively for ferrometer's registries."""

from ferrometer._prometheus_client import lazily
from ferrometer.exposition.formats import CONTENT_TYPE_OPENMETRICS as CONTENT_TYPE_LATEST
from ferrometer.exposition.formats import generate_openmetrics as generate_latest

__all__ = ["CONTENT_TYPE_LATEST", "generate_latest"]

#: The escaping functions.
__getattr__ = lazily(globals(), "openmetrics.exposition")
