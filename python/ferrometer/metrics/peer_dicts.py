"""prometheus_client's private dicts, for programs that change them: what is done to them happens.

Test fixtures empty ``REGISTRY._collector_to_names`` and ``REGISTRY._names_to_collectors``, and programs
prune ``metric._metrics``. Each of these is a mapping here that reads what there is; changes of it are made
through the registry's and the metric's own methods.
"""

from __future__ import annotations

from _collections_abc import MutableMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ferrometer.metrics.base import MetricWrapperBase
    from ferrometer.metrics.registry import CollectorRegistry

    _Mapping = MutableMapping[Any, Any]
else:
    _Mapping = MutableMapping


class _Peer(_Mapping):
    __slots__ = ("_owner",)

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def _now(self) -> dict[Any, Any]:
        raise NotImplementedError

    def __getitem__(self, key: Any) -> Any:
        return self._now()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._now()))  # it may be changed meanwhile

    def __len__(self) -> int:
        return len(self._now())

    def keys(self) -> Any:
        """As of a dict."""
        return self._now().keys()

    def values(self) -> Any:
        """As of a dict."""
        return self._now().values()

    def items(self) -> Any:
        """As of a dict."""
        return self._now().items()

    def clear(self) -> None:
        """Take all out."""
        for key in self:
            self.pop(key, None)

    def copy(self) -> dict[Any, Any]:
        """A dict of what there is now."""
        return dict(self._now())

    __copy__ = copy

    def __or__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        return self._now() | dict(other)

    def __repr__(self) -> str:
        return repr(self._now())


class Collectors(_Peer):
    """``registry._collector_to_names``: what is taken out is unregistered, what is put in registered."""

    __slots__ = ()
    _owner: CollectorRegistry

    def _now(self) -> dict[Any, Any]:
        return self._owner._collectors

    def __setitem__(self, collector: Any, names: Any) -> None:
        if collector not in self._owner._collectors:
            self._owner.register(collector)

    def __delitem__(self, collector: Any) -> None:
        self._owner.unregister(collector)

    def become(self, wanted: Mapping[Any, Any]) -> None:
        """Hold these and no others, as after an assignment of the whole dict."""
        for collector in self:
            if collector not in wanted:
                del self[collector]
        self.update(wanted)


class Names(_Peer):
    """``registry._names_to_collectors``: a name that is taken out is free.

    Whoever has it is shown until somebody takes it.
    """

    __slots__ = ()
    _owner: CollectorRegistry

    def _now(self) -> dict[Any, Any]:
        return self._owner._by_name

    def __setitem__(self, name: str, collector: Any) -> None:
        self._owner._by_name[name] = collector

    def __delitem__(self, name: str) -> None:
        del self._owner._by_name[name]
        self._owner._has_free_names = True

    def become(self, wanted: Mapping[str, Any]) -> None:
        """Hold these and no others."""
        wanted = dict(wanted)
        self.clear()
        self.update(wanted)


class Children(_Peer):
    """``metric._metrics``: taking a child out removes its series; only ``labels()`` makes one."""

    __slots__ = ()
    _owner: MetricWrapperBase

    def _now(self) -> dict[Any, Any]:
        return {values: self._owner.labels(*values) for values in self._owner._children()}

    def __contains__(self, values: object) -> bool:
        return values in self._owner._children()

    def __getitem__(self, values: Any) -> Any:
        if values not in self:
            raise KeyError(values)
        return self._owner.labels(*values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._owner._children())

    def __len__(self) -> int:
        return len(self._owner._children())

    def keys(self) -> Any:
        """The label values."""
        return dict.fromkeys(self._owner._children()).keys()

    def __setitem__(self, values: Any, child: Any) -> None:
        if self.get(values) is not child:
            raise TypeError(f"cannot put a child into {self._owner}: labels(*values) makes it")

    def __delitem__(self, values: Any) -> None:
        if values not in self:
            raise KeyError(values)
        self._owner.remove(*values)

    def clear(self) -> None:
        """Remove all series."""
        self._owner.clear()

    def become(self, wanted: Mapping[Any, Any]) -> None:
        """Hold these and no others."""
        for values in self:
            if values not in wanted:
                del self[values]
        self.update(wanted)
