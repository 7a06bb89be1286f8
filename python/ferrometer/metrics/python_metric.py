"""A program's own type of metric: a subclass of ``MetricWrapperBase`` itself, written in Python.

It has no cells. prometheus_client's methods make it what it is there: a collector with children of its own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def adopt(cls: type, base: type, default_registry: Any) -> None:
    """Give a direct subclass of our base the methods that prometheus_client's base has."""
    from prometheus_client.metrics import MetricWrapperBase as Peer

    for name in dir(base):
        value = getattr(base, name)
        if isinstance(value, property) and name not in cls.__dict__:
            setattr(cls, name, None)  # here it is an attribute of each object
    for name, value in vars(Peer).items():
        if callable(value) and name not in cls.__dict__:
            setattr(cls, name, value)
    cls.__hash__ = object.__hash__  # type: ignore[method-assign,assignment]
    construct = cls.__init__  # type: ignore[misc]

    if construct is Peer.__init__:

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            if len(args) <= 6:
                kwargs.setdefault("registry", default_registry)
            construct(self, *args, **kwargs)

        cls.__init__ = init  # type: ignore[misc]
