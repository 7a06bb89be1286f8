"""Request ids: which request the running code belongs to.

With ``request_id=True`` the middleware takes ``X-Request-ID`` from the request (up to 128 visible ASCII
characters; anything else is replaced by a fresh id), puts it into this variable while the request runs, and
into the response's headers.
"""

from __future__ import annotations

from ferrometer._core import new_request_id, request_id_var

__all__ = ["get_request_id", "new_request_id", "request_id_var"]


def get_request_id() -> str | None:
    """The id of the request that is being served, or None outside of one."""
    return request_id_var.get()
