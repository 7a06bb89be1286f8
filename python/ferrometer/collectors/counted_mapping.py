"""Makes one mapping count its lookups, by giving that object a subclass of its own class.

The object stays the same: whoever holds it (a ``cachetools.cached`` decorator, another module) goes
through the counts from now on, and ``isinstance`` and ``repr`` say what they said before.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
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


def _counting(plain: Any, hit: Count, miss: Count, evicted: Count) -> type:
    quiet = 0  # lookups that the mapping makes for its own purposes

    class Counting(plain):  # type: ignore[misc]
        __slots__ = ()

        def __getitem__(self, key: Any) -> Any:
            try:
                value = super().__getitem__(key)
            except KeyError:
                if not quiet:
                    miss()
                raise
            if type(value) is _Filled:
                miss()
                return value.value
            if not quiet:
                hit()
            return value

        def get(self, key: Any, default: Any = None) -> Any:
            if key in self:
                return self[key]
            miss()
            return default

        def setdefault(self, key: Any, default: Any = None) -> Any:
            nonlocal quiet
            quiet += 1
            try:
                return super().setdefault(key, default)
            finally:
                quiet -= 1

        def pop(self, *arguments: Any, **named: Any) -> Any:
            nonlocal quiet
            quiet += 1
            try:
                return super().pop(*arguments, **named)
            finally:
                quiet -= 1

        def popitem(self) -> Any:
            nonlocal quiet
            quiet += 1
            try:
                item = super().popitem()
            finally:
                quiet -= 1
            if not quiet:
                evicted()
            return item

        def clear(self) -> None:
            nonlocal quiet
            quiet += 1  # some clear themselves by popitem()
            try:
                super().clear()
            finally:
                quiet -= 1

        if hasattr(plain, "__missing__"):

            def __missing__(self, key: Any) -> Any:
                return _Filled(super().__missing__(key))

    Counting.__name__, Counting.__qualname__ = plain.__name__, plain.__qualname__
    Counting.__module__, Counting.__doc__ = plain.__module__, plain.__doc__
    return Counting
