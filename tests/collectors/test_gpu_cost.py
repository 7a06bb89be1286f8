"""What GPUs cost: by the clock and by request."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrometer import CollectorRegistry
from ferrometer.collectors.gpu import GpuCollector
from ferrometer.collectors.gpu.cost import GpuCost
from ferrometer.stats import ServiceStats
from ferrometer.stats.gpu import GpuStats
from ferrometer.testing import value
from tests.collectors.fake_gpu import run


def test_fake_the_clock_charges_while_gpus_are_read(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
import time
from ferrometer.stats import ServiceStats
from ferrometer import CollectorRegistry
registry = CollectorRegistry()
stats = ServiceStats("gpuproxy", registry)
collector = GpuCollector(registry=registry, stats=stats.gpu, price_per_hour=36000)  # 10 USD a second
tell(gpus(2))
collect(collector)
assert stats.stats()["gpu"]["total_cost_usd"] == 0
begun = time.monotonic()
time.sleep(0.2)
collect(collector)
cost = stats.stats()["gpu"]["total_cost_usd"]
assert 0.2 * 20 <= cost <= (time.monotonic() - begun + 0.1) * 20, cost
assert value(registry, "gpuproxy_gpu_cost_total") == cost
assert stats.polling()["active_gpu_instances"] == 2
""",
        fake_library,
        tmp_path,
    )


def test_the_clock_charges_no_gap() -> None:
    stats = GpuStats("", CollectorRegistry())
    cost = GpuCost(stats, 3600.0, "clock")
    cost.seen(["0", "1"], now=100.0)
    assert stats.as_dict()["total_cost_usd"] == 0
    cost.seen(["0", "1"], now=110.0)
    assert stats.as_dict()["total_cost_usd"] == 20
    cost.seen(["0"], now=120.0)
    assert stats.as_dict()["total_cost_usd"] == 30
    cost.seen(["0", "1"], now=130.0)  # 1 is back: from now on
    assert stats.as_dict()["total_cost_usd"] == 40
    cost.forget()
    cost.seen(["0", "1"], now=1000.0)
    assert stats.as_dict()["total_cost_usd"] == 40


def test_requests_are_counted_and_charged() -> None:
    registry = CollectorRegistry()
    by_request = GpuCollector(registry=registry, namespace="gpuproxy", price_per_hour=3.6, charge="requests")
    by_request.record_gpu_request(gpu_seconds=2.0)
    by_request.record_gpu_request(failed=True, gpu_seconds=1.0)
    by_request.record_gpu_request(gpu_seconds=100.0, cost_usd=0.5)
    assert value(registry, "gpuproxy_gpu_requests_total") == 3
    assert value(registry, "gpuproxy_gpu_requests_failed") == 1
    assert value(registry, "gpuproxy_gpu_cost_total") == pytest.approx(0.503)
    service = ServiceStats("gpuproxy", registry)  # the same families, wherever they are made
    assert service.stats()["gpu"]["requests_total"] == 3
    by_clock = GpuCollector(registry=registry, stats=service.gpu, price_per_hour=3.6)
    by_clock.record_gpu_request(gpu_seconds=2.0)
    assert value(registry, "gpuproxy_gpu_requests_total") == 4
    assert value(registry, "gpuproxy_gpu_cost_total") == pytest.approx(0.503)


def test_wrong_prices_are_refused() -> None:
    registry = CollectorRegistry()
    for price in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="price_per_hour must be finite"):
            GpuCollector(registry=registry, namespace="a", price_per_hour=price)
    with pytest.raises(TypeError, match="price_per_hour must be a number, not str"):
        GpuCollector(registry=registry, namespace="a", price_per_hour="3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs namespace= or stats="):
        GpuCollector(registry=registry, price_per_hour=1.0)
    with pytest.raises(ValueError, match="charge must be"):
        GpuCollector(registry=registry, charge="month")  # type: ignore[arg-type]
    collector = GpuCollector(registry=registry, namespace="a")
    with pytest.raises(ValueError, match="cost_usd must be finite"):
        collector.record_gpu_request(cost_usd=-1.0)
    with pytest.raises(ValueError, match="gpu_seconds must be finite"):
        collector.record_gpu_request(gpu_seconds=float("nan"))
    assert value(registry, "a_gpu_requests_total") == 0
