"""What was logged, read back from the one file that all tests of this process log to."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ferrometer import logs

Lines = Callable[[], list[dict[str, Any]]]
_FOLDER = Path(tempfile.mkdtemp(prefix="fm-logs-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
#: A new file for each test would be a new receiver each time, and a ring remembers a few only.
FILE = _FOLDER / "app.log"


class Written:
    """What was logged since it was made."""

    def __init__(self, **told: Any) -> None:
        logs.clear_context()
        logs.setup(**{"to": FILE, "stdlib": False, "level": "debug", "format": "gpuproxy", **told})
        assert logs.flush(20)
        self._start = FILE.stat().st_size if FILE.exists() else 0

    def text(self) -> str:
        """As it is."""
        assert logs.flush(20)
        return FILE.read_bytes()[self._start :].decode() if FILE.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """Each line an object; whatever is no JSON fails the test."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]

    def end(self) -> None:
        """Leaves no trace for the next test."""
        logs.clear_context()
        logs.setup(to=FILE, stdlib=False, level="info")
