"""KIND otel-collector: traces, metrics and logs over OTLP, to Jaeger, Prometheus and Loki."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File
from ferrometer.generate.yaml_text import to_text


def files(deployment: Deployment) -> Iterator[File]:
    """``otel-collector.yml``, for the distribution "contrib"."""
    yield File(
        "otel-collector.yml",
        "otel-collector",
        to_text(configuration(deployment)),
        (
            "The collector has no exporters called `jaeger` and `loki` any more: Jaeger and Loki take OTLP.",
            "The receivers listen on all addresses of the container: publish their ports to the own host or"
            " network only, or give each `tls` and an authenticator.",
        ),
    )


def _anywhere(port: int) -> dict[str, str]:
    return {"endpoint": f"0.0.0.0:{port}"}


def configuration(deployment: Deployment) -> dict[str, Any]:
    """The whole of it."""
    processors = ["memory_limiter", "resource", "batch"]
    return {
        "extensions": {"health_check": _anywhere(13133)},
        "receivers": {
            "otlp": {"protocols": {"grpc": _anywhere(4317), "http": _anywhere(4318)}},
            # For clients that do not speak OTLP yet.
            "jaeger": {
                "protocols": {
                    "grpc": _anywhere(14250),
                    "thrift_http": _anywhere(14268),
                    "thrift_compact": _anywhere(6831),
                    "thrift_binary": _anywhere(6832),
                }
            },
            "zipkin": _anywhere(9411),
        },
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 512, "spike_limit_mib": 128},
            "resource": {
                "attributes": [
                    {
                        "key": "deployment.environment",
                        "value": deployment.chosen.environment,
                        "action": "insert",
                    }
                ]
            },
            "batch": {"timeout": "10s", "send_batch_size": 1024},
        },
        "exporters": {
            "otlp/jaeger": {"endpoint": "jaeger:4317", "tls": {"insecure": True}},
            "prometheus": {**_anywhere(8889), "enable_open_metrics": True},
            "otlphttp/loki": {"endpoint": "http://loki:3100/otlp"},
        },
        "service": {
            "extensions": ["health_check"],
            "telemetry": {
                "metrics": {
                    "readers": [{"pull": {"exporter": {"prometheus": {"host": "0.0.0.0", "port": 8888}}}}]
                }
            },
            "pipelines": {
                "traces": {
                    "receivers": ["otlp", "jaeger", "zipkin"],
                    "processors": processors,
                    "exporters": ["otlp/jaeger"],
                },
                "metrics": {"receivers": ["otlp"], "processors": processors, "exporters": ["prometheus"]},
                "logs": {"receivers": ["otlp"], "processors": processors, "exporters": ["otlphttp/loki"]},
            },
        },
    }
