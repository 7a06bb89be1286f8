"""Makes one mapping count its lookups, by giving that object a subclass of its own class.

The object stays the same: whoever holds it (a ``cachetools.cached`` decorator, another module) goes
through the counts from now on, and ``isinstance`` and ``repr`` say what they said before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from threading import get_ident
from typing import Any

Count = Callable[[], object]


class _Filled:
    """What ``__missing__`` found elsewhere: a value, but no hit."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def count_lookups(mapping: object, hit: Count, miss: Count, evicted: Count) -> None:
    """Call ``hit`` or ``miss`` at every ``mapping[key]`` and ``mapping.get(key)``.

    ``evicted`` is called at ``popitem``, by which a cache makes room. ``in``, ``pop`` and ``setdefault``
    are no lookups: decorators use them to store. As before, threads that share the mapping must lock it
    themselves. Raises TypeError when the object cannot be changed so.
    """
    plain = type(mapping)
    if isinstance(mapping, dict) or not isinstance(mapping, MutableMapping):
        raise TypeError(
            f"cannot count the lookups of {plain.__name__}: track a function with cache_info(), a mapping"
            " such as cachetools', or count by hand: cache = track_cache(name); cache.hit(); cache.miss()"
        )
    try:
        mapping.__class__ = _counting(plain, hit, miss, evicted)
    except TypeError as error:
        raise TypeError(
            f"cannot count the lookups of {plain.__name__} ({error}); count by hand with hit() and miss()"
        ) from None


class _Inside:
    """While a thread is within an operation whose own lookups do not count.

    Who does it is noted, not how often: should two threads use the mapping without a lock, a count may
    be off, but never for good.
    """

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = 0

    def __bool__(self) -> bool:
        return self.thread != 0 and self.thread == get_ident()

    def __call__(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        before, self.thread = bool(self), get_ident()
        try:
            return operation(*arguments)
        finally:
            self.thread = get_ident() if before else 0


def _counting(plain: Any, hit: Count, miss: Count, evicted: Count) -> type:
    quietly, clearing = _Inside(), _Inside()

    class Counting(plain):  # type: ignore[misc]
        __slots__ = ()

        def __getitem__(self, key: Any) -> Any:
            try:
                value = super().__getitem__(key)
            except KeyError:
                if not quietly:
                    miss()
                raise
            if type(value) is _Filled:
                if not quietly:
                    miss()
                return value.value
            if not quietly:
                hit()
            return value

        def get(self, key: Any, default: Any = None) -> Any:
            if key in self:
                return self[key]
            miss()
            return default

        def setdefault(self, *arguments: Any) -> Any:
            return quietly(super().setdefault, *arguments)

        def pop(self, *arguments: Any) -> Any:
            return quietly(super().pop, *arguments)

        def popitem(self) -> Any:
            item = quietly(super().popitem)
            if not clearing:
                evicted()
            return item

        def clear(self) -> None:
            clearing(quietly, super().clear)  # some do it by popitem()

        if plain.__contains__ is Mapping.__contains__:  # which asks for the item

            def __contains__(self, key: object) -> bool:
                return bool(quietly(super().__contains__, key))

        if hasattr(plain, "__missing__"):

            def __missing__(self, key: Any) -> Any:
                return _Filled(quietly(super().__missing__, key))

    Counting.__name__, Counting.__qualname__ = plain.__name__, plain.__qualname__
    Counting.__module__, Counting.__doc__ = plain.__module__, plain.__doc__
    return Counting
