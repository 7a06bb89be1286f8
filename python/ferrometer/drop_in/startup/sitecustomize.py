"""`ferrometer run` puts this file's folder on the path of the program: Python imports it when it starts.

It costs nothing until prometheus_client is imported, which it accelerates then. A sitecustomize that this
one hides is run first.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, NoReturn


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


def _stay_first() -> None:
    """Programs that start another one with a sitecustomize of theirs put its folder before ours.

    opentelemetry-instrument does: it replaces itself by the program. Ours runs the one that it hides, so ours
    has to be the first.
    """
    run, run_with = os.execv, os.execve

    def execv(path: Any, argv: Any) -> NoReturn:
        _put_first(os.environ)
        run(path, argv)

    def execve(path: Any, argv: Any, env: Any) -> NoReturn:
        env = dict(env)
        _put_first(env)
        run_with(path, argv, env)

    os.execv, os.execve = execv, execve


def _put_first(environment: MutableMapping[Any, Any]) -> None:
    here = str(Path(__file__).parent)
    entries = str(environment.get("PYTHONPATH", "")).split(os.pathsep)
    if here in entries:
        environment["PYTHONPATH"] = os.pathsep.join([here, *(entry for entry in entries if entry != here)])


sys.meta_path.insert(0, _Waiting())
_stay_first()
_run_hidden()
