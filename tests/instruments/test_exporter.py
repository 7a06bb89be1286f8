"""The exporter: what each method records, read by prometheus_client's parser; and what it refuses."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ferrometer import CollectorRegistry, HttpMetrics, Instruments, generate_latest, instrument
from ferrometer.instruments import MetricsExporter, get_metrics_exporter
from ferrometer.instruments.tables import FAMILIES
from tests.workers.test_forks import run


@pytest.fixture
def metrics(registry: CollectorRegistry) -> MetricsExporter:
    return get_metrics_exporter("gateway", registry=registry)


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """What a scrape shows and is not zero: buckets, creation times and the library's own left out."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")) and not sample.name.startswith(
                "ferrometer_"
            ):
                labels = ",".join(sample.labels[name] for name in _order(sample.name, sample.labels))
                if sample.value:
                    found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def _order(name: str, labels: dict[str, str]) -> Iterable[str]:
    """The order in which the family declares its labels."""
    family = FAMILIES.get(name.removesuffix("_count").removesuffix("_sum"))
    return family.labels if family else labels


CALLS: list[tuple[Callable[[MetricsExporter], object], dict[str, float]]] = [
    (
        lambda m: m.record_http_request("POST", "/v1/chat", 200, 0.125),
        {
            "http_requests_total{POST,/v1/chat,200}": 1,
            "http_request_duration_seconds_count{POST,/v1/chat}": 1,
            "http_request_duration_seconds_sum{POST,/v1/chat}": 0.125,
        },
    ),
    (
        lambda m: m.record_inference(
            "llama-3.3-8b", "success", 0.250, prompt_tokens=100, completion_tokens=50, batch_size=4
        ),
        {
            "inference_requests_total{llama-3.3-8b,success}": 1,
            "inference_duration_seconds_count{llama-3.3-8b}": 1,
            "inference_duration_seconds_sum{llama-3.3-8b}": 0.25,
            "inference_tokens_total{llama-3.3-8b,prompt}": 100,
            "inference_tokens_total{llama-3.3-8b,completion}": 50,
            "inference_batch_size_count{llama-3.3-8b}": 1,
            "inference_batch_size_sum{llama-3.3-8b}": 4,
        },
    ),
    (
        lambda m: m.record_mcp_operation("github", "search", "success", 0.05),
        {
            "mcp_requests_total{github,search,success}": 1,
            "mcp_operation_duration_seconds_count{github,search}": 1,
            "mcp_operation_duration_seconds_sum{github,search}": 0.05,
        },
    ),
    (
        lambda m: m.record_memory_operation("search", "success", 0.5, results=7),
        {
            "memory_operations_total{search,success}": 1,
            "memory_operation_duration_seconds_count{search}": 1,
            "memory_operation_duration_seconds_sum{search}": 0.5,
            "memory_search_results_count{}": 1,
            "memory_search_results_sum{}": 7,
        },
    ),
    (lambda m: m.update_memory_items("user7", 12), {"memory_items_total{user7}": 12}),
    (
        lambda m: m.update_budget("session123", 1_000_000, 1_250_000),
        {
            "memory_budget_total_bytes{session123}": 1e6,
            "memory_budget_used_bytes{session123}": 1.25e6,
            "memory_budget_utilization{session123}": 1.25,
        },
    ),
    (
        lambda m: m.update_drift_score("llama-3.3-8b", 0.18, "warning", 5.0),
        {
            "drift_score{llama-3.3-8b}": 0.18,
            "drift_checks_total{llama-3.3-8b,warning}": 1,
            "drift_detection_duration_seconds_count{}": 1,
            "drift_detection_duration_seconds_sum{}": 5,
        },
    ),
    (
        lambda m: m.record_router_decision("small", "cheapest", 0.002),
        {
            "router_decisions_total{small,cheapest}": 1,
            "router_decision_duration_seconds_count{}": 1,
            "router_decision_duration_seconds_sum{}": 0.002,
        },
    ),
    (lambda m: m.update_queue_depth(3), {"request_queue_depth{gateway}": 3}),
    (
        lambda m: m.record_queue_wait(0.5),
        {"request_queue_wait_seconds_count{gateway}": 1, "request_queue_wait_seconds_sum{gateway}": 0.5},
    ),
    (lambda m: m.record_cache_hit("prompts"), {"cache_hits_total{prompts}": 1}),
    (lambda m: m.record_cache_miss("prompts"), {"cache_misses_total{prompts}": 1}),
    (lambda m: m.record_authentication("password"), {"authentication_attempts_total{password}": 1}),
    (
        lambda m: m.record_authentication("password", "unknown_user"),
        {
            "authentication_attempts_total{password}": 1,
            "authentication_failures_total{password,unknown_user}": 1,
        },
    ),
    (lambda m: m.record_jwt_failure("expired"), {"jwt_validation_failures_total{expired}": 1}),
    (
        lambda m: m.record_webhook(1.5, retries=2),
        {
            "webhooks_delivered_total{}": 1,
            "webhook_retries_total{}": 2,
            "webhook_duration_seconds_count{}": 1,
            "webhook_duration_seconds_sum{}": 1.5,
        },
    ),
    (
        lambda m: m.record_webhook(1.5, failure="timeout"),
        {
            "webhooks_failed_total{timeout}": 1,
            "webhook_duration_seconds_count{}": 1,
            "webhook_duration_seconds_sum{}": 1.5,
        },
    ),
    (lambda m: m.record_s3_operation("upload"), {"s3_operations_total{upload,success}": 1}),
    (
        lambda m: m.record_s3_operation("upload", "error", 0.5),
        {
            "s3_operations_total{upload,error}": 1,
            "s3_operation_duration_seconds_count{upload}": 1,
            "s3_operation_duration_seconds_sum{upload}": 0.5,
        },
    ),
    (lambda m: m.record_s3_presign("error"), {"s3_presign_operations_total{error}": 1}),
    (lambda m: m.record_redis_enqueue(), {"redis_enqueue_operations_total{success}": 1}),
    (lambda m: m.record_replicate_call("error"), {"replicate_api_calls_total{error}": 1}),
    (lambda m: m.record_image_error("decode"), {"image_processing_errors_total{decode}": 1}),
    (lambda m: m.update_gpu_utilization("0", 97.5), {"gpu_utilization_percent{0}": 97.5}),
    (lambda m: m.update_storage("uploads", 2048), {"storage_used_bytes{uploads}": 2048}),
]


@pytest.mark.parametrize(("call", "expected"), CALLS)
def test_a_call_records_exactly_this(
    call: Callable[[MetricsExporter], object],
    expected: dict[str, float],
    metrics: MetricsExporter,
    registry: CollectorRegistry,
) -> None:
    call(metrics)
    assert samples(registry) == pytest.approx(expected)


def test_every_family_has_a_method_that_records_it(registry: CollectorRegistry) -> None:
    metrics = get_metrics_exporter("gateway", registry=registry, ttl=600)
    for call, _ in CALLS:
        call(metrics)
    shown = {name.partition("{")[0] for name in samples(registry)} | {"ferrometer_instruments_ignored_total"}
    families = FAMILIES.keys() & vars(MetricsExporter).keys()
    assert len(families) > 35
    assert {name for name in families if not {name, f"{name}_count"} & shown} == set()


def test_unknown_tokens_are_absent_and_zero_is_shown(
    metrics: MetricsExporter, registry: CollectorRegistry
) -> None:
    metrics.record_inference("m", "error", 0.1)
    assert "inference_tokens_total{" not in generate_latest(registry).decode()
    metrics.record_inference("m", "success", 0.1, prompt_tokens=0, completion_tokens=0)
    assert 'inference_tokens_total{model="m",type="prompt"} 0.0' in generate_latest(registry).decode()


BAD: list[tuple[str, Callable[[MetricsExporter, Any], object]]] = [
    ("duration", lambda m, x: m.record_http_request("GET", "/", 200, x)),
    ("duration", lambda m, x: m.record_inference("m", "success", x)),
    ("prompt_tokens", lambda m, x: m.record_inference("m", "success", 1, prompt_tokens=x)),
    ("completion_tokens", lambda m, x: m.record_inference("m", "success", 1, completion_tokens=x)),
    ("batch_size", lambda m, x: m.record_inference("m", "success", 1, batch_size=x)),
    ("duration", lambda m, x: m.record_mcp_operation("s", "o", "success", x)),
    ("duration", lambda m, x: m.record_memory_operation("o", "success", x)),
    ("results", lambda m, x: m.record_memory_operation("o", "success", 1, results=x)),
    ("items", lambda m, x: m.update_memory_items("u", x)),
    ("total_bytes", lambda m, x: m.update_budget("s", x, 1)),
    ("used_bytes", lambda m, x: m.update_budget("s", 1, x)),
    ("duration", lambda m, x: m.update_drift_score("m", 0.1, "ok", x)),
    ("duration", lambda m, x: m.record_router_decision("m", "r", x)),
    ("depth", lambda m, x: m.update_queue_depth(x)),
    ("seconds", lambda m, x: m.record_queue_wait(x)),
    ("duration", lambda m, x: m.record_webhook(x)),
    ("retries", lambda m, x: m.record_webhook(1, retries=x)),
    ("duration", lambda m, x: m.record_s3_operation("upload", "success", x)),
    ("percent", lambda m, x: m.update_gpu_utilization("0", x)),
    ("used_bytes", lambda m, x: m.update_storage("s", x)),
]


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("argument", "call"), BAD)
def test_a_bad_number_is_named_and_nothing_is_recorded(
    argument: str,
    call: Callable[[MetricsExporter, Any], object],
    value: float,
    metrics: MetricsExporter,
    registry: CollectorRegistry,
) -> None:
    with pytest.raises(ValueError, match=rf"^{argument} must be .*, not {value!r}$"):
        call(metrics, value)
    assert samples(registry) == {}


def test_a_drift_check_finds_one_of_three(metrics: MetricsExporter) -> None:
    with pytest.raises(ValueError, match="status must be one of ok, warning, critical, not 'bad'"):
        metrics.update_drift_score("m", 0.1, "bad", 1)
    with pytest.raises(ValueError, match="score must be finite, not nan"):
        metrics.update_drift_score("m", math.nan, "ok", 1)


def test_attributes_are_the_same_cells(metrics: MetricsExporter, registry: CollectorRegistry) -> None:
    metrics.record_cache_hit("prompts")
    metrics.cache_hits_total.labels("prompts").inc(2)
    assert samples(registry) == {"cache_hits_total{prompts}": 3}


def test_the_same_arguments_are_the_same_exporter(registry: CollectorRegistry) -> None:
    first = get_metrics_exporter("gateway", registry=registry, ttl=60)
    assert get_metrics_exporter("gateway", registry=registry) is first
    assert get_metrics_exporter("memory", registry=registry) is not first
    with pytest.raises(ValueError, match=r"ttl must be 60, as it was when .* not 61"):
        get_metrics_exporter("gateway", registry=registry, ttl=61)
    for bad in ({"ttl": 0}, {"ttl": math.nan}, {"namespace": "a-b"}):
        with pytest.raises(ValueError, match=r"ttl must be|invalid namespace"):
            get_metrics_exporter("other", registry=registry, **bad)
    with pytest.raises(ValueError, match="service must be a string"):
        get_metrics_exporter("", registry=registry)


def test_the_middleware_owns_the_requests(registry: CollectorRegistry) -> None:
    HttpMetrics(registry)
    metrics = get_metrics_exporter("gateway", registry=registry)
    metrics.record_http_request("GET", "/", 200, 0.1)
    text = generate_latest(registry).decode()
    assert "http_requests_total{" not in text
    assert (
        'ferrometer_instruments_ignored_total{family="http_requests_total",reason="middleware"} 1.0' in text
    )


def test_a_middleware_that_comes_later_shares_the_family(registry: CollectorRegistry) -> None:
    get_metrics_exporter("worker", registry=registry).record_http_request("GET", "/", 200, 0.1)
    HttpMetrics(registry)
    text = generate_latest(registry).decode()
    assert 'http_requests_total{endpoint="/",method="GET",status="200"} 1.0' in text
    assert text.count("# TYPE http_requests_total") == 1


def test_the_namespace_is_that_of_the_application(registry: CollectorRegistry) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    from starlette.applications import Starlette

    instrument(Starlette(), Instruments(sweep_seconds=1), namespace="omtx_hub", registry=registry)
    get_metrics_exporter("hub", registry=registry).record_authentication("password")
    get_metrics_exporter("hub", registry=registry, namespace="other").record_authentication("password")
    shown = samples(registry)
    assert shown["omtx_hub_authentication_attempts_total{password}"] == 1
    assert shown["other_authentication_attempts_total{password}"] == 1


def test_an_unbounded_label_ends_in_the_overflow_series(registry: CollectorRegistry) -> None:
    metrics = get_metrics_exporter("gateway", registry=registry)
    for number in range(10_100):
        metrics.record_cache_hit(f"type{number}")
    text = generate_latest(registry).decode()
    assert text.count("\ncache_hits_total{") <= 10_001
    assert 'cache_hits_total{cache_type="__overflow__"}' in text
    assert "ferrometer_series_overflow_total" in text


def test_series_end_after_their_ttl_and_by_hand(registry: CollectorRegistry) -> None:
    metrics = get_metrics_exporter("memory", registry=registry, ttl=1.0)
    metrics.update_budget("old", 100, 50)
    metrics.update_memory_items("user", 3)
    deadline = time.monotonic() + 30
    while any("old" in name for name in samples(registry)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        metrics.update_budget("alive", 100, 50)
        metrics.sweep()
    shown = samples(registry)
    assert "memory_budget_used_bytes{alive}" in shown
    metrics.remove_session("alive")
    metrics.remove_user("user")
    assert samples(registry) == {}
    metrics.update_budget("old", 100, 60)
    assert samples(registry)["memory_budget_used_bytes{old}"] == 60


def test_a_removed_session_is_removed_without_ttl(
    metrics: MetricsExporter, registry: CollectorRegistry
) -> None:
    metrics.update_budget("a", 100, 50)
    metrics.update_memory_items("u", 1)
    metrics.remove_session("a")
    metrics.remove_user("u")
    assert samples(registry) == {}


def test_from_threads_and_tasks_everything_is_counted(
    metrics: MetricsExporter, registry: CollectorRegistry
) -> None:
    def record() -> None:
        for _ in range(500):
            metrics.record_inference("m", "success", 0.5, 3, 2)

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(record) for _ in range(8)))

    asyncio.run(main())
    shown = samples(registry)
    assert shown["inference_requests_total{m,success}"] == 4000
    assert shown["inference_tokens_total{m,prompt}"] == 12_000


WORKERS = """
ferrometer.share(directory)
import json, signal, time
from ferrometer.instruments import get_metrics_exporter
metrics = get_metrics_exporter("gateway", ttl=1.0)
metrics.record_inference("m", "success", 0.5, 100, 50)  # handles are bound before the fork
back, to_parent = os.pipe()

def worker():
    metrics.record_inference("m", "success", 0.5, 100, 50)
    metrics.update_budget("ours", 100, 75)
    metrics.update_queue_depth(2)
    os.write(to_parent, b".")
    time.sleep(600)

children = [fork(worker) for _ in range(3)]
for _ in children:
    os.read(back, 1)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

def shown():
    lines = ferrometer.generate_latest().decode().splitlines()
    return {name: float(value) for name, _, value in (l.rpartition(" ") for l in lines if l[0] != "#")}

def picked(names):
    now = shown()
    return [now.get(name) for name in names]

names = ['inference_tokens_total{model="m",type="prompt"}', 'memory_budget_used_bytes{session_id="ours"}']
before = picked(names)
deadline = time.monotonic() + 30
while picked(names)[1] is not None and time.monotonic() < deadline:
    time.sleep(0.1)
    metrics.update_budget("other", 1, 1)
    metrics.sweep()
print(json.dumps([before, picked(names), any("pid=" in name for name in shown())]))
"""


def test_killed_workers_count_and_their_sessions_expire(tmp_path: Path) -> None:
    """Counts of a worker killed with -9 stay; the series of its sessions go when their time is over."""
    assert json.loads(run(WORKERS, tmp_path / "shared")) == [[400, 75], [400, None], False]
