"""What tokens cost: from the user's table, or from the package genai-prices; in whole pico-dollars."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from ferrometer.instruments.money import pico

Price: TypeAlias = "float | int | str | Decimal"
Model: TypeAlias = Mapping[str, "Price | Mapping[int, Price]"]

KINDS = ("input", "output", "cached", "cache_written")
"""What has a price: tokens of the prompt, of the answer, read from the provider's cache, written into it."""

_DAY = 86_400


class Tier(NamedTuple):
    """Pico-dollars per token, for requests with more input tokens than ``above``."""

    above: int
    input: int
    output: int
    cached: int
    cache_written: int


class Compiled(NamedTuple):
    """The tiers of a model, ascending."""

    tiers: tuple[Tier, ...]

    def cost(self, input_tokens: int, output_tokens: int, cached: int, cache_written: int) -> int:
        """Pico-dollars of a request; the tier of its input holds for all of it."""
        tier = self.tiers[0]
        for further in self.tiers[1:]:
            if input_tokens > further.above:
                tier = further
        fresh = max(0, input_tokens - cached - cache_written)
        return (
            fresh * tier.input
            + cached * tier.cached
            + cache_written * tier.cache_written
            + output_tokens * tier.output
        )


class Prices:
    """Prices by model, ``"model"`` or ``"provider/model"``, in USD per million tokens.

    ``{"llama": {"input": 0.5, "output": 1.5, "cached": 0.05, "cache_written": 0.6}}``; a price that
    depends on the size of the input is a mapping from the number of input tokens above which it holds:
    ``{"input": {0: 3, 200_000: 6}}``. Without ``cached`` or ``cache_written`` they cost what input does.

    ``catalogue=True`` asks the package genai-prices for models that the table lacks; its prices of a date
    hold until the date changes. Raises ValueError for a bad price, ImportError without the package.
    """

    def __init__(self, table: Mapping[str, Model] | None = None, *, catalogue: bool = False) -> None:
        self._table = {name: _compiled(name, model) for name, model in (table or {}).items()}
        self._catalogue: dict[tuple[str, str], Compiled | None] = {}
        self._day = -1
        self._ask: Any = None
        if catalogue:
            from ferrometer.instruments.price_catalogue import prices_of

            self._ask = prices_of

    def of(self, provider: str, model: str) -> Compiled | None:
        """The prices of a model today; None when nobody knows them."""
        found = self._table.get(f"{provider}/{model}") or self._table.get(model)
        if found is not None or self._ask is None:
            return found
        if (day := int(time.time() // _DAY)) != self._day:
            self._catalogue = {}
            self._day = day
        key = (provider, model)
        if key not in self._catalogue and len(self._catalogue) < 10_000:
            asked = self._ask(provider, model)
            self._catalogue[key] = compiled(asked) if asked else None
        return self._catalogue.get(key)


def compiled(prices: Mapping[str, Mapping[int, Decimal]]) -> Compiled:
    """From USD per million tokens, by kind and by the input above which they hold."""
    starts = sorted({0, *(start for tiers in prices.values() for start in tiers)})

    def at(kind: str, start: int) -> int | None:
        known = [price for above, price in sorted(prices.get(kind, {}).items()) if above <= start]
        # A dollar per million tokens is a million pico-dollars per token.
        return pico(known[-1] / 10**6, kind) if known else None

    tiers = []
    for start in starts:
        fresh = at("input", start) or 0
        cached, written = at("cached", start), at("cache_written", start)
        tiers.append(
            Tier(
                start,
                fresh,
                at("output", start) or 0,
                fresh if cached is None else cached,
                fresh if written is None else written,
            )
        )
    return Compiled(tuple(tiers))


def _compiled(name: str, model: Model) -> Compiled:
    if unknown := [kind for kind in model if kind not in KINDS]:
        raise ValueError(f"price of {name!r}: unknown kind {unknown[0]!r}; one of {', '.join(KINDS)}")
    return compiled(
        {
            kind: {
                int(start): _decimal(name, kind, one)
                for start, one in (price.items() if isinstance(price, Mapping) else ((0, price),))
            }
            for kind, price in model.items()
        }
    )


def _decimal(name: str, kind: str, price: Price) -> Decimal:
    try:
        value = Decimal(str(price))
    except ArithmeticError:
        value = Decimal("nan")
    if not value.is_finite() or value < 0:
        raise ValueError(f"price of {name!r}: {kind} must be finite and not negative, not {price!r}")
    return value
