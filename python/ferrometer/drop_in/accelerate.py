"""prometheus_client with native metrics, for programs and libraries that import prometheus_client.

It does not matter who imported what before: classes make native metrics when called, ``REGISTRY`` stays the
object it is, and ``generate_latest`` stays the function it is. Modules' names of a class become those of its
native twin, which is equal to it: so ``type(Gauge(...)) is Gauge``.
"""

from __future__ import annotations

import os
import types
import warnings
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import Any

from ferrometer.drop_in.twin import Twin, finish, peer_of, rename
from ferrometer.metrics import created_flag
from ferrometer.metrics import types as native
from ferrometer.metrics.base import PLAIN, MetricWrapperBase
from ferrometer.metrics.families import Taking
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.scrape import is_native
from ferrometer.sharing.share import PEER_VARIABLES, shared_directory

_KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")
#: Where a metric's registry is among the positional arguments.
_REGISTRY_PLACE = 6

_lock = Lock()
_twins: dict[type, type] = {}
_is_on = False


class Acceleration:
    """What :func:`accelerate` returns: as a context manager, it is undone at the end of the block."""

    def __enter__(self) -> Acceleration:
        return self

    def __exit__(self, *_: object) -> None:
        deaccelerate()


def accelerate() -> Acceleration:
    """From now on, metrics and registries of prometheus_client are native ones.

    Its default registry stays the same object, with the collectors that it has; metrics made before keep
    their identity and their values. A definition made twice is an error, as it is there. Metrics of a
    user's subclass are prometheus_client's own. With ``PROMETHEUS_MULTIPROC_DIR`` set, the native ones are
    shared there, and its ``MultiProcessCollector`` reads both; where not, this warns and does nothing.
    """
    global _is_on
    if set(PEER_VARIABLES) & os.environ.keys() and shared_directory() is None:
        text = (
            "PROMETHEUS_MULTIPROC_DIR is set, but this process does not share its metrics there:"
            " prometheus_client is not accelerated"
        )
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        return Acceleration()
    with _lock:
        if not _is_on:
            _make_twins()
            _adopt_default_registry()
            for function, replacement, defaults in _replacements():
                _redirect(function, replacement, defaults)
            uses_created = import_module("prometheus_client.metrics")._use_created
            created_flag.watch("prometheus_client.metrics", uses_created)
            if not uses_created:
                created_flag.switch(False)
            _is_on = True
            for theirs, twin in _twins.items():
                rename(theirs, twin)
            _show_default_registry()
    return Acceleration()


def deaccelerate() -> None:
    """Undoes :func:`accelerate`. Native metrics stay registered, and go on counting."""
    global _is_on
    with _lock:
        if _is_on:
            _is_on = False
            created_flag.forget("prometheus_client.metrics")
            for theirs, twin in _twins.items():
                rename(twin, theirs)
            for collector in list(REGISTRY._guests):
                REGISTRY.unregister(collector)
            for function, _, _ in _replacements():
                original = function.__wrapped__
                function.__code__, function.__defaults__ = original.__code__, original.__defaults__
                del function.__wrapped__
            _release_default_registry()


# Classes: calling prometheus_client's makes an instance of a subclass that is ours first.


def _make_twins() -> None:
    if _twins:
        return
    peer = import_module("prometheus_client.metrics")
    for kind in _KINDS:
        _install(getattr(peer, kind), getattr(native, kind), _Metric)
    PLAIN.update(_twins.values())
    registry = import_module("prometheus_client.registry")
    _install(registry.CollectorRegistry, CollectorRegistry, _Registry)


def _install(theirs: type, ours: type, what: type) -> None:
    def fill(namespace: dict[str, Any]) -> None:
        # It passes for theirs, in `repr`, too.
        namespace |= {"__module__": theirs.__module__, "__qualname__": theirs.__qualname__, "_peer": theirs}
        if what is _Metric:
            namespace["__slots__"] = ()

    twin: Any = types.new_class(theirs.__name__, (what, ours, theirs), {"metaclass": Twin}, exec_body=fill)
    finish(twin)

    def new(cls: type, *_: Any, **kwargs: Any) -> Any:
        # Subclasses, and children of metrics that were made before, are what they always were.
        if _is_on and cls is theirs and "_labelvalues" not in kwargs:
            return _make(twin)
        return object.__new__(cls)

    # For good: a class whose `__new__` was set and deleted no longer takes arguments.
    theirs.__new__ = new  # type: ignore[method-assign,assignment]
    _twins[theirs] = twin


def _make(twin: Any) -> Any:
    if _Metric in type.__getattribute__(twin, "__mro__"):
        # Not our own `__new__`: it would give the metric of the same name.
        return super(MetricWrapperBase, twin).__new__(twin)
    return object.__new__(twin)


def _default_registry() -> Any:
    return import_module("prometheus_client.registry").REGISTRY


class _Metric:
    """What makes a native metric one of prometheus_client's."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _make(cls) if _is_on else peer_of(cls)(*args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) <= _REGISTRY_PLACE and "registry" not in kwargs:
            kwargs["registry"] = import_module("prometheus_client.registry").REGISTRY
        super().__init__(*args, **kwargs)


class _Registry:
    """What makes a native registry one of prometheus_client's."""

    _by_name: dict[str, Any]
    _give_way: Callable[[list[str]], None]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _make(cls) if _is_on else peer_of(cls)(*args, **kwargs)

    def _note(self, metric: Any) -> None:
        super()._note(metric)  # type: ignore[misc]
        self._show_elsewhere(metric)

    def register(self, collector: Any) -> None:
        """Adds a metric or a collector."""
        super().register(collector)  # type: ignore[misc]
        if not is_native(collector):
            self._show_elsewhere(collector)

    def unregister(self, collector: Any) -> None:
        """Removes a metric or a collector."""
        super().unregister(collector)  # type: ignore[misc]
        if self is _default_registry() and collector in REGISTRY._guests:
            REGISTRY.unregister(collector)

    def _show_elsewhere(self, collector: Any) -> None:
        """What joins the default registry is shown on ferrometer's /metrics, too."""
        if _is_on and self is _default_registry() and collector not in REGISTRY._guests:
            REGISTRY._join_as_guest(collector, self._collectors[collector])

    def _taking(self, names: list[str]) -> Taking:
        self._give_way(names)
        if duplicates := self._by_name.keys() & set(names):
            raise import_module("prometheus_client.registry").DuplicateTimeseries(duplicates)
        return Taking(self._by_name, names)


# The default registry: others hold it, so it changes its class.


def _adopt_default_registry() -> None:
    registry = import_module("prometheus_client.registry").REGISTRY
    if type(registry) not in _twins:  # somebody's subclass
        return
    fresh = CollectorRegistry(registry._auto_describe, None, registry._support_collectors_without_names)
    fresh._target_info = registry._target_info or None
    if fresh._target_info:
        fresh._native.reserve(["target_info"], "target_info of the registry")
    fresh._collectors = registry._collector_to_names
    fresh._by_name = registry._names_to_collectors
    fresh._collectors_without_names = registry._collectors_without_names
    for collector, names in registry._collector_to_names.items():
        if is_native(collector):
            fresh._native.adopt(collector)
        else:
            fresh._native.reserve(names, repr(collector))
    registry.__dict__.update(fresh.__dict__)
    registry.__class__ = _twins[type(registry)]


def _show_default_registry() -> None:
    """On ferrometer's /metrics: all but the collectors of the process, which it has itself."""
    registry = _default_registry()
    if not isinstance(registry, CollectorRegistry):
        return
    for collector, names in list(registry._collectors.items()):
        if type(collector).__name__ not in ("GCCollector", "PlatformCollector", "ProcessCollector"):
            REGISTRY._join_as_guest(collector, names)


def _release_default_registry() -> None:
    registry = import_module("prometheus_client.registry").REGISTRY
    theirs = {twin: theirs for theirs, twin in _twins.items()}.get(type(registry))
    if theirs is not None:
        registry.__dict__["_collector_to_names"] = registry._collectors
        registry.__dict__["_names_to_collectors"] = registry._by_name
        registry.__class__ = theirs


# Functions: others hold them, so they change what they do.


def _replacements() -> list[tuple[Any, Any, tuple[Any, ...]]]:
    """Functions of prometheus_client, what they do instead, and its defaults."""
    exposition = import_module("prometheus_client.exposition")
    openmetrics = import_module("prometheus_client.openmetrics.exposition")
    metrics = import_module("prometheus_client.metrics")
    processes = import_module("prometheus_client.multiprocess")
    return [
        (exposition.generate_latest, _text, (exposition.REGISTRY, "underscores")),
        (openmetrics.generate_latest, _openmetrics, ("underscores", "1.0.0")),
        (processes.MultiProcessCollector.collect, _all_processes, ()),
        (metrics.disable_created_metrics, _disable_created, ()),
        (metrics.enable_created_metrics, _enable_created, ()),
    ]


def _redirect(function: Any, replacement: Any, defaults: tuple[Any, ...]) -> None:
    function.__wrapped__ = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    function.__defaults__ = defaults
    function.__code__ = replacement.__code__


# The code of these runs as that of prometheus_client's functions: among the names of their module, so
# that what they use is imported inside.


def _text(registry: Any, escaping: str) -> bytes:
    from ferrometer.exposition.formats import generate_latest

    return generate_latest(registry, escaping)


def _openmetrics(registry: Any, escaping: str, version: str) -> bytes:
    from ferrometer.exposition.formats import generate_openmetrics

    return generate_openmetrics(registry, escaping, version)


def _all_processes(self: Any) -> Any:
    from ferrometer.drop_in.multiprocess import everything

    return everything(self, self._path)


def _disable_created() -> None:
    from ferrometer.metrics import types as metrics

    global _use_created
    _use_created = False
    metrics.disable_created_metrics()


def _enable_created() -> None:
    from ferrometer.metrics import types as metrics

    global _use_created
    _use_created = True
    metrics.enable_created_metrics()


#: In prometheus_client.metrics, where the code above runs.
_use_created = True
