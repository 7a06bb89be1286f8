"""`ferrometer run` puts this file's folder on the path of the program: Python imports it when it starts.

It costs nothing until prometheus_client is imported, which it accelerates then. A sitecustomize that this
one hides is run first.
"""

from __future__ import annotations

import sys
import warnings
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _Waiting:
    """Accelerates prometheus_client as soon as it has been imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "prometheus_client":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                try:
                    import ferrometer
                except ImportError as error:
                    warnings.warn(
                        f"prometheus_client is not accelerated: {error}", RuntimeWarning, stacklevel=2
                    )
                else:
                    ferrometer.accelerate()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _run_hidden() -> None:
    here = str(Path(__file__).parent)
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


_run_hidden()
sys.meta_path.insert(0, _Waiting())
