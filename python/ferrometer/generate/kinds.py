"""The kinds of files that can be generated."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File

#: Each is a module of this folder, with ``_`` for ``-``.
KINDS = (
    "dashboards",
    *("prometheus", "alertmanager", "rules", "otel-collector", "loki", "promtail", "logstash", "rsyslog"),
    *("compose", "kubernetes"),
)


def files(kind: str, deployment: Deployment) -> Iterator[File]:
    """The files of a kind, or of ``all``.

    Raises ModuleNotFoundError with the remedy where an extra is missing.
    """
    for name in KINDS if kind == "all" else (kind,):
        if kind == "all" and name == "logstash" and deployment.syslog_format != "json_lines":
            continue  # the application sends what only rsyslog reads
        yield from import_module(f"ferrometer.generate.{name.replace('-', '_')}").files(deployment)
