"""Money: prices against genai-prices' own calculation, sums against exact fractions, budgets, workers."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, Gauge, Instruments, generate_latest, instrument
from ferrometer.instruments import Prices, costs, inference
from ferrometer.instruments.money import PICO, Ledger, pico
from tests.instruments.test_exporter import samples
from tests.workers.test_forks import run

TABLE: Any = {
    "m": {"input": 3, "output": 15, "cached": 0.3, "cache_written": 3.75},
    "openai/tiered": {"input": {0: 3, 200_000: 6}, "output": {0: 15, 200_000: 22.5}},
}


def test_an_inference_costs_what_its_tokens_do(registry: CollectorRegistry) -> None:
    costs(TABLE, namespace="gatewayz", registry=registry)
    with inference(model="m", provider="openrouter", tenant="acme", registry=registry) as call:
        call.usage(1000, 200, cached_tokens=300, cache_written_tokens=100)
    expected = (600 * 3 + 300 * 0.3 + 100 * 3.75 + 200 * 15) / 1e6
    found = samples(registry)
    for name in ("provider{openrouter}", "model{m}", "tenant{acme}"):
        assert found[f"gatewayz_cost_by_{name}"] == pytest.approx(expected, abs=1e-12)
    text = generate_latest(registry).decode()
    assert "# TYPE gatewayz_cost_by_provider gauge" in text
    assert "cost_by_provider_total" not in text


@pytest.mark.parametrize(("tokens", "usd"), [(200_000, 0.6 + 0.0015), (200_001, 1.200006 + 0.00225)])
def test_the_tier_of_the_input_holds_for_the_whole_request(
    tokens: int, usd: float, registry: CollectorRegistry
) -> None:
    made = costs(TABLE, registry=registry)
    with inference(model="tiered", provider="openai", registry=registry) as call:
        call.usage(tokens, 100)
    assert made.cost_by_provider.labels("openai")._get() == pytest.approx(usd, abs=1e-12)


def test_a_model_without_price_is_counted(registry: CollectorRegistry) -> None:
    costs(TABLE, registry=registry)
    with inference(model="unknown", provider="p", registry=registry) as call:
        call.usage(1, 1)
    text = generate_latest(registry).decode()
    assert 'ferrometer_cost_unknown_total{model="unknown",provider="p"} 1.0' in text
    assert "cost_by_provider{" not in text


@pytest.mark.parametrize("usd", [-1, math.nan, math.inf, Decimal("-0.1"), Decimal("nan")])
def test_a_bad_amount_is_named(usd: Any, registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="usd must be finite and not negative"):
        costs(registry=registry).record(usd, provider="p")
    with pytest.raises(ValueError, match=r"price of 'm': input must be finite and not negative"):
        Prices({"m": {"input": usd}})


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"price of 'm': unknown kind 'inputs'; one of input, output"):
        Prices({"m": {"inputs": 1}})


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 10**16), min_size=1, max_size=50))
def test_sums_are_exact(amounts: list[int]) -> None:
    gauge = Gauge("cost", "x", ["p"], registry=CollectorRegistry(), multiprocess_mode="sum")
    ledger = Ledger(gauge)
    for amount in amounts:
        ledger.add("a", amount)
    assert gauge.labels("a")._get() == float(Fraction(sum(amounts), PICO))


def test_exact_to_the_micro_dollar_where_a_float_is_off() -> None:
    """The price of the documents, added near the largest sum: what is shown is the nearest float there is."""
    gauge = Gauge("cost", "x", ["p"], registry=CollectorRegistry(), multiprocess_mode="sum")
    ledger, price, naive = Ledger(gauge), pico(0.0003075), 0.0
    ledger.add("a", 8 * 10**9 * PICO)  # as many dollars
    for _ in range(100_000):
        ledger.add("a", price)
        naive += 0.0003075
    exact = Fraction(8 * 10**9) + 100_000 * Fraction(3075, 10**7)
    assert abs(Fraction(gauge.labels("a")._get()) - exact) <= Fraction(1, 10**6)
    assert gauge.labels("a")._get() == float(exact)
    assert Fraction(naive) != 100_000 * Fraction(3075, 10**7)


def test_a_billion_additions_are_exact() -> None:
    """Whole numbers add up in any order: the first 10⁹ - 10⁵ at once, the last 10⁵ as they come.

    The same additions in floats, all of them, are off by thousands of micro-dollars.
    """
    gauge = Gauge("cost", "x", ["p"], registry=CollectorRegistry(), multiprocess_mode="sum")
    ledger, price, last = Ledger(gauge), pico(0.0003075), 100_000
    ledger.add("a", price * (10**9 - last))
    for _ in range(last):
        ledger.add("a", price)
    assert gauge.labels("a")._get() == 307_500.0
    numpy = pytest.importorskip("numpy", reason="pip install numpy")
    chunk, total = numpy.full(10**6, 0.0003075), 0.0
    for _ in range(1_000):
        chunk[0] = total + 0.0003075
        total = float(numpy.cumsum(chunk)[-1])  # one after the other
    assert 7_000 < (total - 307_500.0) * 1e6 < 7_100


def test_a_removed_series_begins_anew(registry: CollectorRegistry) -> None:
    made = costs(registry=registry)
    made.record(2, provider="p")
    made.cost_by_provider.remove("p")
    made.record(1, provider="p")
    assert samples(registry) == {"cost_by_provider{p}": 1}


def test_too_many_tenants_share_one_sum(registry: CollectorRegistry) -> None:
    gauge = Gauge("cost", "x", ["t"], registry=registry, multiprocess_mode="sum", max_series=10)
    ledger = Ledger(gauge)
    for number in range(1000):
        ledger.add(f"tenant{number}", PICO)
    assert sum(samples(registry).values()) == 1000


def test_a_budget_tells_and_calls(registry: CollectorRegistry) -> None:
    made = costs(registry=registry)
    made.record(5, provider="p", tenant="acme")  # before the budget
    passed: list[tuple[str, float, float]] = []
    budget = made.budget("acme", 10, on_threshold=lambda *told: passed.append(told))
    made.record(4, provider="p", tenant="acme")
    made.sweep()
    assert passed == []
    assert budget.utilization == pytest.approx(0.4)
    made.record(4, provider="p", tenant="acme")
    made.sweep()
    made.sweep()
    ((tenant, threshold, utilization),) = passed
    assert (tenant, threshold) == ("acme", 0.8)
    assert utilization == pytest.approx(0.8)
    made.record(4, provider="p", tenant="acme")
    made.sweep()
    assert [threshold for _, threshold, _ in passed] == [0.8, 1.0]
    found = samples(registry)
    assert found["cost_budget_total_usd{acme}"] == 10
    assert found["cost_budget_used_usd{acme}"] == pytest.approx(12)
    assert found["cost_budget_utilization{acme}"] == pytest.approx(1.2)
    assert "cost_budget_exhausted_timestamp_seconds{acme}" in found
    for bad in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="the budget of 'acme' must be finite and above 0"):
            made.budget("acme", bad)


def test_a_callback_that_fails_breaks_nothing(registry: CollectorRegistry) -> None:
    made = costs(registry=registry)
    made.budget("acme", 1, on_threshold=lambda *told: 1 / 0)
    made.record(4, provider="p", tenant="acme")
    made.sweep()


def test_the_application_s_namespace(registry: CollectorRegistry) -> None:
    from starlette.applications import Starlette

    instrument(Starlette(), Instruments(), namespace="gatewayz", registry=registry)
    costs(registry=registry).record(125.5, provider="openrouter")
    assert samples(registry)["gatewayz_cost_by_provider{openrouter}"] == 125.5


CASES = [
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("openai", "gpt-4o-mini"),
]


@pytest.mark.parametrize(("provider", "model"), CASES)
def test_the_catalogue_s_own_calculation(provider: str, model: str) -> None:
    genai_prices = pytest.importorskip("genai_prices", reason="pip install 'ferrometer[prices]'")
    prices = Prices(catalogue=True).of(provider, model)
    assert prices is not None
    for tokens in (0, 1, 1000, 199_999, 200_000, 200_001, 500_000):
        for cached in (0, tokens // 2):
            usage = genai_prices.Usage(input_tokens=tokens, cache_read_tokens=cached, output_tokens=777)
            right = genai_prices.calc_price(usage, model_ref=model, provider_id=provider).total_price
            assert prices.cost(tokens, 777, cached, 0) == int(right * PICO), tokens


def test_the_catalogue_lacks_a_model() -> None:
    pytest.importorskip("genai_prices", reason="pip install 'ferrometer[prices]'")
    assert Prices(catalogue=True).of("openai", "no-such-model") is None


WORKERS = """
ferrometer.share(directory)
import json, signal, time
from ferrometer.instruments import costs
made = costs(namespace="gatewayz")
made.record(1.5, provider="p", tenant="acme")
budget = made.budget("acme", 100)
back, to_parent = os.pipe()

def worker():
    for _ in range(1000):
        made.record(0.0003075, provider="p", tenant="acme")
    os.write(to_parent, b".")
    time.sleep(600)

children = [fork(worker) for _ in range(3)]
for _ in children:
    os.read(back, 1)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
made.record(1, provider="p")
ferrometer.generate_latest()
made.sweep()
lines = ferrometer.generate_latest().decode().splitlines()
(line,) = [line for line in lines if line.startswith('gatewayz_cost_by_provider{')]
print(json.dumps([round(float(line.rpartition(" ")[2]), 9), round(budget.used, 9)]))
"""


def test_money_that_a_killed_worker_spent_stays_spent(tmp_path: Path) -> None:
    assert json.loads(run(WORKERS, tmp_path / "shared")) == [3.4225, 0.9225]


BUDGETS = """
ferrometer.share(directory)
import json, signal, time
from ferrometer.instruments import costs
made = costs(namespace="gatewayz")
made.record(7, provider="p", tenant="acme")
told = os.path.join(directory, "told.txt")
back, to_parent = os.pipe()

def call(tenant, threshold, utilization):
    with open(told, "a") as file:
        file.write(f"{threshold}\\n")

def worker(usd):
    budget = made.budget("acme", 100, on_threshold=call)
    made.record(usd, provider="p", tenant="acme")
    made.sweep()
    os.write(to_parent, b".")
    while True:
        time.sleep(0.01)
        made.sweep()

def begin(*amounts):
    children = [fork(lambda usd=usd: worker(usd)) for usd in amounts]
    for _ in children:
        os.read(back, 1)
    return children

def end(children):
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

first = begin(0)
second = begin(30, 30, 25)
end(first + second)
end(begin(5, 20, 0))  # they make the same budget, and do not begin it anew
budget = made.budget("acme", 100, on_threshold=call)
again = made.budget("acme", 100, period="2026-12", on_threshold=call)
print(json.dumps([open(told).read().split(), round(budget.used, 6), round(again.used, 6)]))
"""


def test_a_threshold_is_told_once_in_the_whole_application(tmp_path: Path) -> None:
    """Seven workers in two generations, all of them killed: one call for each threshold."""
    assert json.loads(run(BUDGETS, tmp_path / "shared")) == [["0.8", "1.0"], 110, 0]


def test_a_budget_before_sharing_begins(tmp_path: Path) -> None:
    program = """
import json
from ferrometer.instruments import costs
made = costs()
made.record(1, provider="p", tenant="acme")
budget = made.budget("acme", 10)
made.record(2, provider="p", tenant="acme")
budget.look()
ferrometer.share(directory)
made.record(4, provider="p", tenant="acme")
budget.look()
made.cost_by_tenant.remove("acme")
made.record(3, provider="p", tenant="acme")
budget.look()
other = made.budget("acme", 10)
print(json.dumps([budget.used, other.used]))
"""
    assert json.loads(run(program, tmp_path / "shared")) == [3, 3]


def test_a_budget_whose_files_cannot_be_used_is_this_process_s_own(tmp_path: Path) -> None:
    program = """
ferrometer.share(directory)
open(os.path.join(directory, "budgets"), "w").close()  # a file where the folder should be
import json, logging
warnings = []
handler = logging.Handler()
handler.emit = warnings.append
logging.getLogger("ferrometer").addHandler(handler)
from ferrometer.instruments import costs
told = []
made = costs()
budget = made.budget("acme", 10, on_threshold=lambda *one: told.append(one[1]))
made.record(20, provider="p", tenant="acme")
budget.look()
budget.look()
print(json.dumps([budget.used, told, [warning.getMessage() for warning in warnings]]))
"""
    used, told, (warning,) = json.loads(run(program, tmp_path / "shared"))
    assert (used, told) == (20, [0.8, 1.0])
    assert warning.startswith("the budget of 'acme' is this worker's own: [Errno 20] Not a directory")
