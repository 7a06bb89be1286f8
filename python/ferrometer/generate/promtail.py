"""KIND promtail: the lines of all containers, read as ``ferrometer.logs`` writes them, to Loki."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File
from ferrometer.generate.log_fields import log_fields
from ferrometer.generate.yaml_text import to_text

#: Few values each: they choose the stream. The rest is searched for within it.
_LABELS = ("level", "logger", "service")
_METADATA = ("request_id", "user_id", "trace_id", "span_id")


def files(deployment: Deployment) -> Iterator[File]:
    """``promtail.yml``."""
    yield File(
        "promtail.yml",
        "promtail",
        to_text(configuration(deployment)),
        (
            "Promtail is at the end of its life: Grafana Alloy replaces it, and `alloy convert"
            " --source-format=promtail` translates this file. The application can push to Loki by itself.",
            f"Lines are read as ferrometer.logs writes them in the format {deployment.log_format!r}.",
        ),
    )


def configuration(deployment: Deployment) -> dict[str, Any]:
    """The whole of it."""
    container = "__meta_docker_container"
    return {
        "server": {"http_listen_port": 9080, "grpc_listen_port": 0},
        "positions": {"filename": "/var/lib/promtail/positions.yml"},
        "clients": [{"url": "http://loki:3100/loki/api/v1/push"}],
        "scrape_configs": [
            {
                "job_name": "containers",
                "docker_sd_configs": [{"host": "unix:///var/run/docker.sock", "refresh_interval": "5s"}],
                "relabel_configs": [
                    {
                        "source_labels": [f"{container}_name"],
                        "regex": "/(.*)",
                        "target_label": "container",
                    },
                    {
                        "source_labels": [f"{container}_label_com_docker_compose_service"],
                        "target_label": "compose_service",
                    },
                    {"source_labels": [f"{container}_log_stream"], "target_label": "stream"},
                ],
                "pipeline_stages": list(stages(deployment.log_format)),
            }
        ],
    }


def stages(log_format: str) -> Iterator[dict[str, Any]]:
    """What becomes of a line; one that is no JSON passes as it is."""
    fields = log_fields(log_format)
    wanted = ("time", *_LABELS, *_METADATA)
    yield {"json": {"expressions": {name: jmespath(fields[name]) for name in wanted}}}
    yield {"timestamp": {"source": "time", "format": "RFC3339Nano", "action_on_failure": "skip"}}
    yield {"labels": dict.fromkeys(_LABELS)}
    yield {"structured_metadata": dict.fromkeys(_METADATA)}


def jmespath(steps: Sequence[str]) -> str:
    """The expression for a field below others."""
    return ".".join(step if step.isidentifier() else f'"{step}"' for step in steps)
