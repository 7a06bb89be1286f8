"""``ferrometer logs``: what the processes of a directory log, in the order of time, living or dead.

It only looks: nothing is taken from what is on its way to the sinks. It sees as far back as the rings reach,
some megabytes for each process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ferrometer import _core
from ferrometer.cli.arguments import is_url, no_directory, positive, token_variable

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands

#: From the least to the most severe.
_ORDER = {"debug": 0, "info": 1, "warn": 2, "error": 3, "fatal": 4}
_COLOURS = {"debug": "2", "info": "32", "warn": "33", "error": "31", "fatal": "1;31"}
#: Seconds between two looks at a directory, and at a URL.
_PERIOD, _REMOTE_PERIOD = 0.1, 1.0
#: Keys that a readable line shows first, or by other means.
_SHOWN = frozenset(
    {
        "message",
        "msg",
        "event",
        "level",
        "severity",
        "timestamp",
        "time",
        "ts",
        "@timestamp",
        "pid",
        "trace_id",
    }
)


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("logs", help="what the workers of a directory log, in order")
    command.add_argument(
        "source",
        nargs="?",
        metavar="DIR|URL",
        default=os.environ.get("FERROMETER_DIR"),
        help="what the workers share ($FERROMETER_DIR), or the application's address",
    )
    token_variable(command)
    command.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    command.add_argument("-n", "--lines", type=positive, help="only the last so many of those that there are")
    command.add_argument(
        "--level", choices=tuple(_ORDER), default="debug", help="this level and above (%(default)s)"
    )
    command.add_argument("--request-id", metavar="ID", help="of one request")
    command.add_argument("--trace-id", metavar="ID", help="of one trace")
    command.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        type=_field,
        help="with this field; repeatable",
    )
    command.add_argument("--json", action="store_true", help="the lines as they are, also on a terminal")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.source is None:
        return no_directory("logs DIR")
    wanted = Filter(options.level, options.request_id, options.trace_id, tuple(options.field))
    return tail(
        options.source if is_url(options.source) else Path(options.source),
        wanted,
        follow=options.follow,
        last=options.lines,
        as_json=options.json or None,
        token=options.token,
    )


def _field(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError("a field is KEY=VALUE")
    return key, value


class Line(NamedTuple):
    """A line as the reader gives it."""

    time_ns: int
    level: str
    pid: int
    sequence: int
    trace_id: str | None
    payload: bytes


@dataclass(frozen=True)
class Filter:
    """Which lines are wanted."""

    level: str = "debug"
    request_id: str | None = None
    trace_id: str | None = None
    fields: tuple[tuple[str, str], ...] = ()

    def wants(self, line: Line, values: dict[str, Any]) -> bool:
        """Whether this one is."""
        if _ORDER[line.level] < _ORDER[self.level]:
            return False
        if self.trace_id is not None and self.trace_id not in (line.trace_id, values.get("trace_id")):
            return False
        wanted = self.fields if self.request_id is None else (*self.fields, ("request_id", self.request_id))
        return all(_text(_at(values, key)) == value for key, value in wanted)


class Remote:
    """Reads the lines of an application from its endpoint ``/logs``."""

    def __init__(self, url: str, token: str | None) -> None:
        """The URL is that of the application, or of the endpoint itself."""
        self._url = url if url.rstrip("/").endswith("/logs") else url.rstrip("/") + "/logs"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._after = 0
        #: Lines of that very moment that were seen already.
        self._seen: set[tuple[int, int]] = set()

    def read(self) -> tuple[list[tuple[int, str, int, int, str | None, bytes]], int, bool]:
        """As the reader of a directory does."""
        from urllib.request import Request, urlopen

        # From that moment on, for others may have logged in it, too.
        request = Request(f"{self._url}?after={max(0, self._after - 1)}", headers=self._headers)
        with urlopen(request, timeout=30) as answer:
            rows = [json.loads(line) for line in answer.read().splitlines()]
        fresh = [row for row in rows if row[0] > self._after or (row[2], row[3]) not in self._seen]
        if rows:
            self._after = rows[-1][0]
            self._seen = {(row[2], row[3]) for row in rows if row[0] == self._after}
        return [(*row[:5], row[5].encode()) for row in fresh], 0, False


def tail(
    source: Path | str,
    wanted: Filter,
    *,
    follow: bool = False,
    last: int | None = None,
    as_json: bool | None = None,
    token: str | None = None,
) -> int:
    """Prints the lines of a directory, or of an application at a URL; with ``follow`` for ever.

    2 when they cannot be read.
    """
    reader = _core.LogReader(source) if isinstance(source, Path) else Remote(source, token)
    readable = sys.stdout.isatty() and not as_json
    try:
        waiting: deque[tuple[Line, dict[str, Any]]] = deque(maxlen=last)
        more = True
        while more:
            lines, _, more = reader.read()
            waiting.extend(_wanted(lines, wanted))
        # A process with many lines is read in several goes, and another one in between.
        _print(sorted(waiting, key=lambda pair: pair[0].time_ns), readable)
        while follow:
            time.sleep(_PERIOD if isinstance(source, Path) else _REMOTE_PERIOD)
            lines, lost, _ = reader.read()
            _print(_wanted(lines, wanted), readable)
            if lost:
                print(f"ferrometer logs: {lost} lines came too fast to be read", file=sys.stderr)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"ferrometer logs: {source}: {_words(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _words(error: OSError) -> str:
    # urllib's errors say more as a whole, and have the real one as their reason.
    return str(error.strerror or error)


def _wanted(lines: Iterable[tuple[Any, ...]], wanted: Filter) -> Iterable[tuple[Line, dict[str, Any]]]:
    for row in lines:
        line = Line(*row)
        values = _values(line.payload)
        if wanted.wants(line, values):
            yield line, values


def _values(payload: bytes) -> dict[str, Any]:
    try:
        values = json.loads(payload)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _at(values: dict[str, Any], key: str) -> Any:
    """The value of a key; of a nested one by ``a.b`` where there is no key of that whole name."""
    if key in values:
        return values[key]
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _print(lines: Iterable[tuple[Line, dict[str, Any]]], readable: bool) -> None:
    for line, values in lines:
        if readable and values:
            print(_readable(line, values))
        else:
            sys.stdout.write(line.payload.decode("utf-8", "replace") + "\n")
    sys.stdout.flush()


def _readable(line: Line, values: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(line.time_ns / 1e9, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    message = next((values[key] for key in ("message", "msg", "event") if key in values), "")
    rest = " ".join(
        f"\033[2m{key}=\033[0m{_text(value)}" for key, value in values.items() if key not in _SHOWN
    )
    level = f"\033[{_COLOURS[line.level]}m{line.level.upper():<5}\033[0m"
    # A terminal obeys what is in a text; a line break would look like another line.
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(message))
    return f"{moment} {level} {line.pid} {text} {rest}".rstrip()
