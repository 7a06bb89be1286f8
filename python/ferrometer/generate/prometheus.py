"""KIND prometheus: what it scrapes, by names for Compose and by discovery in Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ferrometer.generate.deployment import EXPORTERS, Deployment
from ferrometer.generate.file import File
from ferrometer.generate.yaml_text import to_text

#: Where the token lies that the endpoints want.
TOKEN_FILE = "/run/secrets/metrics_token"
#: The same in Kubernetes, where each folder is a volume: none lies within another one.
CLUSTER_SECRETS = "/etc/prometheus-secrets"
CLUSTER_RULES = "/etc/prometheus-rules"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
Tree = dict[str, Any]


def files(deployment: Deployment) -> Iterator[File]:
    """``prometheus.yml``, and ``prometheus-kubernetes.yml`` for a Prometheus in a cluster."""
    retention = (
        f"Retention is an argument of the server: --storage.tsdb.retention.time={deployment.chosen.retention}"
    )
    yield File(
        "prometheus.yml",
        "prometheus",
        to_text(_with_jobs(deployment, [*_services(deployment), *_stack(deployment)])),
        (
            retention,
            "Prometheus itself has no login here: let only the monitoring's own network reach it, and give it"
            " TLS and a password with --web.config.file where others may.",
        ),
    )
    yield File(
        "prometheus-kubernetes.yml",
        "prometheus",
        to_text(kubernetes(deployment)),
        (retention, "Pods are found by their annotations: prometheus.io/scrape, /port, /path and /scheme."),
    )


def _with_jobs(deployment: Deployment, jobs: list[Tree], rules: str = "rules") -> Tree:
    chosen = deployment.chosen
    return {
        "global": {
            "scrape_interval": chosen.scrape_interval,
            "evaluation_interval": chosen.scrape_interval,
            "external_labels": {"environment": chosen.environment},
        },
        "rule_files": [f"{rules}/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": jobs,
    }


def _services(deployment: Deployment) -> Iterator[Tree]:
    for target in deployment.targets:
        yield _job(target.name, target.address, target.path) | _of_service(deployment, TOKEN_FILE)


def _of_service(deployment: Deployment, token: str) -> Tree:
    chosen, more = deployment.chosen, Tree()
    if chosen.scheme == "https":
        more["scheme"] = "https"
    if deployment.has_token:
        more["authorization"] = {"credentials_file": token}
    return more | _histograms(deployment)


def _histograms(deployment: Deployment) -> Tree:
    if deployment.chosen.prometheus < 3:
        return {}
    # Rules ask the buckets, dashboards the bins: neither may hide the other.
    return {"scrape_native_histograms": True, "always_scrape_classic_histograms": True}


def _job(name: str, address: str, path: str = "/metrics") -> Tree:
    where = {} if path == "/metrics" else {"metrics_path": path}
    return {"job_name": name, **where, "static_configs": [{"targets": [address]}]}


def _stack(deployment: Deployment) -> Iterator[Tree]:
    """The monitoring itself, and the exporters."""
    for name, port in (("prometheus", 9090), ("alertmanager", 9093), ("loki", 3100), ("promtail", 9080)):
        yield _job(name, f"{'localhost' if name == 'prometheus' else name}:{port}")
    yield _job("grafana", "grafana:3000")
    # Its own figures, and what applications send it.
    yield {"job_name": "otel-collector", "static_configs": [{"targets": ["otel-collector:8888"]}]}
    yield {
        "job_name": "otel-metrics",
        "honor_labels": True,
        "static_configs": [{"targets": ["otel-collector:8889"]}],
    }
    for name in deployment.chosen.exporters:
        yield _job(f"{name}-exporter", f"{name}-exporter:{EXPORTERS[name]}")


def kubernetes(deployment: Deployment) -> Tree:
    """The configuration of a Prometheus in a cluster."""
    own = {"source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"], "regex": deployment.name}
    service = {
        "job_name": deployment.name,
        "kubernetes_sd_configs": [{"role": "pod"}],
        **_of_service(deployment, f"{CLUSTER_SECRETS}/metrics_token"),
        "relabel_configs": [{**own, "action": "keep"}, *_ANNOTATED],
    }
    # The service's token is for nobody else.
    others = {
        "job_name": "kubernetes-pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        **_histograms(deployment),
        "relabel_configs": [{**own, "action": "drop"}, *_ANNOTATED],
    }
    jobs = [service, others, *_nodes(), _job("prometheus", "localhost:9090")]
    return _with_jobs(deployment, jobs, CLUSTER_RULES)


def _source(name: str) -> list[str]:
    return [f"__meta_kubernetes_pod_{name}"]


_ANNOTATED: tuple[Mapping[str, Any], ...] = (
    {"source_labels": _source("annotation_prometheus_io_scrape"), "regex": "true", "action": "keep"},
    {"source_labels": _source("phase"), "regex": "Pending|Succeeded|Failed", "action": "drop"},
    {
        "source_labels": _source("annotation_prometheus_io_scheme"),
        "regex": "(https?)",
        "target_label": "__scheme__",
    },
    {
        "source_labels": _source("annotation_prometheus_io_path"),
        "regex": "(.+)",
        "target_label": "__metrics_path__",
    },
    {
        "source_labels": ["__address__", "__meta_kubernetes_pod_annotation_prometheus_io_port"],
        "regex": r"(\[[^]]+\]|[^:]+)(?::\d+)?;(\d+)",
        "replacement": "$1:$2",
        "target_label": "__address__",
    },
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": _source("name"), "target_label": "pod"},
    {"source_labels": _source("node_name"), "target_label": "node"},
    {"source_labels": _source("label_app_kubernetes_io_name"), "target_label": "app"},
)


def _nodes() -> Iterator[Tree]:
    """The kubelets, their containers, and the node exporter of each node."""
    for name, path in (("kubernetes-nodes", "/metrics"), ("kubernetes-cadvisor", "/metrics/cadvisor")):
        yield {
            "job_name": name,
            "scheme": "https",
            "metrics_path": path,
            "authorization": {"credentials_file": f"{_ACCOUNT}/token"},
            "tls_config": {"ca_file": f"{_ACCOUNT}/ca.crt"},
            "kubernetes_sd_configs": [{"role": "node"}],
            "relabel_configs": [
                {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
            ],
        }
