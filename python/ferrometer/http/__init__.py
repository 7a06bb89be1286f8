"""Requests: the ASGI middleware, route templates and request ids."""

from __future__ import annotations

from ferrometer.http.middleware import HttpMetrics, MetricsMiddleware
from ferrometer.http.request_id import get_request_id, new_request_id, request_id_var

__all__ = ["HttpMetrics", "MetricsMiddleware", "get_request_id", "new_request_id", "request_id_var"]
