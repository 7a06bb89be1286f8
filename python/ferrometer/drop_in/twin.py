"""Types that stand in for prometheus_client's: native, and equal to them where programs compare types."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, Protocol

#: Of what prometheus_client's metrics are instances: they implement a protocol.
_Meta: Any = type(Protocol)


class Twin(_Meta):  # type: ignore[misc]
    """The type of a native class that takes the place of one of prometheus_client's.

    It is equal to that class, so that a dict keyed by classes finds either under the other. An instance of
    one is an instance of the other. A subclass of it is a subclass of prometheus_client's: what a user wrote
    for prometheus_client stays prometheus_client's own.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **further: Any) -> Any:
        """The class; of a subclass of a twin, a subclass of prometheus_client's class."""
        plain = tuple(peer_of(base) for base in bases)
        if all(a is b for a, b in zip(plain, bases, strict=True)):
            return super().__new__(mcs, name, bases, namespace, **further)
        return types.new_class(name, plain, further, lambda into: into.update(namespace))

    def __eq__(cls, other: object) -> bool:
        return peer_of(cls) is peer_of(other)

    def __hash__(cls) -> int:
        return type.__hash__(peer_of(cls))

    def __instancecheck__(cls, instance: object) -> bool:
        return _descends(type(instance), peer_of(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return _descends(subclass, peer_of(cls))

    def __getattribute__(cls, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") and name != "__init__":
            return value
        methods: dict[str, Any] | None = type.__getattribute__(cls, "__dict__").get("_peer_methods")
        if methods is None or not callable(value) or isinstance(value, type):
            return value
        known = methods.get(name)
        if known is None or known[0] is not value:
            known = methods[name] = (value, _either(cls, name, value))
        return known[1]


def _descends(kind: type, base: type) -> bool:
    # By the classes themselves: `issubclass` would ask all subclasses of `base`, and so come back here.
    return any(one is base for one in kind.__mro__)


def _either(twin: Any, name: str, native: Callable[..., Any]) -> Callable[..., Any]:
    """``Counter.inc(metric)``: for a metric that is prometheus_client's own, its method."""
    peer = getattr(peer_of(twin), name, None)
    if not isinstance(peer, types.FunctionType):
        return native

    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        chosen = native if _descends(type(self), twin) else peer
        return chosen(self, *args, **kwargs)

    return functools.wraps(peer)(method)


def peer_of(kind: Any) -> Any:
    """prometheus_client's class that a twin stands for; any other object itself."""
    if type(kind) is Twin:
        return type.__getattribute__(kind, "__dict__").get("_peer", kind)
    return kind


def finish(twin: type) -> None:
    """From now on, methods that are called by the class look whose the metric is."""
    twin._peer_methods = {}  # type: ignore[attr-defined]


def rename(old: type, new: type) -> None:
    """Every name of a module that stands for the one class stands for the other."""
    for module in list(sys.modules.values()):
        if type(module) is not types.ModuleType or module.__name__.partition(".")[0] == "ferrometer":
            continue
        names = vars(module)
        for name in [name for name, value in list(names.items()) if value is old]:
            names[name] = new


__all__ = ["Twin", "finish", "peer_of", "rename"]
