"""The floor: calls that do nothing, made the way ours are made.

`NoOp` is a small C type, compiled with the system's C compiler on first use and kept under `.cache/`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Protocol, cast

SOURCE = Path(__file__).with_name("floor.c")
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "floor"


class NoOp(Protocol):
    """Methods with the calling conventions of ours, and nothing inside."""

    def inc(self) -> None: ...

    def observe(self, amount: float) -> None: ...

    def labels(self, *values: str) -> NoOp: ...


@cache
def noop() -> NoOp:
    """One instance of the C type that does nothing."""
    spec = importlib.util.spec_from_file_location("ferrometer_floor", _build())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(NoOp, module.NoOp())


def _build() -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("benches: the floor is a C file and needs a C compiler (apt-get install gcc)")
    # Named by content and interpreter: an edit or another Python builds anew, never a stale floor.
    stamp = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    target = CACHE / f"{stamp}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}")
        include = sysconfig.get_paths()["include"]
        subprocess.run(
            [compiler, "-O3", "-fPIC", "-shared", f"-I{include}", str(SOURCE), "-o", str(unfinished)],
            check=True,
        )
        unfinished.replace(target)  # atomic: two runs at once build two files and one wins
    return target
