"""Clients of botocore for S3: operations, and addresses that are signed.

The client's own events tell of an operation with all of its attempts. Signing an address has no event of its
own (that of a form is CreateBucket's), so the two methods that sign are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from ferrometer.instruments import tables
from ferrometer.instruments.family import families_of
from ferrometer.metrics.registry import CollectorRegistry

_WATCHED = "ferrometer-s3"
_BEGUN = "ferrometer_begun"
#: What the services call these; all others are called as botocore's methods are.
_WORDS = {"PutObject": "upload", "CompleteMultipartUpload": "upload", "GetObject": "download"}
_SIGN = ("generate_presigned_url", "generate_presigned_post")


def _word(operation: str) -> str:
    """upload, download, list_objects_v2, head_object, ..."""
    found = _WORDS.get(operation)
    if found is None:
        found = _WORDS[operation] = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
    return found


def watch_s3(client: Any, registry: CollectorRegistry) -> None:
    """Counts and times the operations of an S3 client, and counts what it signs."""
    if hasattr(client, _SIGN[0]) and hasattr(client.generate_presigned_url, "__wrapped__"):
        return
    families = families_of(registry)
    operations, seconds, signed = (families.shared(family) for family in tables.STORAGE)

    def begin(model: Any, context: dict[str, Any], **_: Any) -> None:
        context[_BEGUN] = _word(model.name), perf_counter()

    def record(context: dict[str, Any], status: str) -> None:
        begun = context.pop(_BEGUN, None)
        if begun is not None:
            operation, started = begun
            operations.labels(operation, status).inc()
            seconds.labels(operation).observe(perf_counter() - started)

    def answered(http_response: Any, context: dict[str, Any], **_: Any) -> None:
        record(context, "success" if http_response.status_code < 300 else "error")

    def failed(context: dict[str, Any], **_: Any) -> None:
        record(context, "error")

    events = client.meta.events
    events.register("before-call.s3", begin, unique_id=f"{_WATCHED}-begin")
    events.register("after-call.s3", answered, unique_id=f"{_WATCHED}-answered")
    events.register("after-call-error.s3", failed, unique_id=f"{_WATCHED}-failed")
    for name in _SIGN:
        setattr(client, name, _signing(getattr(client, name), signed))


def _signing(sign: Callable[..., Any], signed: Any) -> Callable[..., Any]:
    @wraps(sign)
    def counted(*args: Any, **kwargs: Any) -> Any:
        try:
            made = sign(*args, **kwargs)
        except BaseException:
            signed.labels("error").inc()
            raise
        signed.labels("success").inc()
        return made

    return counted
