"""The labels of the middleware's families, named once for all tests that look series up by their values."""

from __future__ import annotations

from collections.abc import Mapping

_REQUEST = ("endpoint", "method")

#: What tests key series by, in the order of the names. ``test_labels.py`` says that there is no other label.
LABELS: Mapping[str, tuple[str, ...]] = {
    "http_requests_total": (*_REQUEST, "status"),
    "http_request_duration_seconds": _REQUEST,
    "http_response_first_byte_seconds": _REQUEST,
    "http_background_duration_seconds": _REQUEST,
    "http_request_body_bytes_total": _REQUEST,
    "http_response_body_bytes_total": _REQUEST,
    "http_exceptions_total": ("endpoint", "exception", "method"),
    "http_client_disconnects_total": _REQUEST,
    "http_requests_cancelled_total": _REQUEST,
    "http_requests_in_flight": (),
    "websocket_connections_total": ("endpoint", "outcome"),
    "websocket_connections_active": (),
    "websocket_messages_total": ("direction", "endpoint"),
    "websocket_duration_seconds": ("endpoint",),
}


def keyed_by(sample: str, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The labels of a sample that tests know of, sorted by name."""
    family = next(
        (
            name
            for suffix in ("", "_bucket", "_sum", "_count")
            if (name := sample.removesuffix(suffix)) in LABELS
        ),
        None,
    )
    known = labels.keys() if family is None else {*LABELS[family], "le"}
    return tuple(sorted((name, text) for name, text in labels.items() if name in known))
