"""Ready-made rules for the metrics of this library: ``Alerts(packs=["service"])``.

Thresholds, durations and severities are those that teams with such services wrote down. What a service does
not have, such as a cache or a GPU, makes no alert.
"""

from __future__ import annotations

from collections.abc import Mapping

from ferrometer.alerts.catalogue import capacity, gateway, itself, jobs, platform, providers, service, staging
from ferrometer.alerts.catalogue.ready_made import ReadyMade
from ferrometer.alerts.rule import Group, Rule

PACKS: Mapping[str, tuple[ReadyMade, ...]] = {
    "service": service.RULES,
    "gateway": gateway.RULES,
    "platform": platform.RULES,
    "staging": staging.RULES,
    "jobs": jobs.RULES,
    "providers": providers.RULES,
    "ferrometer": itself.RULES,
    "capacity": capacity.RULES,
}
#: What is recorded for the alerts of a pack, and how often, where that is not as usual.
_RECORDS: Mapping[str, tuple[Rule, ...]] = {"capacity": capacity.RECORDS}
_INTERVALS: Mapping[str, str] = {"capacity": "5m"}

#: Those that do not say the same of one thing twice.
USUAL = ("service", "platform", "jobs", "providers", "ferrometer")


def pack(name: str, runbooks: str = "") -> Group:
    """The rules of a pack. ``runbooks`` is the address of docs/runbooks where one's own readers find it.

    Raises ValueError for a name that none has.
    """
    if name not in PACKS:
        raise ValueError(f"[alerts] packs: there is no pack {name!r}; there are {', '.join(sorted(PACKS))}")
    base = runbooks.rstrip("/")
    rules = [*_RECORDS.get(name, ())]
    for one in PACKS[name]:
        annotations = {"summary": one.summary, "description": one.description}
        if base:
            annotations["runbook_url"] = f"{base}/{name}.html#{one.alert.lower()}"
        rules.append(
            Rule(
                alert=one.alert,
                expr=one.expr,
                wait=one.wait,
                labels={"severity": one.severity},
                annotations=annotations,
            )
        )
    return Group(name=name, rules=tuple(rules), interval=_INTERVALS.get(name), file=f"pack {name}")
