"""An HTTP client that calls an application in this process."""

from __future__ import annotations

from typing import Any

import httpx


def calling(app: Any, address: tuple[str, int] = ("127.0.0.1", 50000)) -> httpx.AsyncClient:
    """A client for `app` that seems to come from `address`."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=address), base_url="http://service")
