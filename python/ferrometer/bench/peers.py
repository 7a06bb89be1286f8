"""The libraries measured beside ours. An absent one is left out, named, with the line that installs it."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any

PEERS = (
    "prometheus_client",
    "pytheus",
    "opentelemetry",
    "starlette_exporter",
    "fastapi-instrumentator",
)
INSTALL = (
    "pip install starlette-exporter prometheus-fastapi-instrumentator"
    " opentelemetry-instrumentation-asgi opentelemetry-sdk pytheus"
)

only: set[str] | None = None
"""Top-level packages to look for; all of them unless a tool that needs few says otherwise."""

missing: dict[str, str] = {}
"""What could not be measured in this run, and how to install it."""


class MissingPeer(Exception):
    """A peer or tool is absent and `REQUIRE_REAL=1` says that nothing may be left out."""


def peer(module: str) -> Any:
    """The imported module of a peer, or None (and a line in `missing`) when it is not installed."""
    if only is not None and module.partition(".")[0] not in only:
        return None
    try:
        return importlib.import_module(module)
    except ImportError as error:
        absent(module, f"{INSTALL}  ({error})")
        return None


def tool(name: str, install: str) -> str | None:
    """The path of a program, or None (and a line in `missing`) when it is not installed."""
    path = shutil.which(name)
    if path is None:
        absent(name, install)
    return path


def absent(name: str, how: str) -> None:
    """Note that `name` is left out of this run."""
    if os.environ.get("REQUIRE_REAL") == "1":
        raise MissingPeer(f"{name} is missing: {how}")
    missing[name] = how
