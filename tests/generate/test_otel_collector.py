"""The generated collector's configuration, validated and run by a real OpenTelemetry Collector."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.generate.generated import check, generate, tree
from tests.real.component import OTELCOL
from tests.real.process import Process
from tests.real.prometheus import free_port


def test_it_names_no_exporter_that_is_gone(tmp_path: Path) -> None:
    out = generate("otel-collector", tmp_path)
    made = tree(out / "otel-collector.yml")
    assert {name.partition("/")[0] for name in made["exporters"]} == {"otlp", "otlphttp", "prometheus"}
    assert made["receivers"]["otlp"]["protocols"] == {
        "grpc": {"endpoint": "0.0.0.0:4317"},
        "http": {"endpoint": "0.0.0.0:4318"},
    }
    assert "no exporters called `jaeger` and `loki` any more" in (out / "otel-collector.yml").read_text()


def test_the_collector_validates_it(tmp_path: Path) -> None:
    out = generate("otel-collector", tmp_path)
    check(OTELCOL.require(), "validate", "--config", "otel-collector.yml", folder=out)


def test_a_metric_comes_in_over_otlp_and_out_for_prometheus(tmp_path: Path) -> None:
    binary = OTELCOL.require()
    out = generate("otel-collector", tmp_path, '[generate]\nenvironment = "staging"\n')
    file = out / "otel-collector.yml"
    ports = {port: free_port() for port in re.findall(r"0\.0\.0\.0:(\d+)", file.read_text())}
    text = file.read_text().replace("port: 8888", f"port: {free_port()}")
    for port, free in ports.items():
        text = text.replace(f"0.0.0.0:{port}", f"127.0.0.1:{free}")
    (out / "free.yml").write_text(text.replace("timeout: 10s", "timeout: 100ms"))

    def get(port: str) -> str:
        path = "/metrics" if port == "8889" else "/"
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[port]}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    with Process([binary, "--config", out / "free.yml"], folder=out) as process:
        process.wait_until(lambda: "Server available" in get("13133"), seconds=60)
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        for key, text in (("service.name", "gateway"), ("service.instance.id", "1")):
            resource.resource.attributes.add(key=key).value.string_value = text
        metric = resource.scope_metrics.add().metrics.add(name="tokens")
        metric.gauge.data_points.add(as_double=17.0, time_unix_nano=1_800_000_000_000_000_000)
        urllib.request.urlopen(
            urllib.request.Request(
                f"http://127.0.0.1:{ports['4318']}/v1/metrics",
                request.SerializeToString(),
                {"Content-Type": "application/x-protobuf"},
            ),
            timeout=10,
        ).close()
        process.wait_until(
            lambda: re.search(r"^tokens.* 17", get("8889"), re.MULTILINE) is not None, seconds=30
        )
        assert re.search(r'^target_info\{.*deployment_environment="staging"', get("8889"), re.MULTILINE)
