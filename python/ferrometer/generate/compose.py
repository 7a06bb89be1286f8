"""KIND compose: the service and its whole monitoring, for Docker Compose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ferrometer.generate import images
from ferrometer.generate.deployment import EXPORTERS, Deployment
from ferrometer.generate.file import File
from ferrometer.generate.grafana import dashboard_provider, data_sources
from ferrometer.generate.yaml_text import to_text

Tree = dict[str, Any]


def files(deployment: Deployment) -> Iterator[File]:
    """``compose.yml``, and what Grafana is told at its start."""
    yield File(
        "compose.yml",
        "compose",
        to_text(configuration(deployment)),
        (
            "Needs the files of `ferrometer generate all` beside it. Secrets come from the environment, or"
            " from a file .env that nobody commits; Compose says which one is missing.",
            "All ports are published to this machine only. For others, put a proxy with TLS and a login"
            " before them: Prometheus, Alertmanager, Loki and Jaeger have none.",
        ),
    )
    yield File("grafana/datasources.yml", "compose", to_text(data_sources()))
    yield File("grafana/dashboards.yml", "compose", to_text(dashboard_provider(deployment.name)))


def configuration(deployment: Deployment) -> Tree:
    """The whole of it."""
    services = {deployment.name: _application(deployment), **_stack(deployment), **_exporters(deployment)}
    secrets = {"slack_webhook_url": {"environment": "SLACK_WEBHOOK_URL"}}
    if deployment.has_token:
        secrets["metrics_token"] = {"environment": "METRICS_TOKEN"}
    return {
        "name": deployment.name,
        "services": services,
        "networks": {"monitoring": {}},
        "volumes": {f"{name}-data": {} for name in _KEPT},
        "secrets": secrets,
    }


#: What outlives a container.
_KEPT = ("prometheus", "alertmanager", "grafana", "loki", "promtail", "jaeger")


def _service(image: str, *ports: int, health: list[str] | None = None, **more: Any) -> Tree:
    made: Tree = {"image": image, "restart": "unless-stopped", **more, "networks": ["monitoring"]}
    if ports:
        made["ports"] = [f"127.0.0.1:{port}:{port}" for port in ports]
    made["security_opt"] = ["no-new-privileges:true"]
    if health:
        made["healthcheck"] = {
            "test": health,
            "interval": "15s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "20s",
        }
    return made


def _wget(url: str) -> list[str]:
    return ["CMD", "wget", "--quiet", "--tries=1", "--spider", url]


def _needed(variable: str, words: str) -> str:
    return f"${{{variable}:?{words}}}"


def _application(deployment: Deployment) -> Tree:
    name, port = deployment.name, deployment.chosen.port
    variable = f"{name.replace('-', '_').upper()}_VERSION"
    image = deployment.chosen.image or f"{name}:{_needed(variable, 'the version of its image')}"
    ready = f"{deployment.chosen.scheme}://127.0.0.1:{port}{deployment.path}/ready"
    environment = {
        "FERROMETER_METRICS_NAMESPACE": deployment.namespace,
        "FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector:4318",
        "OTEL_SERVICE_NAME": deployment.log_service,
    }
    if deployment.has_token:
        token = _needed("METRICS_TOKEN", "the token with which Prometheus reads the metrics")
        environment["FERROMETER_ENDPOINTS_AUTH_TOKEN"] = token
    probe = f"import urllib.request as r; r.urlopen('{ready}', timeout=3)"
    return _service(image, port, health=["CMD", "python", "-c", probe], environment=environment)


def _stack(deployment: Deployment) -> Tree:
    retention = deployment.chosen.retention
    token = ["metrics_token"] if deployment.has_token else []
    grafana_password = _needed("GRAFANA_ADMIN_PASSWORD", "a password for Grafana's user admin")
    return {
        "prometheus": _service(
            images.PROMETHEUS,
            9090,
            health=_wget("http://localhost:9090/-/healthy"),
            command=[
                "--config.file=/etc/prometheus/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={retention}",
                "--enable-feature=exemplar-storage",
            ],
            volumes=[
                "./prometheus.yml:/etc/prometheus/prometheus.yml:ro",
                "./rules:/etc/prometheus/rules:ro",
                "prometheus-data:/prometheus",
            ],
            **({"secrets": token} if token else {}),
        ),
        "alertmanager": _service(
            images.ALERTMANAGER,
            9093,
            health=_wget("http://localhost:9093/-/healthy"),
            command=["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
            volumes=[
                "./alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro",
                "alertmanager-data:/alertmanager",
            ],
            secrets=["slack_webhook_url"],
        ),
        "grafana": _service(
            images.GRAFANA,
            3000,
            health=_wget("http://localhost:3000/api/health"),
            environment={
                "GF_SECURITY_ADMIN_PASSWORD": grafana_password,
                "GF_USERS_ALLOW_SIGN_UP": "false",
                "GF_AUTH_ANONYMOUS_ENABLED": "false",
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
            },
            volumes=[
                "./grafana/datasources.yml:/etc/grafana/provisioning/datasources/all.yml:ro",
                "./grafana/dashboards.yml:/etc/grafana/provisioning/dashboards/all.yml:ro",
                "./dashboards:/var/lib/grafana/dashboards:ro",
                "grafana-data:/var/lib/grafana",
            ],
            depends_on=["prometheus", "loki"],
        ),
        "loki": _service(
            images.LOKI,
            3100,
            health=_wget("http://localhost:3100/ready"),
            command=["-config.file=/etc/loki/loki.yml"],
            volumes=["./loki.yml:/etc/loki/loki.yml:ro", "loki-data:/loki"],
        ),
        "promtail": _service(
            images.PROMTAIL,
            9080,
            command=["-config.file=/etc/promtail/promtail.yml"],
            volumes=[
                "./promtail.yml:/etc/promtail/promtail.yml:ro",
                "promtail-data:/var/lib/promtail",
                "/var/run/docker.sock:/var/run/docker.sock:ro",
            ],
            depends_on=["loki"],
        ),
        # Its image has no program that could ask for its health, which 13133 tells.
        "otel-collector": _service(
            images.OTEL_COLLECTOR,
            *(4317, 4318, 8888, 8889, 13133),
            command=["--config=/etc/otelcol/otel-collector.yml"],
            volumes=["./otel-collector.yml:/etc/otelcol/otel-collector.yml:ro"],
            depends_on=["jaeger", "loki"],
        ),
        "jaeger": _service(
            images.JAEGER,
            16686,
            health=_wget("http://localhost:14269/"),
            environment={
                "SPAN_STORAGE_TYPE": "badger",
                "BADGER_EPHEMERAL": "false",
                "BADGER_DIRECTORY_VALUE": "/badger/data",
                "BADGER_DIRECTORY_KEY": "/badger/key",
            },
            user="0",  # the volume is root's
            volumes=["jaeger-data:/badger"],
        ),
    }


def _exporters(deployment: Deployment) -> Tree:
    health = {name: _wget(f"http://localhost:{port}/metrics") for name, port in EXPORTERS.items()}
    without = "or leave it out of exporters in [generate]"
    made = {
        "node": _service(
            images.NODE_EXPORTER,
            EXPORTERS["node"],
            health=health["node"],
            command=["--path.rootfs=/host"],
            pid="host",
            volumes=["/:/host:ro,rslave"],
        ),
        "postgres": _service(
            images.POSTGRES_EXPORTER,
            EXPORTERS["postgres"],
            health=health["postgres"],
            environment={
                "DATA_SOURCE_NAME": _needed(
                    "POSTGRES_EXPORTER_DSN", f"a URL of a user of pg_monitor, {without}"
                )
            },
        ),
        "redis": _service(
            images.REDIS_EXPORTER,
            EXPORTERS["redis"],
            environment={
                "REDIS_ADDR": _needed("REDIS_EXPORTER_URL", f"such as redis://cache:6379, {without}"),
                "REDIS_PASSWORD": "${REDIS_EXPORTER_PASSWORD:-}",
            },
        ),
        "gpu": _service(
            images.GPU_EXPORTER,
            EXPORTERS["gpu"],
            deploy={
                "resources": {
                    "reservations": {
                        "devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu", "utility"]}]
                    }
                }
            },
        ),
    }
    return {f"{name}-exporter": made[name] for name in deployment.chosen.exporters}
