"""What OpenTelemetry's variables say of exporters and of the service; an empty one counts as unset."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

T = TypeVar("T")

_PREFIX = "OTEL_EXPORTER_OTLP_"


def variable(*names: str) -> Callable[[Mapping[str, str]], str | None]:
    """Reads the first of these variables that is set, as ``option(from_environment=...)`` wants it."""
    return lambda environ: next((environ[name] for name in names if environ.get(name, "").strip()), None)


def converted(convert: Callable[[str], T], *names: str) -> Callable[[Mapping[str, str]], T | None]:
    """The same, converted; an error names the variable."""

    def read(environ: Mapping[str, str]) -> T | None:
        for name in names:
            if text := environ.get(name, "").strip():
                try:
                    return convert(text)
                except ValueError:
                    raise ValueError(f"{name} must be a number, not {text!r}") from None
        return None

    return read


def pairs(name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``a=b,c=d``; values are percent-encoded."""
    found = (pair.partition("=") for pair in environ.get(name, "").split(","))
    return {key.strip(): unquote(value.strip()) for key, separator, value in found if separator}


def of_signal(signal: str, key: str) -> str | None:
    """The variable of a signal (``TRACES``), else the one of all signals."""
    return variable(f"{_PREFIX}{signal}_{key}", f"{_PREFIX}{key}")(os.environ)


def url(signal: str, endpoint: str | None = None) -> str:
    """Where a signal is posted: a signal's own variable is the whole URL, all others get ``/v1/<signal>``.

    Raises ValueError for what is no URL, and for a protocol that is not spoken.
    """
    path = f"/v1/{signal.lower()}"
    protocol = of_signal(signal, "PROTOCOL")
    if endpoint is None and protocol not in (None, "http/protobuf"):
        raise ValueError(
            f"{_PREFIX}PROTOCOL is {protocol!r}; only http/protobuf is spoken,"
            " which collectors take at port 4318"
        )
    whole = os.environ.get(f"{_PREFIX}{signal}_ENDPOINT")
    if endpoint is None and whole:
        return _checked(whole)
    base = endpoint or os.environ.get(f"{_PREFIX}ENDPOINT") or "http://localhost:4318"
    return _checked(base if base.endswith(path) else base.rstrip("/") + path)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"a URL is one like 'http://collector:4318', not {url!r}")
    return url


def authorized(url: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The URL without user and password, which become a header."""
    from base64 import b64encode

    parts, headers = urlsplit(url), dict(headers)
    if parts.username is None:
        return url, headers
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    headers.setdefault("Authorization", f"Basic {b64encode(pair).decode()}")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), headers


def headers_of(signal: str) -> dict[str, str]:
    """The headers of a signal's requests."""
    return pairs(f"{_PREFIX}HEADERS") | pairs(f"{_PREFIX}{signal}_HEADERS")


def resource(
    service: str, *, version: str = "", environment: str = "", given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The attributes of the service: what is given wins over the environment's."""
    said = pairs("OTEL_RESOURCE_ATTRIBUTES")
    name = (
        os.environ.get("OTEL_SERVICE_NAME") or service or said.get("service.name") or "unknown_service:python"
    )
    return {
        "host.name": socket.gethostname(),
        **said,
        "service.name": name,
        **({"service.version": version} if version else {}),
        **({"deployment.environment.name": environment} if environment else {}),
        "telemetry.sdk.name": "ferrometer",
        "telemetry.sdk.language": "python",
        **(given or {}),
    }


def otlp(
    signal: str,
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    resource: Mapping[str, str],
    gzip: bool | None = None,
    ca: str | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """An exporter of a signal, as the native shipper is told; what is not given, the environment says."""
    address, all_headers = authorized(url(signal, endpoint), headers_of(signal) | dict(headers or {}))
    if gzip is None:
        gzip = (of_signal(signal, "COMPRESSION") or "gzip") == "gzip"
    if timeout is None:
        timeout = float(of_signal(signal, "TIMEOUT") or 10)
    return {
        "url": address,
        "headers": all_headers,
        "resource": dict(resource),
        "gzip": gzip,
        "trust": {"ca": ca or of_signal(signal, "CERTIFICATE")},
        "timeout": timeout,
    }
