"""The generated Alertmanager's configuration, read by amtool and by a real Alertmanager."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from ferrometer.alerts.packs import PACKS, pack
from ferrometer.alerts.rule import Rule
from ferrometer.generate.alertmanager import CHANNELS, topic
from tests.generate.generated import check, generate, tree
from tests.real.component import ALERTMANAGER, ALERTMANAGER_TEMPLATE, AMTOOL, LEDGER
from tests.real.process import Process
from tests.real.prometheus import free_port

RULES = """
groups:
  - name: platform
    rules:
      - {alert: HighGPUMemory, expr: gpu_memory_used_bytes > 1e9, labels: {severity: warning}}
      - {alert: DriftDetected, expr: drift_score > 0.15, labels: {severity: warning}}
      - {alert: HighDriftScore, expr: drift_score > 0.25, labels: {severity: critical}}
      - {alert: BudgetExceeded, expr: memory_budget_utilization > 1, labels: {severity: critical}}
      - {alert: BudgetWarning, expr: memory_budget_utilization > 0.8, labels: {severity: warning}}
      - {alert: ServiceDown, expr: up == 0, for: 2m, labels: {severity: critical}}
      - {alert: RedisMemoryHigh, expr: redis_memory_used_bytes > 1e9, labels: {severity: warning}}
      - {alert: HighMemoryEngineLatency, expr: memory_operation_duration_seconds_sum > 2,
         labels: {severity: warning}}
      - {alert: Named, expr: vector(1), labels: {severity: warning, topic: drift}}
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "own.yml").write_text(RULES)
    return generate("alertmanager", tmp_path, '[alerts]\nrules = ["own.yml"]\n')


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=APIHighLatency severity=warning", "alerts"),
        ("alertname=HighMemoryEngineLatency severity=warning", "alerts"),
        ("alertname=Unheard", "alerts"),
        ("alertname=APIHighErrorRate severity=critical", "critical"),
        ("alertname=GPUHighUtilization severity=warning", "gpu"),
        ("alertname=HighGPUMemory severity=warning", "gpu"),
        ("alertname=Other severity=critical topic=gpu", "critical,gpu"),
        ("alertname=DriftDetected severity=warning", "drift"),
        ("alertname=HighDriftScore severity=critical", "critical,drift"),
        ("alertname=Named severity=warning topic=drift", "drift"),
        ("alertname=BudgetWarning severity=warning", "budget"),
        ("alertname=BudgetExceeded severity=critical", "critical,budget"),
        ("alertname=ServiceDown severity=critical", "critical,infra"),
        ("alertname=RedisMemoryHigh severity=warning", "infra"),
        ("alertname=LowDiskSpace severity=critical", "critical,infra"),
    ],
)
def test_each_channel_has_its_alerts(labels: str, receivers: str, out: Path) -> None:
    test = ["config", "routes", "test", "--config.file=alertmanager.yml", f"--verify.receivers={receivers}"]
    check(AMTOOL.require(), *test, *labels.split(), folder=out)


def test_every_ready_made_rule_has_a_channel() -> None:
    rules = [rule for name in PACKS for rule in pack(name).rules if rule.alert]
    assert {topic(rule) for rule in rules} <= {None, *CHANNELS}
    for rule in rules:
        if "gpu" in rule.alert.lower():
            assert topic(rule) == "gpu"
    assert topic(Rule(alert="A", expr="sum(http_requests_total)")) is None
    # A queue on Redis is infrastructure; a metric that only ends like one is not.
    assert topic(Rule(alert="A", expr="sum(startup_seconds)")) is None


def test_amtool_and_a_real_alertmanager_read_it(out: Path) -> None:
    said = check(AMTOOL.require(), "check-config", "alertmanager.yml", folder=out)
    assert "6 receivers" in said
    made = tree(out / "alertmanager.yml")
    channels = [receiver["slack_configs"][0]["channel"] for receiver in made["receivers"]]
    assert channels == [
        f"#ai-platform-{name}" for name in ("alerts", "critical", "gpu", "drift", "budget", "infra")
    ]
    assert "hooks.slack.com" not in (out / "alertmanager.yml").read_text()
    equal = {tuple(rule["equal"]) for rule in made["inhibit_rules"]}
    assert {("model",), ("session_id",)} <= equal
    if not ALERTMANAGER_TEMPLATE.exists():
        LEDGER.missing["alertmanager"] = f"{ALERTMANAGER_TEMPLATE} is missing: {ALERTMANAGER.install}"
        return
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        *(
            ALERTMANAGER.require(),
            f"--config.file={out / 'alertmanager.yml'}",
            f"--storage.path={out / 'data'}",
        ),
        *(f"--web.listen-address={address}", "--cluster.listen-address="),
    ]
    with Process(command, folder=out, env=ALERTMANAGER.environment()) as process:

        def is_ready() -> bool:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)

        process.wait_until(is_ready)
