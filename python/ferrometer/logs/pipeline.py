"""From loggers to sinks: what is decided once, by ``setup`` or by the section ``[logging]``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ferrometer import _core
from ferrometer.logs import handler, levels, ship
from ferrometer.logs.sinks import Sink, Stderr, Stdout, parse
from ferrometer.sharing.hash_key import hash_key_of
from ferrometer.sharing.share import shared_directory

#: The formats, by the name of their key table.
FORMATS = ("gpuproxy", "omtx", "platform", "staging", "gcp", "ecs")
CONSOLE = "console"


@dataclass(slots=True)
class _State:
    """Whether something was set up in this process."""

    is_open: bool = False
    access: bool = False


_state = _State()


def setup(
    service: str = "",
    *,
    format: str | None = None,  # noqa: A002  # the word of the configuration
    level: str | int | None = None,
    to: str | os.PathLike[str] | Sink | Sequence[str | os.PathLike[str] | Sink] = "stdout",
    version: str = "",
    environment: str = "",
    hash_key: str | bytes | None = None,
    sampling: Mapping[str, tuple[int, int]] | None = None,
    queue_bytes: int = 4 << 20,
    namespace: str = "",
    stdlib: bool = True,
    access: bool = False,
    project: str | None = None,
    redact_names: Sequence[str] = (),
    redact_patterns: Sequence[str] = (),
) -> None:
    """Log from now on as said here; a second call changes it.

    :param format: how lines look: ``gpuproxy``, ``omtx``, ``platform``, ``staging``, ``gcp``, ``ecs``, or
        ``console`` for people. Without it: ``console`` where ``to`` is a terminal, else ``gpuproxy``.
    :param level: the least level; without it ``LOG_LEVEL``, else info.
    :param to: ``"stdout"``, ``"stderr"``, a path, an address as ``syslog://host:514``, a sink, or several.
    :param hash_key: the secret with which API keys are hashed; without it one that the processes of the
        shared directory have in common, else one of this process.
    :param sampling: by level (debug, info, warn) how many of one message are logged a second, and one in
        how many of the rest: ``{"info": (100, 50)}``. Errors are always logged.
    :param queue_bytes: of lines that may wait in this process.
    :param stdlib: whether ``logging``, the servers that use it, and ``warnings`` log here too.
    :param access: whether the middleware writes a line for each request.
    :param project: Google Cloud's, of which the format ``gcp`` says that traces are in it; without it
        ``GOOGLE_CLOUD_PROJECT``.
    :param redact_names: fields whose values are secrets, besides the known ones: ``["patient_id"]``.
    :param redact_patterns: ``email``, ``ip``, ``ssn``, or regular expressions (of Rust's crate ``regex``)
        of what is taken out of every text.

    Raises ValueError for what is no format, level, sink, sampling or pattern, and OSError for a file that
    cannot be written.
    """
    sinks = sinks_of(to)
    console = _console(format, sinks)
    shape = FORMATS[0] if format in (None, CONSOLE) else format
    number = levels.number(os.environ.get("LOG_LEVEL") or "info" if level is None else level)
    rates = rates_of(sampling or {})
    _core.configure_logs(
        str(shape),
        service,
        version,
        environment,
        hash_key_of(hash_key),
        console,
        project=os.environ.get("GOOGLE_CLOUD_PROJECT", "") if project is None else project,
        redact_names=list(redact_names),
        redact_patterns=list(redact_patterns),
    )
    ship.start(
        sinks,
        service=service,
        environment=environment,
        queue_bytes=queue_bytes,
        namespace=namespace,
        keys=_core.log_format_keys(str(shape)),
    )
    _core.sample_logs(rates)
    share_level(number)
    _state.is_open, _state.access = True, access
    _core.log_requests(access)
    if stdlib:
        take_over()


def take_over() -> None:
    """Let ``logging`` and what uses it log here; again after a server has set its own loggers up."""
    handler.take_over(levels._OF_LOGGING[min(_core.log_level(), 5)], access=_state.access)


def share_level(number: int) -> None:
    """The level that is configured. Where processes share, one that was set meanwhile stays."""
    directory = shared_directory()
    if directory is None:
        _core.set_log_level(number)
        return
    path = Path(directory) / "log-level"
    is_new = not path.exists()
    _core.share_log_level(path)
    if is_new:
        _core.set_log_level(number)


def open_by_default() -> None:
    """What the first line does that comes before any setup: logs go to stdout."""
    if not _state.is_open:
        setup(stdlib=False)


def flush(timeout: float = ship.DEADLINE) -> bool:
    """Wait until all that was logged has left; False when that takes longer than ``timeout`` seconds."""
    return ship.flush(timeout)


def shutdown(timeout: float = ship.DEADLINE) -> None:
    """Flush, stop shipping, and give ``logging`` back as it was. Afterwards ``setup`` may be called again."""
    handler.give_back()
    ship.stop(timeout)
    _state.is_open = False


def sinks_of(
    to: str | os.PathLike[str] | Sink | Sequence[str | os.PathLike[str] | Sink],
) -> list[Sink]:
    """The sinks that ``to`` names. Raises ValueError for what is none."""
    several = [to] if isinstance(to, str | os.PathLike | Sink) else list(to)
    return [one if isinstance(one, Sink) else parse(os.fspath(one)) for one in several]


def rates_of(
    sampling: Mapping[str, tuple[int, int]],
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """By level debug, info, warn: the first so many a second, then one in so many."""
    rates = [(0, 0), (0, 0), (0, 0)]
    for level, rate in sampling.items():
        place = levels.number(level)
        if place > 2:
            raise ValueError(f"sampling of {level!r}: errors are always logged; name debug, info or warn")
        first, then = rate
        if not (isinstance(first, int) and isinstance(then, int) and first >= 0 and then >= 1):
            raise ValueError(
                f"sampling of {level!r} must be (the first so many a second, then one in so many), "
                f"not {rate!r}"
            )
        rates[place] = (first, then)
    return rates[0], rates[1], rates[2]


def _console(format: str | None, sinks: Sequence[Sink]) -> bool | None:  # noqa: A002
    """Whether lines are for people, and coloured; None for JSON."""
    if format not in (None, CONSOLE, *FORMATS):
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, {CONSOLE}, not {format!r}")
    streams = [_stream(sink) for sink in sinks]
    is_terminal = bool(streams) and all(stream is not None and stream.isatty() for stream in streams)
    if format == CONSOLE:
        return is_terminal and "NO_COLOR" not in os.environ
    if format is None and is_terminal:
        return "NO_COLOR" not in os.environ
    return None


def _stream(sink: Sink) -> TextIO | None:
    return {Stdout: sys.__stdout__, Stderr: sys.__stderr__}.get(type(sink))
