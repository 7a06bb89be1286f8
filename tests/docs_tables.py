"""The tables of the documentation, printed from the definitions: ``python -m tests.docs_tables`` writes them.

Names, types and labels of metrics come from the families, settings from the options of the features,
commands from the argument parser. What a row says beside that is the page's own.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from celery import Celery

from ferrometer import CollectorRegistry, CollectorScheduler, MetricsMiddleware
from ferrometer._core import HttpMetrics
from ferrometer._runtime.options import Option, options
from ferrometer._runtime.sections import feature_class, sections
from ferrometer.cli.main import parser
from ferrometer.collectors.defaults import default_collectors
from ferrometer.collectors.gpu.collector import GpuCollector
from ferrometer.collectors.postgres import PgBouncerCollector, PostgresCollector
from ferrometer.collectors.redis import CeleryCollector, RedisCollector, RQCollector
from ferrometer.collectors.redis.client import _Commands
from ferrometer.collectors.redis.pool import RedisPool
from ferrometer.collectors.sql.metrics import ClientMetrics, PoolMetrics, PoolState
from ferrometer.export.remote_write import RemoteWrite
from ferrometer.generate.deployment import GenerateSettings
from ferrometer.health.shared import SharedResults
from ferrometer.instruments import tables as instruments
from ferrometer.instruments.family import families_of
from ferrometer.stats.service import ServiceStats
from tests.middleware.asgi import Receive, Scope, Send, body, http_scope, request, start, websocket_scope

DOCS = Path(__file__).resolve().parents[1] / "docs"
NAMESPACE = "gpuproxy"
#: Labels that a page names once, above tables that list further ones.
COMMON = {"gpu_id", "server"}


class Family(NamedTuple):
    """What a table shows of a metric."""

    kind: str
    labels: tuple[str, ...]


Families = dict[str, Family]


def families() -> Families:
    """Every family that the documentation has a row for, by its name in the text exposition."""
    two_applications = _made(lambda registry: [HttpMetrics(registry, name) for name in (None, NAMESPACE)])
    registries = [two_applications, of_requests(), *map(_made, _COLLECTORS)]
    found: Families = {}
    for registry in registries:
        for family in registry.collect():
            defined = registry._names_to_collectors.get(family.name)
            names = getattr(defined, "_labelnames", None)
            if names is None:  # native code defines it: its series tell
                seen = {name: None for sample in family.samples for name in sample.labels}
                names = tuple(name for name in seen if name not in ("le", "quantile"))
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            kind = "gauge" if family.type in ("info", "stateset") else family.type
            found[family.name + suffix] = Family(kind, tuple(names))
    return found


_COLLECTORS: tuple[Callable[[CollectorRegistry], object], ...] = (
    lambda registry: default_collectors(registry),
    lambda registry: GpuCollector(registry=registry, namespace=NAMESPACE),
    lambda registry: PostgresCollector("postgresql://db/app", registry=registry),
    lambda registry: PgBouncerCollector("postgresql://db/pgbouncer", registry=registry),
    lambda registry: RedisCollector("redis://cache", registry=registry),
    lambda registry: RQCollector("redis://cache", registry=registry, queues=["jobs"]),
    lambda registry: CeleryCollector(Celery("jobs", broker="redis://cache"), registry=registry),
    lambda registry: ClientMetrics("pool", registry=registry, namespace=NAMESPACE),
    lambda registry: PoolMetrics("pool", _no_pool, None, registry),
    lambda registry: RedisPool(None, "pool", registry),
    lambda registry: _Commands(registry),
    lambda registry: ServiceStats(NAMESPACE, registry),
    lambda registry: RemoteWrite("http://receiver/write", registry=registry),
    lambda registry: SharedResults(registry),
    lambda registry: CollectorScheduler([], registry=registry),
    lambda registry: [
        families_of(registry).make(family, NAMESPACE) for family in instruments.FAMILIES.values()
    ],
)


def _no_pool() -> PoolState:
    return PoolState(0, 0, None)


def _made(make: Callable[[CollectorRegistry], object]) -> CollectorRegistry:
    registry = CollectorRegistry()
    make(registry)
    return registry


def of_requests() -> CollectorRegistry:
    """A registry in which each family of the middleware has a series."""
    registry = CollectorRegistry()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "hello"})
            await send({"type": "websocket.close"})
        elif scope["path"] == "/raise":
            raise RuntimeError
        elif scope["path"] == "/cancel":
            raise asyncio.CancelledError
        elif scope["path"] == "/disconnect":
            await receive()
            await receive()
        else:
            await receive()
            await send(start())
            await send(body(b"a", more=True))
            await asyncio.sleep(0)
            await send(body(b"b"))
            await asyncio.sleep(0)  # what comes after the response is timed apart

    async def drive() -> None:
        app = MetricsMiddleware(serve, registry=registry, namespace=NAMESPACE)
        for path in ("/", "/raise", "/cancel", "/disconnect"):
            scope = http_scope(path, "POST", [(b"content-length", b"1")])
            incoming = {"type": "http.request", "body": b"x", "more_body": False}
            with suppress(RuntimeError, asyncio.CancelledError):
                await request(app, scope, incoming, {"type": "http.disconnect"})
        await request(app, websocket_scope(), {"type": "websocket.connect"})

    asyncio.run(drive())
    return registry


# Settings and commands.


def settings_classes() -> dict[str, type]:
    """What each section of the configuration may hold; last, those that only a command reads."""
    made: dict[str, type] = {section: feature_class(section).Settings for section in sections()}
    return {**made, "generate": GenerateSettings}


def settings() -> Iterator[str]:
    """A table for each section."""
    for section, one in settings_classes().items():
        yield f"## [{section}]\n\n{one.__doc__}\n\n" + _table(
            ("key", "default", "value", "environment", "what"), map(_setting, options(section, one))
        )


def _setting(one: Option) -> Iterable[str]:
    default = "" if one.default is None else f"`{_toml(one.default)}`"
    return f"`{one.name}`", default, one.form.name, ", ".join(f"`{v}`" for v in one.variables), one.help


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)


def commands() -> Iterator[str]:
    """A section for each command."""
    (choices,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    told = {choice.dest: choice.help or "" for choice in choices._choices_actions}
    for name, command in choices.choices.items():
        rows = [_argument(action) for action in command._actions if action.dest != "help"]
        yield f"## ferrometer {name}\n\n{_sentence(told[name])}\n" + (
            "\n" + _table(("argument", "what"), rows) if rows else ""
        )


def _argument(action: argparse.Action) -> Iterable[str]:
    value = f" {action.metavar or action.dest.upper()}" if action.nargs != 0 and not action.choices else ""
    value = f" {{{','.join(map(str, action.choices))}}}" if action.choices else value
    names = ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{action.dest}`"
    return names, (action.help or "") % {"default": action.default}


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def instruments_tables() -> Iterator[str]:
    """A table for each domain of the instruments."""
    for domain, declared in instruments.DOMAINS.items():
        rows = [
            (
                f"`{families_of().name(family, NAMESPACE)}`",
                family.kind,
                ", ".join(family.labels),
                family.mode,
                family.help,
            )
            for family in declared
        ]
        yield f"### {domain}\n\n" + _table(("metric", "type", "labels", "workers", "what"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "".join(
        "|" + "|".join(cell if cell == "---" else f" {cell} " if cell else " " for cell in line) + "|\n"
        for line in lines
    )


# Pages.

_ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\|(.*)$")


def with_metrics(page: str, known: Mapping[str, Family]) -> str:
    """The page with the types and labels that its tables of metrics should have.

    Raises KeyError for a row about a metric that nothing defines.
    """
    lines: list[str] = []
    columns: list[str] = []
    for line in page.split("\n"):
        if line.startswith("| metric | type |"):
            columns = [cell.strip() for cell in line.strip("|").split("|")]
        elif not line.startswith("|"):
            columns = []
        row = _ROW.match(line) if columns else None
        lines.append(line if row is None else _metric(row, columns, known))
    return "\n".join(lines)


def _metric(row: re.Match[str], columns: list[str], known: Mapping[str, Family]) -> str:
    name, _, rest = row.groups()
    family = known[name]
    if "label" in columns[2]:
        labels, _, rest = rest.partition("|")
        names = [label for label in family.labels if columns[2] == "labels" or label not in COMMON]
        shown = [label.strip() for label in labels.split(",")]
        # An order is the page's to choose; and what an info tells are labels, too, of the moment.
        if sorted(shown) == sorted(names) or name.endswith("_info"):
            names = shown
        rest = f" {', '.join(names)} |{rest}" if names else f" |{rest}"
    return f"| `{name}` | {family.kind} |{rest}"


def printed() -> dict[Path, str]:
    """What each page with tables should hold."""
    known = families()
    pages = {file: with_metrics(file.read_text(), known) for file in sorted(DOCS.glob("*.md"))}
    for name, sections_of in (
        ("settings", settings),
        ("commands", commands),
        ("instruments", instruments_tables),
    ):
        file = DOCS / f"{name}.md"
        before, mark, _ = pages[file].partition("<!-- printed by tests/docs_tables.py -->\n")
        pages[file] = before + mark + "\n" + "\n".join(sections_of())
    return pages


def main() -> None:
    """Writes the pages that differ."""
    for file, text in printed().items():
        if file.read_text() != text:
            file.write_text(text)
            print(f"{file.relative_to(DOCS.parent)} is written anew")


if __name__ == "__main__":
    main()
