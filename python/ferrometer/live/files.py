"""The files of the page, as a browser is sent them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files

from ferrometer import _core
from ferrometer._runtime.panel import Panel, ready_made, unique

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
#: Where the page's own settings are, below its address.
_CONFIGURATION = "page.json"


def live_page(title: str | None = None, panels: Sequence[Panel] = ()) -> _core.LivePage:
    """The page with these views beside the ready-made ones.

    Raises ValueError for two views of one name.
    """
    shown = unique((*ready_made(), *panels))
    configuration = {"title": title or "", "panels": [panel.as_dict() for panel in shown]}
    sent = [(_CONFIGURATION, "application/json", json.dumps(configuration).encode())]
    for file in files(__package__).joinpath("web").iterdir():
        kind = file.name.rpartition(".")[2]
        if kind in _TYPES:
            name = "" if kind == "html" else file.name
            sent.append((name, _TYPES[kind], file.read_bytes()))
    return _core.LivePage(sent)
