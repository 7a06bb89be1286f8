"""Which features there are: the folders of this package with a `feature.py`, found without importing them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferrometer._runtime.feature import Feature

#: Sections that are not called as their folder is.
_SECTIONS = {"http": "metrics", "logs": "logging", "tracing": "traces", "live": "page"}
#: Sections that a command reads, and no feature of the application.
OF_COMMANDS = frozenset({"generate"})


@cache
def sections() -> Mapping[str, str]:
    """Each section of the configuration, and the folder of its feature."""
    package = Path(__file__).parents[1]
    folders = sorted(file.parent.name for file in package.glob("[!_]*/feature.py"))
    return {_SECTIONS.get(folder, folder): folder for folder in folders}


def feature_class(section: str) -> type[Feature]:
    """The class of a section's feature, imported now."""
    module = import_module(f"ferrometer.{sections()[section]}.feature")
    found: type[Feature] = module.FEATURE
    return found
