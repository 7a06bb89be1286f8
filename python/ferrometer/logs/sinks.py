"""Where log lines go: one small class for each kind of sink, and the short texts that stand for them."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from ferrometer._runtime import otel_environment

_PERIODS = ("hourly", "daily")
FRAMINGS = ("json_lines", "rfc5424")
_FACILITIES = {"user": 1, "daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}
#: Fields of a line that become Loki's structured metadata: they have too many values for a label.
METADATA = ("request_id", "user_id", "trace_id", "span_id", "logger")


@dataclass(frozen=True, kw_only=True)
class Sink:
    """One receiver of log lines. Each has its own place in the queue: one that is away delays no other."""

    kind: ClassVar[str] = ""
    name: str = ""
    """The value of the label ``sink`` in the metrics; by default the kind and the address."""

    def config(self, service: str, environment: str) -> dict[str, Any]:
        """What the native shipper is told."""
        return {"name": self.name or self.kind, "kind": self.kind}


@dataclass(frozen=True, kw_only=True)
class Stdout(Sink):
    """Standard output. A slow reader delays nobody: the lines wait in the queue."""

    kind: ClassVar[str] = "stdout"


@dataclass(frozen=True, kw_only=True)
class Stderr(Sink):
    """Standard error."""

    kind: ClassVar[str] = "stderr"


@dataclass(frozen=True)
class File(Sink):
    """A file. It is begun anew at so many bytes, hourly or daily (UTC): it becomes ``path.1``, and what
    was that
    ``path.2``. A file that somebody else moves away, as logrotate does, is made again within a moment.
    """

    kind: ClassVar[str] = "file"
    path: str | os.PathLike[str]
    max_bytes: int | None = field(default=None, kw_only=True)
    rotate: str | None = field(default=None, kw_only=True)
    backups: int = field(default=5, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for what is no size, no period or no file."""
        if self.max_bytes is not None and self.max_bytes < 1:
            raise ValueError(f"max_bytes must be positive, not {self.max_bytes!r}")
        if self.rotate is not None and self.rotate not in _PERIODS:
            raise ValueError(f"rotate must be one of {', '.join(_PERIODS)}, not {self.rotate!r}")
        if self.backups < 0:
            raise ValueError(f"backups must not be negative: {self.backups!r}")
        trouble = _trouble(os.path.abspath(self.path))
        if trouble:
            raise ValueError(f"logs cannot be written to {os.path.abspath(self.path)}: {trouble}")

    def config(self, service: str, environment: str) -> dict[str, Any]:
        """What the native shipper is told."""
        path = os.path.abspath(self.path)
        return {
            "name": self.name or _short(f"file:{path}"),
            "kind": self.kind,
            "path": path,
            "max_bytes": self.max_bytes,
            "period": self.rotate,
            "backups": self.backups,
        }


@dataclass(frozen=True)
class Syslog(Sink):
    """A syslog server by TCP: bare JSON lines, as Logstash's codec ``json_lines`` has them, or RFC 5424
    messages with
    their length before them. ``ca``: a PEM file of the authorities to trust instead of the public ones.
    """

    kind: ClassVar[str] = "syslog"
    address: str
    format: str = field(default="json_lines", kw_only=True)
    tls: bool = field(default=False, kw_only=True)
    ca: str | None = field(default=None, kw_only=True)
    facility: str = field(default="local0", kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for an address without a port, and for unknown words."""
        _host_and_port(self.address)
        if self.format not in FRAMINGS:
            raise ValueError(f"format must be one of {', '.join(FRAMINGS)}, not {self.format!r}")
        if self.facility not in _FACILITIES:
            raise ValueError(f"facility must be one of {', '.join(_FACILITIES)}, not {self.facility!r}")

    def config(self, service: str, environment: str) -> dict[str, Any]:
        """What the native shipper is told."""
        host, port = _host_and_port(self.address)
        return {
            "name": self.name or _short(f"syslog:{self.address}"),
            "kind": self.kind,
            "host": host,
            "port": port,
            "format": self.format,
            "tls": self.tls,
            "trust": {"ca": self.ca},
            "facility": _FACILITIES[self.facility],
        }


@dataclass(frozen=True)
class Loki(Sink):
    """Loki's push API, or what speaks it. The labels are service, level and environment, and those
    given here; all
    that has many values is structured metadata. ``url``: of the server, or the whole of it with a path
    of its own.
    """

    kind: ClassVar[str] = "loki"
    url: str
    labels: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    metadata: tuple[str, ...] = field(default=METADATA, kw_only=True)
    tenant: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    ca: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for what is no URL, or labels that Loki refuses."""
        _check_url(self.url)
        for name in self.labels:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
                raise ValueError(f"a label's name has letters, digits and underscores only: {name!r}")
        if len(self.labels) > 12:
            raise ValueError(f"Loki takes 15 labels, and three are taken: {len(self.labels)} are too many")

    def config(self, service: str, environment: str) -> dict[str, Any]:
        """What the native shipper is told."""
        url, headers = otel_environment.authorized(self.url, self.headers)
        if urlsplit(url).path in ("", "/"):
            url = url.rstrip("/") + "/loki/api/v1/push"
        if self.tenant is not None:
            headers["X-Scope-OrgID"] = self.tenant
        labels = {"service": service, **({"environment": environment} if environment else {}), **self.labels}
        return {
            "name": self.name or _short(f"loki:{urlsplit(url).netloc}"),
            "kind": self.kind,
            "url": url,
            "labels": labels,
            "metadata": list(self.metadata),
            "headers": headers,
            "trust": {"ca": self.ca},
        }


@dataclass(frozen=True)
class Otlp(Sink):
    """An OTLP receiver by HTTP and protobuf. What is not given here, ``OTEL_EXPORTER_OTLP_*`` and
    ``OTEL_RESOURCE_ATTRIBUTES`` say. ``endpoint``: of the receiver; ``/v1/logs`` is appended.
    """

    kind: ClassVar[str] = "otlp"
    endpoint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    resource: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    gzip: bool = field(default=True, kw_only=True)
    ca: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for what is no URL."""
        otel_environment.url("LOGS", self.endpoint)

    def config(self, service: str, environment: str) -> dict[str, Any]:
        """What the native shipper is told."""
        told = otel_environment.otlp(
            "LOGS",
            endpoint=self.endpoint,
            headers=self.headers,
            resource=otel_environment.resource(service, environment=environment, given=self.resource),
            gzip=self.gzip,
            ca=self.ca,
        )
        return {
            "name": self.name or _short(f"otlp:{urlsplit(told['url']).netloc}"),
            "kind": self.kind,
            **told,
        }


def parse(text: str) -> Sink:
    """The sink that a short text stands for.

    ``stdout``, ``stderr``, a path, ``syslog://host:514``, ``syslog+tls://host:6514?format=rfc5424``,
    ``loki+http://host:3100``, ``otlp+https://host:4318``. Raises ValueError for anything else.
    """
    if text == "stdout":
        return Stdout()
    if text == "stderr":
        return Stderr()
    scheme, separator, _ = text.partition("://")
    if not separator:
        if not text or (os.sep not in text and not os.path.splitext(text)[1]):
            known = "stdout, stderr, a path, syslog://, syslog+tls://, loki+http(s)://, otlp+http(s)://"
            raise ValueError(f"no sink: {text!r}; there are {known}")
        return File(text)
    parts = urlsplit(text)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    match scheme:
        case "file":
            return File(unquote(parts.path))
        case "syslog" | "syslog+tcp" | "syslog+tls":
            unknown = sorted(options.keys() - {"format", "ca", "facility"})
            if unknown:
                raise ValueError(
                    f"no option of a syslog sink: {unknown[0]!r}; there are format, ca, facility"
                )
            return Syslog(parts.netloc, tls=scheme == "syslog+tls", **options)
        case "loki+http" | "loki+https":
            return Loki(text.removeprefix("loki+"))
        case "otlp+http" | "otlp+https":
            return Otlp(text.removeprefix("otlp+"))
    raise ValueError(
        f"no kind of sink: {scheme!r} in {text!r}; there are syslog, syslog+tls, loki+http, otlp+http"
    )


def _trouble(path: str) -> str:
    """Why a file cannot be written, and what to do; empty when it can be. Leaves no trace of having tried."""
    folder = os.path.dirname(path)
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except FileNotFoundError:
        return f"there is no directory {folder}; make it"
    except OSError as error:
        return f"{folder} cannot be reached ({error.strerror}); choose another file"
    if not is_folder:
        return f"{folder} is no directory; choose another file"
    if os.path.isdir(path):
        return "it is a directory; name a file in it"
    if os.path.exists(path):
        return "" if os.access(path, os.W_OK) else "this user may not; choose another file"
    try:
        # Permissions do not tell all: nobody makes files in /proc, nor on a disk that is mounted read-only.
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE):
            return ""  # this passes, and the lines wait meanwhile
        return f"in {folder} no file can be made ({error.strerror}); choose another directory"


def _host_and_port(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"an address is HOST:PORT, such as 'logs.internal:514', not {address!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"a URL is one like 'http://loki:3100', not {url!r}")


def _short(name: str) -> str:
    """At most 48 bytes: the end of a path tells more than its beginning."""
    encoded = name.encode()
    return name if len(encoded) <= 48 else encoded[:5].decode() + "…" + encoded[-39:].decode(errors="ignore")
