"""GP20: a real Prometheus scrapes the port of its own, also while the application's Python stands still."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.process import Process
from tests.real.prometheus import Prometheus, check_metrics, prometheus
from tests.serving.client import ask

APP = """
import time
import ferrometer

tokens = ferrometer.Counter("tokens", "Tokens written", ["model"])
tokens.labels("llama").inc(17.5)
sizes = ferrometer.Histogram("prompt_tokens", "Length of prompts", buckets=(10, 100, 1000))
for length in (1, 10, 11, 100, 5000):
    sizes.observe(length)
odd = ferrometer.Gauge("text", "A value with an odd label", ["text"])
odd.labels('a "quoted" \\\\ back\\nslash ü').set(-1.5)
called = ferrometer.Gauge("called", "By a function")
called.set_function(lambda: 42)
server = ferrometer.serve_metrics(0, auth="token")
print(f"on port {server.port}", flush=True)
size = 1 << 20
while True:
    begun = time.monotonic()
    sum(range(size))  # the GIL is nobody else's meanwhile
    if time.monotonic() - begun < 2:
        size *= 2
    tokens.labels("held").inc()
"""
CONFIG = """\
global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
scrape_configs:
  - job_name: app
    metrics_path: {path}
    authorization:
      credentials: token
    static_configs:
      - targets: [{target}]
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.py").write_text(APP)
    with Process([sys.executable, folder / "app.py"], folder=folder) as process:
        process.wait_until(lambda: "on port" in process.log())
        found = re.search(r"on port (\d+)", process.log())
        assert found is not None
        yield int(found[1])


@pytest.fixture(scope="module", params=["classic", "native-histograms"])
def live(
    request: pytest.FixtureRequest, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    options = [] if request.param == "classic" else ["--enable-feature=native-histograms"]
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(f"127.0.0.1:{port}", folder, *options, config=CONFIG) as server:
        server.wait_for(lambda s: not math.isnan(s.value("sum(tokens_total)")), what="scraping")
        yield server


def test_values_arrive_exactly(live: Prometheus) -> None:
    assert live.query('tokens_total{model="llama"}') == {(("model", "llama"),): 17.5}
    assert live.query("text") == {(("text", 'a "quoted" \\ back\nslash ü'),): -1.5}
    assert live.value("called") == 42


def test_classic_buckets_arrive_whatever_prometheus_can_do(live: Prometheus) -> None:
    """With native histograms on, Prometheus drops the classic buckets of a target that offers native ones."""
    assert live.value("count(prompt_tokens_bucket)") > 1
    assert live.value("sum(prompt_tokens_count)") > 0


def test_no_scrape_fails_while_the_gil_is_held(live: Prometheus) -> None:
    """Calls of two seconds and more, one after the other; a scrape has 200 milliseconds."""
    time.sleep(6)
    assert live.value("min_over_time(up[5s])") == 1
    assert live.value("count_over_time(up[5s])") > 15
    assert live.value("max_over_time(scrape_duration_seconds[5s])") < 0.2


def test_help_and_type_arrive(live: Prometheus) -> None:
    told = live.metadata("tokens") or live.metadata("tokens_total")  # as OpenMetrics calls it, and protobuf
    assert told["type"] == "counter"
    assert live.metadata("prompt_tokens") == {"type": "histogram", "help": "Length of prompts", "unit": ""}


def test_promtool_has_no_complaint(port: int) -> None:
    assert check_metrics(ask(port, authorization="Bearer token").body) == []
