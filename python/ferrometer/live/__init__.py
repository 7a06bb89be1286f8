"""The service as it is now, in a browser, with no other server: ``instrument(app, ferrometer.Page())``."""

from __future__ import annotations

from ferrometer._runtime.panel import Chart, Column, Line, Panel, Table, Tile
from ferrometer.live.feature import Page, PageSettings

__all__ = ["Chart", "Column", "Line", "Page", "PageSettings", "Panel", "Table", "Tile"]
