"""The latest lines of all workers for ``ferrometer logs URL``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

from ferrometer import _core
from ferrometer.sharing.share import shared_directory

if TYPE_CHECKING:
    from starlette.requests import Request

#: Lines of one answer.
_MOST = 2000


def answer(request: Request) -> Response:
    """Lines after the time ``after`` (nanoseconds since 1970), the latest 2000 at the most, the oldest first.

    A JSON array for each line: time, level, process id, sequence number, trace id or null, the line. They are
    redacted, as they are everywhere. 400 for an ``after`` that is no number.
    """
    after = request.query_params.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) < 20):
        return PlainTextResponse(f"after must be nanoseconds since 1970, not {after!r}\n", 400)
    reader = _core.LogReader(shared_directory(), after=int(after))
    rows, more = [], True
    while more:
        lines, _, more = reader.read()
        rows += lines
    # A process with many lines is read in several goes, and another one in between.
    rows.sort(key=lambda row: row[0])
    body = "".join(json.dumps([*row[:5], row[5].decode("utf-8", "replace")]) + "\n" for row in rows[-_MOST:])
    return Response(body, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})
