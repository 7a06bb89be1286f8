"""What only the application knows: inference, tokens, cost, budgets, tools, storage, sign-ins.

``get_metrics_exporter("gateway")`` records the families of docs/instruments.md, one method each.
"""

from __future__ import annotations

from ferrometer.instruments.call import inference
from ferrometer.instruments.call_end import CallEnd, observe
from ferrometer.instruments.cost import Costs, costs
from ferrometer.instruments.exporter import MetricsExporter, get_metrics_exporter
from ferrometer.instruments.prices import Prices
from ferrometer.instruments.watching import watch

__all__ = [
    "CallEnd",
    "Costs",
    "MetricsExporter",
    "Prices",
    "costs",
    "get_metrics_exporter",
    "inference",
    "observe",
    "watch",
]
