"""An application under a real uvicorn, in a process of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.component import LEDGER
from tests.real.process import Process


@contextmanager
def uvicorn(source: str, folder: Path, *options: str) -> Iterator[str]:
    """Serves the `app` of this source; yields the base URL."""
    (folder / "served.py").write_text(source)
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", "0", "--no-access-log", *options]
    with Process(command, folder=folder, name="uvicorn") as process:
        process.wait_until(lambda: _address(process) is not None)
        address = _address(process)
        assert address is not None
        from uvicorn import __version__

        LEDGER.exercised[f"uvicorn {__version__}"] = " ".join(options) or "as it comes"
        yield address


def _address(process: Process) -> str | None:
    match = re.search(r"Uvicorn running on (http://127\.0\.0\.1:\d+)", process.log())
    return match[1] if match else None
