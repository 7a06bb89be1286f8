"""Clients of ``httpx`` and ``httpx2``: what they ask of other services."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from ferrometer.instruments import tables
from ferrometer.instruments.call_end import kind_of
from ferrometer.instruments.family import families_of
from ferrometer.instruments.spans import RequestSpan
from ferrometer.instruments.status_text import STATUS_TEXT
from ferrometer.instruments.transports import Transport, wrap_transports
from ferrometer.metrics.registry import CollectorRegistry


class _Recorded(Transport):
    """A transport whose requests are counted and timed, until the head of the answer has come."""

    def __init__(self, transport: Any, requests: Any, seconds: Any) -> None:
        super().__init__(transport)
        # Bound once: an attribute of an attribute is looked up for each request otherwise.
        self._requests = requests.labels
        self._seconds = seconds.labels

    def handle_request(self, request: Any) -> Any:
        started, span = perf_counter(), RequestSpan(request)
        try:
            response = self._transport.handle_request(request)
        except BaseException as error:
            self._failed(request, error, started)
            span.failed(error)
            raise
        method, host = request.method, request.url.host
        status = response.status_code
        self._requests(method, host, STATUS_TEXT.get(status) or str(status)).inc()
        self._seconds(method, host).observe(perf_counter() - started)
        span.answered(status)
        return response

    async def handle_async_request(self, request: Any) -> Any:
        started, span = perf_counter(), RequestSpan(request)
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            self._failed(request, error, started)
            span.failed(error)
            raise
        method, host = request.method, request.url.host
        status = response.status_code
        self._requests(method, host, STATUS_TEXT.get(status) or str(status)).inc()
        self._seconds(method, host).observe(perf_counter() - started)
        span.answered(status)
        return response

    def _failed(self, request: Any, error: BaseException, started: float) -> None:
        gone = isinstance(error, asyncio.CancelledError | GeneratorExit)
        method, host = request.method, request.url.host
        self._requests(method, host, "cancelled" if gone else kind_of(error)).inc()
        self._seconds(method, host).observe(perf_counter() - started)


def watch_http(client: Any, registry: CollectorRegistry) -> None:
    """Measures the requests of a client, through whichever of its transports they go."""
    families = families_of(registry)
    requests, seconds = (families.shared(family) for family in tables.HTTP_CLIENT)
    wrap_transports(client, _Recorded, lambda transport: _Recorded(transport, requests, seconds))
