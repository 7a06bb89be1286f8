"""What inference costs: by provider, by model, by tenant; exact to the micro-dollar."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from ferrometer.instruments.budget import Budget
from ferrometer.instruments.family import Families, checked_namespace, families_of
from ferrometer.instruments.made import Made
from ferrometer.instruments.money import Ledger, pico
from ferrometer.instruments.prices import Model, Prices
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferrometer.instruments.call import inference


class Costs:
    """The costs of a registry; ``costs()`` gets them.

    ``record`` adds an amount that is known; with prices, each ``inference`` with tokens adds its own.
    """

    cost_by_provider: Made[Gauge] = Made[Gauge]()
    cost_by_model: Made[Gauge] = Made[Gauge]()
    cost_by_tenant: Made[Gauge] = Made[Gauge]()
    ferrometer_cost_unknown_total: Made[Counter] = Made[Counter]()
    cost_budget_total_usd: Made[Gauge] = Made[Gauge]()
    cost_budget_used_usd: Made[Gauge] = Made[Gauge]()
    cost_budget_utilization: Made[Gauge] = Made[Gauge]()
    cost_budget_exhausted_timestamp_seconds: Made[Gauge] = Made[Gauge]()

    def __init__(self, families: Families, namespace: str | None) -> None:
        self._families = families
        self.namespace = namespace
        self.prices: Prices | None = None
        self.budgets: dict[str, Budget] = {}
        self._providers = Ledger(self.cost_by_provider)
        self._models = Ledger(self.cost_by_model)
        self._tenants = Ledger(self.cost_by_tenant)

    def __repr__(self) -> str:
        return f"Costs({self.namespace or ''!r})"

    def record(
        self, usd: float | Decimal, *, provider: str, model: str | None = None, tenant: str | None = None
    ) -> None:
        """Adds an amount in USD. Raises ValueError for one that is negative or not finite."""
        self._add(pico(usd), provider, model, tenant)

    def _add(self, amount: int, provider: str, model: str | None, tenant: str | None) -> None:
        self._providers.add(provider, amount)
        if model is not None:
            self._models.add(model, amount)
        if tenant is not None:
            self._tenants.add(tenant, amount)
            if (budget := self.budgets.get(tenant)) is not None:
                budget.look(soon=True)

    def ended(self, call: inference) -> None:
        """An inference has ended: what its tokens cost is added."""
        if self.prices is None or (call.input_tokens is None and call.output_tokens is None):
            return
        price = self.prices.of(call.provider, call.model)
        if price is None:
            self.ferrometer_cost_unknown_total.labels(call.provider, call.model).inc()
            return
        amount = price.cost(
            int(call.input_tokens or 0),
            int(call.output_tokens or 0),
            int(call.cached_tokens or 0),
            int(call.cache_written_tokens or 0),
        )
        self._add(amount, call.provider, call.model, call.tenant)

    def budget(
        self,
        tenant: str,
        usd: float,
        *,
        thresholds: Sequence[float] = (0.8, 1.0),
        on_threshold: Callable[[str, float, float], object] | None = None,
        period: str = "",
    ) -> Budget:
        """What a tenant may spend from now on, in all workers together.

        Every worker makes the same one; the first begins it. Another amount or ``period``, such as
        ``"2026-11"``, is another budget, which replaces this one and begins at zero.

        ``on_threshold(tenant, threshold, utilization)`` is called once for each threshold that is passed, by
        the worker that sees it first. Raises ValueError for an amount or threshold that is not above 0.
        """
        made = Budget(self, tenant, usd, thresholds, on_threshold, period)
        self.budgets[tenant] = made
        made.look()
        return made

    def sweep(self) -> None:
        """Looks at all budgets: other workers spend, too."""
        for budget in list(self.budgets.values()):
            budget.look()


def costs(
    prices: Prices | Mapping[str, Model] | None = None,
    *,
    namespace: str | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Costs:
    """The costs of a registry, made at the first call; ``prices`` replace those of before.

    ``namespace`` stands before the names; without it, that of ``Instruments()`` at its application.
    Raises ValueError for a bad namespace or price.
    """
    families = families_of(registry)
    if families.costs is None:
        families.costs = Costs(families, checked_namespace(namespace))
        families.listeners.append(families.costs.ended)
    made: Costs = families.costs
    if prices is not None:
        made.prices = prices if isinstance(prices, Prices) else Prices(prices)
    return made
