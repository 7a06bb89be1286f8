"""``watch(client)``: measures one client object, whatever it is a client of."""

from __future__ import annotations

from typing import Any, TypeVar

from ferrometer.instruments.sdk_answers import ANTHROPIC, OPENAI
from ferrometer.instruments.sdk_client import watch_sdk
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

_C = TypeVar("_C")


def watch(client: _C, *, provider: str | None = None, registry: CollectorRegistry = REGISTRY) -> _C:
    """Measures the calls of a client of ``openai`` or ``anthropic``, and returns it.

    Sync or async, streams, raw answers, and clients derived with ``copy`` or ``with_options`` are seen; the
    objects keep their types. ``provider`` is what the provider is called, where the SDK's own name is wrong.
    A second time does nothing. No prompt and no key gets into a label.

    Raises TypeError for any other object.
    """
    modules = {kind.__module__.partition(".")[0] for kind in type(client).__mro__}
    target: Any = client
    if callable(getattr(client, "request", None)) and hasattr(client, "with_options"):
        if "openai" in modules:
            watch_sdk(target, OPENAI, provider, registry)
            return client
        if "anthropic" in modules:
            watch_sdk(target, ANTHROPIC, provider, registry)
            return client
    raise TypeError(f"cannot watch {type(client).__name__}: it is no client of openai or anthropic")
