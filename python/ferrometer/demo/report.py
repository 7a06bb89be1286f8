"""The words and tables of the demo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ferrometer.demo.database import POOL
from ferrometer.demo.jobs import Jobs
from ferrometer.demo.model import NAMES
from ferrometer.demo.overhead import Overhead
from ferrometer.demo.providers import FAILING, Upstreams
from ferrometer.demo.scrape import Seen
from ferrometer.demo.service import NAMESPACE
from ferrometer.demo.stores import Stores

CallQuantile = Callable[[str, dict[str, str], float], float]
"""Seconds at a quantile of one kind of call: family, labels, quantile."""

Quantile = Callable[[str, str, float], float]
"""Seconds at a quantile of one route: method, route, quantile."""

_QUANTILES = (0.5, 0.95, 0.99)


def table(seen: Seen, quantile: Quantile) -> str:
    """What every route did, one line each, and the total."""
    rows = [("route", "requests", "4xx", "5xx", "p50", "p95", "p99")]
    answers = seen.answers()
    for method, route in sorted({(method, route) for method, route, _ in answers}, key=lambda key: key[::-1]):
        own = {s: n for (m, r, s), n in answers.items() if (m, r) == (method, route)}
        p50, p95, p99 = (_duration(quantile(method, route, q)) for q in _QUANTILES)
        rows.append((f"{method} {route}", *_counts(own.items()), p50, p95, p99))
    every = [(status, count) for (_, _, status), count in answers.items()]
    overall = f"{NAMESPACE}_request_duration_milliseconds"
    p50, p95, p99 = (_duration(seen.total(overall, quantile=str(q)) / 1000) for q in _QUANTILES)
    rows.append(("all routes", *_counts(every), p50, p95, p99))
    return "\n".join(_aligned(rows))


def beside(seen: Seen) -> str:
    """What has no place in the table: websockets, clients that hung up, what is in flight."""
    websockets = seen.total("websocket_connections_total", outcome="accepted")
    received = seen.total("websocket_messages_total", direction="received")
    sent = seen.total("websocket_messages_total", direction="sent")
    return "\n".join(
        (
            f"  websockets  {websockets:.0f}, with {received:.0f} messages received and {sent:.0f} sent",
            f"  exceptions  {seen.total('http_exceptions_total'):.0f}",
            f"  hung up     {seen.total('http_client_disconnects_total'):.0f} clients, in mid-stream",
            f"  in flight   {seen.total('http_requests_in_flight'):.0f}",
        )
    )


def foundation(found: Stores) -> str:
    """What the gateway stands on."""
    running = " and ".join(
        f"{store.name} {store.version}" for store in (found.database, found.cache) if store
    )
    lines = [f"On {running}, started for it and stopped with it."] if running else []
    return "\n".join([*lines, *found.remarks]) or "On SQLite, in memory."


def calls(seen: Seen, quantile: CallQuantile, found: Stores) -> str:
    """What the gateway asked its database and its cache, and how long it took, as it saw it."""
    rows: list[Sequence[str]] = [("calls", "", "errors", "p50", "p95", "p99")]
    for operation in seen.labels("db_queries_total", "operation"):
        name = found.database.name if found.database else "SQLite"
        families = ("db_queries_total", "db_query_errors_total", "db_query_duration_seconds")
        labels = {"pool": POOL, "operation": operation}
        rows.append((f"{name} {operation}", *_timed(seen, quantile, families, labels)))
    for operation in seen.labels("redis_operation_duration_seconds_count", "operation"):
        name = found.cache.name if found.cache else "Valkey"
        families = (
            "redis_operation_duration_seconds_count",
            "redis_errors_total",
            "redis_operation_duration_seconds",
        )
        rows.append((f"{name} {operation}", *_timed(seen, quantile, families, {"operation": operation})))
    return "\n".join(_aligned(rows))


def below(seen: Seen, found: Stores) -> str:
    """What the database and the cache say about themselves."""
    hits, misses = (seen.total(f"{NAMESPACE}_cache_{what}") for what in ("hits", "misses"))
    opened, most = seen.total("db_pool_connections"), seen.total("db_pool_connections_max")
    pool = f"pool of {most:.0f} with {opened:.0f} open"
    lines = [f"  cache       {hits:.0f} hits, {misses:.0f} misses"]
    if found.database:
        committed = seen.total("postgres_transactions_total", outcome="commit")
        size = seen.total("postgres_database_size_bytes") / 2**20
        lines.append(
            f"  {found.database.name}  {pool}, {seen.total('postgres_connections'):.0f} connections in all, "
            f"{committed:.0f} transactions, {size:.1f} MiB"
        )
    else:
        lines.append(f"  SQLite      {pool}")
    if found.cache:
        memory = seen.total("redis_memory_used_bytes") / 2**20
        lines.append(
            f"  {found.cache.name.ljust(10)}  {seen.total('redis_commands_processed_total'):.0f} commands, "
            f"{seen.total('redis_db_keys'):.0f} keys, {memory:.1f} MiB, "
            f"{seen.total('redis_connected_clients'):.0f} clients"
        )
    return "\n".join(lines)


def models(seen: Seen, quantile: CallQuantile) -> str:
    """What each made-up model answered: tokens, their cost, and how long the first one took."""
    rows: list[Sequence[str]] = [
        ("models", "answers", "tokens in", "out", "cost", "first token p50", "p95", "p99")
    ]
    for name in NAMES:
        first = (
            _duration(quantile("inference_time_to_first_token_seconds", {"model": name}, q))
            for q in _QUANTILES
        )
        read, written = (
            f"{seen.total('inference_tokens_total', model=name, type=kind):.0f}"
            for kind in ("prompt", "completion")
        )
        cost = seen.total(f"{NAMESPACE}_cost_by_model", model=name)
        answers = seen.total("inference_requests_total", model=name)
        rows.append((name, f"{answers:.0f}", read, written, f"{cost:.6f} USD", *first))
    return "\n".join(_aligned(rows))


def providers(upstreams: Upstreams, seen: Seen) -> str:
    """How the made-up providers did, and what became of the one that failed."""
    failed = f"{FAILING} failed for a while: its breaker opened, refused calls, tried one, and closed."
    return "\n".join((*_aligned(upstreams.rows(seen, NAMESPACE)), "", failed))


def jobs(worker: Jobs, seen: Seen) -> str:
    """What became of the worker's jobs."""
    killed = "The worker was killed within a job, which counts as lost."
    return "\n".join((*_aligned(worker.rows(seen, NAMESPACE)), "", killed))


def _timed(
    seen: Seen, quantile: CallQuantile, families: tuple[str, str, str], labels: dict[str, str]
) -> tuple[str, ...]:
    """Calls, errors and percentiles of one kind of call."""
    counted, errors, timed = families
    failed = seen.total(errors, **labels)
    shown = (_duration(quantile(timed, labels, q)) for q in _QUANTILES)
    return (f"{seen.total(counted, **labels):.0f}", f"{failed:.0f}" if failed else "", *shown)


def price(cost: Overhead) -> str:
    """The overhead per request, with its floor beside it."""
    rows = [
        ("the bare ASGI application", f"{cost.application:.0f} ns", ""),
        ("+ an empty Python middleware", f"+ {cost.empty:.0f} ns", ""),
        (
            "+ Ferrometer, everything on",
            f"+ {cost.measured:.0f} ns",
            _times(cost.measured, cost.empty),
        ),
        ("+ Ferrometer, sample=0.01", f"+ {cost.sampled:.0f} ns", _times(cost.sampled, cost.empty)),
    ]
    return "\n".join(_aligned(rows))


def urls(base: str) -> str:
    """Where to look while the demo is running."""
    return "\n".join(
        (
            f"  {base}/metrics   what Prometheus scrapes; {NAMESPACE}_* beside http_*",
            f"  {base}/stats     the same numbers as JSON, with p50, p95 and p99",
            f"  {base}/health    200, or 503 when a check fails",
            f"  {base}/monitor   health and numbers on one page",
            f"  {base}/polling   the cheapest one, for dashboards that ask every second",
            f"  {base}/models/stats  tokens, cost and times of each model",
            f"  {base}/docs      the gateway itself; try it and watch the numbers move",
        )
    )


def _counts(statuses: Iterable[tuple[int, int]]) -> tuple[str, str, str]:
    """Requests, those answered with 4xx and with 5xx, of pairs of status and count."""
    pairs = list(statuses)
    client, server = (sum(n for status, n in pairs if status // 100 == first) for first in (4, 5))
    return str(sum(n for _, n in pairs)), str(client or ""), str(server or "")


def _times(own: float, empty: float) -> str:
    # On a machine that is busy otherwise the difference of two times can come out as anything.
    return f"{own / empty:.2f} x empty" if own > 0 < empty else "too noisy to compare"


def _duration(seconds: float) -> str:
    if seconds != seconds:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """First column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join(("", first.ljust(widths[0]), *cells)).rstrip()
