"""The prices of the package genai-prices; the extra ``ferrometer[prices]``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

try:
    from genai_prices import Usage, calc_price
except ImportError as error:
    raise ImportError(
        'the catalogue of prices needs genai-prices: pip install "ferrometer[prices]"'
    ) from error

_KINDS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_written": "cache_write_mtok",
}


def prices_of(provider: str, model: str) -> dict[str, dict[int, Decimal]] | None:
    """Today's USD per million tokens, by kind and by the input above which they hold; None without any."""
    try:
        price: Any = calc_price(
            Usage(input_tokens=1, output_tokens=1), model_ref=model, provider_id=provider or None
        ).model_price
    except LookupError:
        return None
    found = {kind: tiers for kind, name in _KINDS.items() if (tiers := _tiers(getattr(price, name, None)))}
    return found or None


def _tiers(price: Any) -> dict[int, Decimal]:
    if price is None:
        return {}
    if hasattr(price, "tiers"):
        return {0: Decimal(str(price.base))} | {tier.start: Decimal(str(tier.price)) for tier in price.tiers}
    return {0: Decimal(str(price))}
