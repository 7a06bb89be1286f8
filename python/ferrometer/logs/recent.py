"""The latest lines of all workers for ``ferrometer logs URL``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer.sharing.share import shared_directory

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

#: Somebody in between: the address is not that of whoever asks.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def answer(request: Request) -> Response:
    """Lines after the time ``after`` (nanoseconds since 1970), the latest 2000 at the most, the oldest first.

    A JSON array for each line: time, level, process id, sequence number, trace id or null, the line. They are
    redacted, as they are everywhere. 400 for an ``after`` that is no number, 404 where nobody logs.
    """
    from starlette.responses import Response

    after = request.query_params.get("after", "0")
    status, media_type, body = _core.answer_logs(shared_directory(), after)
    return Response(body, status, {"Cache-Control": "no-store"}, media_type)


def guarded(is_protected: Callable[[], bool]) -> Callable[[Request], Response]:
    """The same; where neither credentials nor an address list protect it, for this machine only: 403."""

    def guarded_answer(request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        if is_protected() or _is_here(request):
            return answer(request)
        text = "logs are for this machine only, unless the endpoints have auth_token or allow\n"
        return PlainTextResponse(text, 403)

    return guarded_answer


def _is_here(request: Request) -> bool:
    host = request.client.host if request.client else ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Through a socket of the file system there is no address; the test client of Starlette has a name.
        is_loopback = host == ""
    return is_loopback and not any(header in request.headers for header in _FORWARDED)
