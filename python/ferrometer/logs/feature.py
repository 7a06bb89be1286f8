"""Logs of an application: the section ``[logging]``."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.logs import levels, pipeline, recent, ship
from ferrometer.logs.sinks import FRAMINGS, Sink, Syslog

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class LogsSettings:
    """How the application logs."""

    service: str = option("", "Name of the service in every line.", aliases=("OTEL_SERVICE_NAME",))
    version: str = option("", "Version of the service, where the format has a place for it.")
    environment: str = option("", "Environment of the service, where the format has a place for it.")
    level: str = option("info", "The least level that is logged.", aliases=("LOG_LEVEL",))
    format: str | None = option(None, "`gpuproxy`, `omtx`, `platform`, `staging`, `gcp`, `ecs` or `console`.")
    to: tuple[str, ...] = option(("stdout",), "Where lines go: `stdout`, `stderr`, paths, addresses.")
    access: bool = option(True, "Write one line for each request.")
    stdlib: bool = option(True, "Take over `logging`, the servers' loggers and `warnings`.")
    queue_bytes: int = option(4 << 20, "Bytes of lines that may wait in one process.")
    hash_key: str | None = option(None, "Secret with which API keys are hashed.", secret=True)
    sample_first: int = option(0, "Of one message so many a second are logged; 0 samples nothing.")
    sample_then: int = option(100, "And one in so many of the rest, of levels up to warn.")
    syslog_enabled: bool = option(False, "Send lines to `syslog_address` too.")
    syslog_network: str = option("tcp", "`tcp`, or `tls`.")
    syslog_address: str = option("localhost:5000", "Host and port of the syslog receiver.")
    syslog_format: str = option("json_lines", "`json_lines`, as Logstash reads, or `rfc5424`.")
    endpoint: bool = option(True, "Answer `/logs` with the latest lines, for `ferrometer logs URL`.")
    project: str = option(
        "",
        "Google Cloud's project, of which the format `gcp` says that traces are in it.",
        aliases=("GOOGLE_CLOUD_PROJECT",),
    )
    redact_names: tuple[str, ...] = option((), "Fields, besides the known ones, whose values are secrets.")
    redact_patterns: tuple[str, ...] = option(
        (), "`email`, `ip`, `ssn`, or regular expressions of what is taken out of texts."
    )


def configured_sinks(chosen: LogsSettings, sinks: Sequence[Sink] | None = None) -> list[Sink]:
    """Where lines go by the settings; ``sinks`` instead of what ``to`` says. Raises ValueError."""
    with _blaming("to"):
        to = list(pipeline.sinks_of(chosen.to) if sinks is None else sinks)
    if chosen.syslog_enabled:
        if chosen.syslog_network not in ("tcp", "tls"):
            raise ValueError(f"logging.syslog_network must be tcp or tls, not {chosen.syslog_network!r}")
        if chosen.syslog_format not in FRAMINGS:
            known = ", ".join(FRAMINGS)
            raise ValueError(f"logging.syslog_format must be one of {known}, not {chosen.syslog_format!r}")
        tls = chosen.syslog_network == "tls"
        with _blaming("syslog_address"):
            to.append(Syslog(chosen.syslog_address, format=chosen.syslog_format, tls=tls))
    return to


@contextmanager
def _blaming(option: str) -> Iterator[None]:
    """Says of a ValueError which option it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"logging.{option}: {error}") from error


class Logs(Feature):
    """One redacted JSON line per event, from every logger of the process, and one for each request."""

    section = "logging"
    Settings = LogsSettings

    def __init__(
        self,
        *,
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        level: str | int | None = None,
        format: str | None = None,  # noqa: A002  # the word of the configuration
        to: str | os.PathLike[str] | Sink | Sequence[str | os.PathLike[str] | Sink] | None = None,
        access: bool | None = None,
        stdlib: bool | None = None,
        queue_bytes: int | None = None,
        hash_key: str | None = None,
        sample_first: int | None = None,
        sample_then: int | None = None,
        endpoint: bool | None = None,
        project: str | None = None,
        redact_names: Sequence[str] | None = None,
        redact_patterns: Sequence[str] | None = None,
    ) -> None:
        # Sinks are objects, which no option is.
        self._sinks = None if to is None else pipeline.sinks_of(to)
        super().__init__(
            service=service,
            version=version,
            environment=environment,
            level=None if level is None else levels.NAMES[levels.number(level)],
            format=format,
            access=access,
            stdlib=stdlib,
            queue_bytes=queue_bytes,
            hash_key=hash_key,
            sample_first=sample_first,
            sample_then=sample_then,
            endpoint=endpoint,
            project=project,
            redact_names=None if redact_names is None else tuple(redact_names),
            redact_patterns=None if redact_patterns is None else tuple(redact_patterns),
        )
        self._process = 0

    def open(self, runtime: Runtime) -> None:
        """Checks the settings. Nothing is opened: the application may fork afterwards."""
        chosen: LogsSettings = runtime.settings(self)
        levels.number(chosen.level)
        if chosen.format not in (None, pipeline.CONSOLE, *pipeline.FORMATS):
            known = ", ".join((*pipeline.FORMATS, pipeline.CONSOLE))
            raise ValueError(f"logging.format must be one of {known}, not {chosen.format!r}")
        self._chosen = chosen
        self._namespace = runtime.namespace or ""
        self._to = configured_sinks(chosen, self._sinks)
        _core.register_record_metrics(runtime.registry._native, self._namespace)
        runtime.every("logging level", 1.0, levels.follow)
        if chosen.endpoint:
            runtime.route("/logs", recent.guarded(lambda: runtime.is_protected))
        if _is_serving():
            self.start()

    def start(self) -> None:
        """Opens this process's queue and ships; again after the server has set its own loggers up."""
        chosen = self._chosen
        _core.log_lines_wait(False)
        if self._process == os.getpid():
            if chosen.stdlib:
                pipeline.take_over()
            return
        self._process = os.getpid()
        pipeline.setup(
            chosen.service,
            format=chosen.format,
            level=chosen.level,
            to=self._to,
            version=chosen.version,
            environment=chosen.environment,
            hash_key=chosen.hash_key,
            sampling=self._sampling(),
            queue_bytes=chosen.queue_bytes,
            namespace=self._namespace,
            stdlib=chosen.stdlib,
            access=chosen.access,
            project=chosen.project,
            redact_names=chosen.redact_names,
            redact_patterns=chosen.redact_patterns,
        )

    def _sampling(self) -> dict[str, tuple[int, int]]:
        chosen = self._chosen
        if not chosen.sample_first:
            return {}
        return dict.fromkeys(("debug", "info", "warn"), (chosen.sample_first, chosen.sample_then))

    def close(self, deadline: float) -> None:
        """Waits until what was logged has left, or the deadline is there.

        What the server still says then is waited for line by line: under most of them nothing of Python runs
        between its last line and the end of the process.
        """
        ship.flush(max(0.0, deadline - time.monotonic()))
        _core.log_lines_wait(True)


def _is_serving() -> bool:
    """Whether a server has begun in this process, as under uvicorn's command, so that nobody forks any more.

    Its first lines come before the application's start, and are taken along.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            # Its workers are spawned, and import the application themselves.
            if frame.f_globals.get("__name__") == "uvicorn.config":
                return True
            frame = frame.f_back
        return False
    return True


FEATURE = Logs
