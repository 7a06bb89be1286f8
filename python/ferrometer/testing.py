"""For tests of metrics and collectors: a registry that is strict, a linter, one run at a time.

def test_my_collector() -> None:
    registry = PedanticRegistry()
    examine(lambda: MyCollector(registry=registry), registry)
    assert value(registry, "tickets_open", queue="urgent") == 3
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from ferrometer._process.run import Run, launch
from ferrometer.background.collector import Collector, attribute, check, clear
from ferrometer.exposition.formats import generate_latest
from ferrometer.metrics import conventions
from ferrometer.metrics.conventions import Family
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Enum, Gauge, Info, MetricWrapperBase

Sample: TypeAlias = "tuple[str, tuple[tuple[str, str], ...]]"
_C = TypeVar("_C", bound=Collector)


class PedanticRegistry(CollectorRegistry):
    """A registry that refuses, at its definition, a metric that breaks the naming conventions.

    ``allow``: names of metrics that may break them, for contracts that came from elsewhere. What can
    only be seen in values (duplicates, label sets that differ) is told by ``lint(registry)``.
    """

    def __init__(self, *, allow: Iterable[str] = ()) -> None:
        super().__init__(auto_describe=True)
        self.allow: frozenset[str] = frozenset(allow)

    def _note(self, metric: Any) -> None:
        family = Family(metric._name, metric._type, metric._documentation, tuple(metric._labelnames))
        if problems := conventions.of_definition(family, self.allow):
            raise ValueError("; ".join(problems))
        super()._note(metric)


def lint(source: CollectorRegistry | bytes | str, *, allow: Iterable[str] = ()) -> list[str]:
    """What is wrong with the metrics of a registry, or with a text exposition; one line each.

    The rules are promtool's (``promtool check metrics``), and: HELP and TYPE on every family, no series
    twice, the same label names in every series of a family, counters finite and not negative.
    """
    allowed = frozenset(allow)
    if isinstance(source, CollectorRegistry):
        if isinstance(source, PedanticRegistry):
            allowed |= source.allow
        source = generate_latest(source)
    text = source.decode() if isinstance(source, bytes) else source
    return conventions.of_text(text, allowed)


def samples(source: CollectorRegistry | bytes | str) -> dict[Sample, float]:
    """Every sample that a scrape would see, by name and sorted labels."""
    text = generate_latest(source) if isinstance(source, CollectorRegistry) else source
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text)
        for sample in family.samples
    }


def value(registry: CollectorRegistry, name: str, /, **labels: str) -> float:
    """The value of one sample; an AssertionError shows what there is under that name."""
    found = samples(registry)
    key = (name, tuple(sorted(labels.items())))
    if key not in found:
        names = sorted({n for n, _ in found})
        near = (
            [f"{n}{dict(pairs)}" for n, pairs in found if n == name]
            or difflib.get_close_matches(name, names, n=5)
            or names
        )
        raise AssertionError(f"there is no {name}{labels or ''}; there is {', '.join(near) or 'nothing'}")
    return found[key]


def reset(registry: CollectorRegistry = REGISTRY) -> None:
    """Sets every counter, histogram, summary and gauge of this process back to zero, the middleware's too.

    The series stay, and so do the objects: whoever holds a child goes on with it. Infos and enums stay as
    they are. Other workers keep what they counted.
    """
    registry._native.reset()


@contextmanager
def fresh(registry: CollectorRegistry = REGISTRY) -> Iterator[dict[Sample, float]]:
    """What a block of code adds, for tests of an application whose metrics others have used before.

    Yields a dictionary, which at the end of the block holds the samples that changed: the differences of
    counters, buckets, sums and counts, and of gauges too. Nothing is set back.
    """
    changed: dict[Sample, float] = {}
    before = samples(registry)
    yield changed
    for key, now in samples(registry).items():
        difference = now - before.get(key, 0.0)
        if difference and not key[0].endswith("_created"):
            changed[key] = difference


def collect(collector: Collector) -> None:
    """One run, as the scheduler would run it, but here: its error is raised.

    Raises TimeoutError when it takes longer than the collector's own ``timeout``. Not to be called on
    a running event loop: there, ``await collect_async(collector)``.
    """
    asyncio.run(collect_async(collector))


async def collect_async(collector: Collector) -> None:
    """``collect`` for a test that runs on an event loop."""
    run = Run(float(attribute(check(collector), "timeout")))
    launch(collector.collect, run, name=f"ferrometer-testing-{collector.name}")
    await run.wait()
    if run.outcome is None:
        raise TimeoutError(f"collector {collector.name!r}: no answer within {run.timeout:g} s")
    if run.outcome.error is not None:
        raise run.outcome.error


def examine(
    make: Callable[[], _C], registry: CollectorRegistry, *, allow: Iterable[str] = (), runs: int = 2
) -> _C:
    """Put a collector through what the scheduler will put it through; AssertionError lists what is wrong.

    It is made twice (a reload makes metrics again), opened, run ``runs`` times, linted, its values
    are dropped, and it is runs_done once more. What it showed at its best is back at the end, and the
    collector is returned, still open.
    """
    others = {
        metric._name for metric in registry._collector_to_names if isinstance(metric, MetricWrapperBase)
    }
    make()
    collector = make()
    check(collector)
    if callable(hook := getattr(collector, "open", None)):
        hook()
    problems: list[str] = []
    before: Mapping[Sample, float] = {}
    for _ in range(runs):
        collect(collector)
        now = samples(registry)
        problems += _counters_that_fell(registry, before, now)
        before = now
    if not before:
        problems.append(f"{collector.name}: no sample after {runs} runs")
    problems += lint(registry, allow=allow)
    clear(collector)
    problems += _still_shown(collector.name, registry, others)
    collect(collector)
    if missing := sorted({name for name, _ in before} - {name for name, _ in samples(registry)}):
        problems.append(f"{collector.name}: not back after clear(): {', '.join(missing)}")
    if problems:
        raise AssertionError("\n".join(problems))
    return collector


def _counters_that_fell(
    registry: CollectorRegistry, before: Mapping[Sample, float], now: Mapping[Sample, float]
) -> list[str]:
    return [
        f"{name}{dict(labels)}: a counter that fell from {before[name, labels]:g} to {after:g}"
        for (name, labels), after in now.items()
        if name.endswith("_total") and after < before.get((name, labels), after)
    ]


def _still_shown(collector: str, registry: CollectorRegistry, others: Collection[str]) -> list[str]:
    """The gauges that have a value although everything was dropped."""
    own = {m._name for m in registry._collector_to_names if isinstance(m, Gauge | Info | Enum)} - {*others}
    return [
        f"{collector}: clear() leaves {name}{dict(labels)} at {left:g}"
        for (name, labels), left in samples(registry).items()
        if name in own and left == left  # NaN is no value
    ]


__all__ = ["PedanticRegistry", "collect", "collect_async", "examine", "lint", "samples", "value"]
