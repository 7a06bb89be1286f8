"""What of prometheus_client is not written again, under this package's names and for its registries.

``ferrometer.asgi``, ``ferrometer.bridge.graphite`` and the other submodules without a file here are
prometheus_client's source, executed as modules of this package: what they import relatively, ``REGISTRY``
and ``generate_latest`` among it, is then ours. Modules of plain data are the very modules of
prometheus_client, so that samples and families are of the same classes everywhere.
"""

from __future__ import annotations

import sys
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import ModuleType
    from typing import Any

PEER = "prometheus_client"

#: Modules of prometheus_client that are plain data: here they are the very same modules.
_PEER_MODULES = (
    "decorator",
    "metrics_core",
    "mmap_dict",
    "openmetrics.parser",
    "parser",
    "samples",
    "utils",
    "validation",
    "values",
)

#: Import paths that stay valid, and the module that each of them is today. Paths that no page of the
#: documentation names go in 0.2.
ALIASES = {
    "acceleration": "drop_in.accelerate",
    "access": "endpoints.access",
    "asgi": "drop_in.asgi",
    "collectors.base": "background.collector",
    "collectors.caches": "collectors.app.caches",
    "collectors.cgroup": "collectors.host.cgroup",
    "collectors.checks": "health.ready_made",
    "collectors.counted_mapping": "collectors.app.counted_mapping",
    "collectors.disk": "collectors.host.disk",
    "collectors.gc_pauses": "collectors.host.gc_pauses",
    "collectors.gpu_cost": "collectors.gpu.cost",
    "collectors.gpu_device": "collectors.gpu.device",
    "collectors.gpu_readings": "collectors.gpu.readings",
    "collectors.lease": "sharing.lease",
    "collectors.loop_lag": "collectors.host.loop_lag",
    "collectors.network": "collectors.host.network",
    "collectors.parts": "background.partial",
    "collectors.process": "collectors.host.process",
    "collectors.published": "collectors.app.published",
    "collectors.queues": "collectors.app.queues",
    "collectors.runtime": "collectors.host.runtime",
    "collectors.scheduler": "background.scheduler",
    "collectors.watch": "background.runner",
    "config": "_runtime.settings",
    "context_managers": "metrics.timers",
    "conventions": "metrics.conventions",
    "endpoints.answers": "endpoints.handlers",
    "endpoints.app": "endpoints.routes",
    "gpu_stats": "stats.gpu",
    "middleware": "http.middleware",
    "multiprocess": "drop_in.multiprocess",
    "openmetrics.exposition": "drop_in.openmetrics_exposition",
    "registry": "metrics.registry",
    "remote_write": "export.remote_write",
    "request_id": "http.request_id",
    "route_template": "http.route_template",
    "serving": "endpoints.own_port",
    "system": "stats.process",
    "timing": "metrics.timers",
}

#: Modules that register a collector when they are imported.
_DEFAULT_COLLECTORS = frozenset({"gc_collector", "platform_collector", "process_collector"})


def _execute(module: ModuleType, execute: Callable[[ModuleType], None]) -> None:
    execute(module)


#: How the default registry has such a module executed: it puts its own way here.
load_default: Callable[..., None] = _execute

_SAME = {
    **{name: f"{PEER}.{name}" for name in _PEER_MODULES},
    **{name: f"ferrometer.{home}" for name, home in ALIASES.items()},
}


class _Same:
    """Loads a module by importing another."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        from importlib import import_module

        module = import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the other name's spec into it.
        module.__spec__ = self._spec


class _Finder:
    """Finds the submodules that have no file of their own; the last one to be asked."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != "ferrometer" or not name:
            return None
        if same := _SAME.get(name):
            from importlib.machinery import ModuleSpec

            return ModuleSpec(fullname, _Same(same))  # type: ignore[arg-type]  # it has what a loader needs
        from importlib.util import spec_from_file_location

        base = _folder().joinpath(*name.split("."))
        if (init := base / "__init__.py").is_file():
            spec = spec_from_file_location(fullname, init, submodule_search_locations=[])
            if spec is not None:
                # Nothing to search: this finder finds its submodules, too. (An empty list, given as an
                # argument, would be filled.)
                spec.submodule_search_locations = []
            return spec
        file = base.with_suffix(".py")
        spec = spec_from_file_location(fullname, file) if file.is_file() else None
        if spec is not None and spec.loader is not None and name in _DEFAULT_COLLECTORS:
            from functools import partial

            # The module registers its collector, whose names an application may have taken.
            spec.loader.exec_module = partial(  # type: ignore[method-assign]
                load_default, execute=spec.loader.exec_module
            )
        return spec


def _folder() -> Path:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec(PEER)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"ferrometer needs {PEER}: pip install prometheus-client", name=PEER)
    return Path(spec.submodule_search_locations[0])


def printer(module: str) -> Any:
    """``generate_latest`` of that module of prometheus_client, also while it hands on to ours."""
    from importlib import import_module

    function = import_module(f"{PEER}.{module}").generate_latest
    return getattr(function, "__wrapped__", function)


def install() -> None:
    """Makes the submodules importable."""
    if not any(type(finder).__qualname__ == _Finder.__qualname__ for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def complete(namespace: dict[str, Any], module: str) -> None:
    """Adds to a module of this package what that module of prometheus_client also has.

    Names that the module has stay as they are, for the added functions, too.
    """
    import ast

    file = _folder().joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(file.read_bytes(), file)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            # Relative to where prometheus_client has it, which need not be where this module lies.
            package = ("ferrometer", *module.split("."))[: -node.level]
            node.module = ".".join([*package, *([node.module] if node.module else [])])
            node.level = 0
    tree.body = [node for node in tree.body if not namespace.keys() & _assigned(node)]
    exec(compile(tree, file, "exec", dont_inherit=True), namespace)


def _assigned(node: Any) -> set[str]:
    """The names that a statement gives a value."""
    import ast

    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case _:
            return set()


_completing = RLock()


def lazily(namespace: dict[str, Any], module: str) -> Any:
    """A module's ``__getattr__`` that completes it, when first asked for a name that it has not.

    :param module: the module of prometheus_client whose names it gets.
    """

    def find(name: str) -> Any:
        if not name.startswith("__"):
            with _completing:
                if "__getattr__" in namespace:
                    complete(namespace, module)
                    namespace.pop("__getattr__", None)
        try:
            return namespace[name]
        except KeyError:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}") from None

    return find
