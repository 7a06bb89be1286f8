"""Families as attributes: made when first asked for, and plain attributes from then on."""

from __future__ import annotations

from typing import Any, Generic, Protocol, Self, TypeVar, overload

from ferrometer.instruments import tables
from ferrometer.instruments.family import Families

M = TypeVar("M")


class Owner(Protocol):
    """Who has families as attributes."""

    namespace: str | None
    _families: Families


class Made(Generic[M]):
    """The family with the name of the attribute.

    Not ``__getattr__``: the interpreter has no fast path for the attributes of a class that has one.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._family = tables.FAMILIES[name]

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Owner, kind: type) -> M: ...
    def __get__(self, owner: Owner | None, kind: type) -> Self | M:
        if owner is None:
            return self
        metric: Any = owner._families.make(self._family, owner.namespace)
        setattr(owner, self._name, metric)  # not through __dict__, which would make attributes slower
        return metric  # type: ignore[no-any-return]
