"""Which pages of other origins may read an answer (dashboards in a browser)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.requests import Request

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@]+")
_MAX_AGE_SECONDS = 600


class Cors:
    """The CORS headers of a request. Without origins there are none, and browsers refuse.

    Cookies are never asked for; a page that must authenticate sends an ``Authorization`` header.
    """

    def __init__(self, origins: str | Iterable[str] = ()) -> None:
        listed = [origins] if isinstance(origins, str) else list(origins)
        for origin in listed:
            _check_origin(origin)
        self.enabled: bool = bool(listed)
        self._any = "*" in listed
        self._origins = frozenset(origin.lower() for origin in listed)

    def headers(self, request: Request) -> dict[str, str]:
        """What to add to an answer."""
        if not self.enabled:
            return {}
        if self._any:
            return {"Access-Control-Allow-Origin": "*"}
        origin = request.headers.get("origin", "")
        allowed = {"Access-Control-Allow-Origin": origin} if origin.lower() in self._origins else {}
        return {"Vary": "Origin", **allowed}

    def preflight(self, request: Request, methods: str) -> dict[str, str] | None:
        """The headers that answer a preflight; ``None`` when the request is none."""
        asked = request.headers.get("access-control-request-method")
        if (
            not self.enabled
            or request.method != "OPTIONS"
            or asked is None
            or "origin" not in request.headers
        ):
            return None
        headers = self.headers(request)
        if "Access-Control-Allow-Origin" in headers:
            headers |= {
                "Access-Control-Allow-Methods": methods,
                "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Request-ID",
                "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
            }
        return headers


def _check_origin(origin: object) -> None:
    if not isinstance(origin, str):
        raise TypeError(f"cors_origins: {origin!r} must be a str, not {type(origin).__name__}")
    if origin != "*" and not _ORIGIN.fullmatch(origin.lower()):
        raise ValueError(
            f"cors_origins: {origin!r} is no origin; write scheme, host and port only, such as"
            f" 'https://grafana.example:3000', or '*' for any page"
        )
