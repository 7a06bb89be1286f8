"""KIND kubernetes: the application, and Prometheus, Alertmanager, Grafana and the exporters beside it."""

from __future__ import annotations

from collections.abc import Iterator

from ferrometer.generate import alertmanager, images, prometheus, rules
from ferrometer.generate.deployment import EXPORTERS, Deployment
from ferrometer.generate.file import File
from ferrometer.generate.grafana import dashboard_provider, data_sources
from ferrometer.generate.manifest import (
    Tree,
    config_map,
    container,
    metadata,
    pods,
    role,
    secret_volume,
    service,
    volume_of,
)
from ferrometer.generate.yaml_text import to_text

_KIND = "kubernetes"
_IMAGE = ("Name the application's image: image in [generate].",)


def files(deployment: Deployment) -> Iterator[File]:
    """``kubernetes/*.yml``, to be applied in the order of their names."""
    space = deployment.chosen.kubernetes_namespace
    secrets = (
        f"Secrets are yours to make: kubectl -n {space} create secret generic grafana-admin"
        " --from-literal=password=…, and alertmanager --from-literal=slack_webhook_url=…"
    )
    token = f"; kubectl -n {space} create secret generic metrics-token --from-literal=metrics_token=…"
    notes = (secrets + (token if deployment.has_token else ""),)
    for name, made, said in (
        ("00-namespace", _namespace(deployment), ()),
        ("10-application", _application(deployment), _IMAGE if deployment.chosen.image is None else ()),
        ("20-prometheus", _prometheus(deployment), notes),
        ("30-alertmanager", _alertmanager(deployment), notes),
        ("40-grafana", _grafana(deployment), notes),
        ("50-exporters", _exporters(deployment), ()),
    ):
        yield File(f"kubernetes/{name}.yml", _KIND, to_text(*made), said)


def _namespace(deployment: Deployment) -> list[Tree]:
    space = deployment.chosen.kubernetes_namespace
    # From outside nobody reaches the monitoring: `kubectl port-forward`, or an ingress with TLS and a login.
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata("from-within-only", space),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
    }
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}, policy]


def _application(deployment: Deployment) -> list[Tree]:
    name, chosen, path = deployment.name, deployment.chosen, deployment.path
    environment: list[Tree] = [
        {"name": "FERROMETER_METRICS_NAMESPACE", "value": deployment.namespace},
        {"name": "FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS", "value": "true"},
    ]
    if deployment.has_token:
        secret = {"name": f"{name}-metrics-token", "key": "metrics_token"}
        environment.append({"name": "FERROMETER_ENDPOINTS_AUTH_TOKEN", "valueFrom": {"secretKeyRef": secret}})

    def probe(which: str, delay: int) -> Tree:
        where = {"path": f"{path}/{which}", "port": "http", "scheme": chosen.scheme.upper()}
        return {"httpGet": where, "initialDelaySeconds": delay, "periodSeconds": delay, "timeoutSeconds": 3}

    made = container(
        name,
        chosen.image or f"{name}:0.0.0-name-a-version",
        chosen.port,
        env=environment,
        livenessProbe=probe("live", 10),
        readinessProbe=probe("ready", 5),
    )
    # Probes answer everybody; /health tells details, and wants the token.
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(chosen.port),
        "prometheus.io/path": f"{path}/metrics",
        "prometheus.io/scheme": chosen.scheme,
    }
    return [
        pods("Deployment", name, None, [made], replicas=chosen.replicas, annotations=annotations),
        service(name, None, chosen.port),
    ]


def _prometheus(deployment: Deployment) -> list[Tree]:
    space, chosen = deployment.chosen.kubernetes_namespace, deployment.chosen
    rule_files = {file.path.rpartition("/")[2]: file.text() for file in rules.files(deployment)}
    made = container(
        "prometheus",
        images.PROMETHEUS,
        9090,
        args=[
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--storage.tsdb.retention.time={chosen.retention}",
            "--enable-feature=exemplar-storage",
        ],
        health="/-/healthy",
        ready="/-/ready",
        memory="2Gi",
        mounts={"config": "/etc/prometheus", "rules": prometheus.CLUSTER_RULES, "data": "/prometheus"}
        | ({"token": prometheus.CLUSTER_SECRETS} if deployment.has_token else {}),
    )
    volumes = [volume_of("config", "prometheus"), volume_of("rules", "prometheus-rules")]
    if deployment.has_token:
        volumes.append(secret_volume("token", "metrics-token"))
    return [
        *role(
            "prometheus",
            space,
            [
                {
                    "apiGroups": [""],
                    "resources": ["nodes", "nodes/metrics", "pods", "services", "endpoints"],
                    "verbs": ["get", "list", "watch"],
                }
            ],
            paths=["/metrics", "/metrics/cadvisor"],
        ),
        config_map("prometheus", space, {"prometheus.yml": to_text(prometheus.kubernetes(deployment))}),
        config_map("prometheus-rules", space, rule_files),
        pods(
            "StatefulSet", "prometheus", space, [made], volumes=volumes, account="prometheus", storage="50Gi"
        ),
        service("prometheus", space, 9090),
    ]


def _alertmanager(deployment: Deployment) -> list[Tree]:
    space = deployment.chosen.kubernetes_namespace
    made = container(
        "alertmanager",
        images.ALERTMANAGER,
        9093,
        args=["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        health="/-/healthy",
        ready="/-/ready",
        mounts={"config": "/etc/alertmanager", "secrets": "/run/secrets", "data": "/alertmanager"},
    )
    volumes = [volume_of("config", "alertmanager"), secret_volume("secrets", "alertmanager")]
    text = to_text(alertmanager.configuration(deployment))
    return [
        config_map("alertmanager", space, {"alertmanager.yml": text}),
        pods("StatefulSet", "alertmanager", space, [made], volumes=volumes, storage="1Gi"),
        service("alertmanager", space, 9093),
    ]


def _grafana(deployment: Deployment) -> list[Tree]:
    space = deployment.chosen.kubernetes_namespace
    password = {"name": "grafana-admin", "key": "password"}
    made = container(
        "grafana",
        images.GRAFANA,
        3000,
        env=[
            {"name": "GF_SECURITY_ADMIN_PASSWORD", "valueFrom": {"secretKeyRef": password}},
            {"name": "GF_USERS_ALLOW_SIGN_UP", "value": "false"},
            {"name": "GF_AUTH_ANONYMOUS_ENABLED", "value": "false"},
            {"name": "GF_ANALYTICS_REPORTING_ENABLED", "value": "false"},
        ],
        health="/api/health",
        ready="/api/health",
        mounts={
            "sources": "/etc/grafana/provisioning/datasources",
            "provider": "/etc/grafana/provisioning/dashboards",
            "dashboards": "/var/lib/grafana/dashboards",
            "data": "/var/lib/grafana",
            "tmp": "/tmp",
        },
    )
    dashboards = {"name": "grafana-dashboards", "optional": True}
    volumes: list[Tree] = [
        volume_of("sources", "grafana-datasources"),
        volume_of("provider", "grafana-provider"),
        # kubectl create configmap grafana-dashboards --from-file=dashboards
        {"name": "dashboards", "configMap": dashboards},
        {"name": "tmp", "emptyDir": {}},
    ]
    return [
        config_map("grafana-datasources", space, {"all.yml": to_text(data_sources())}),
        config_map("grafana-provider", space, {"all.yml": to_text(dashboard_provider(deployment.name))}),
        pods("StatefulSet", "grafana", space, [made], volumes=volumes, storage="5Gi", user=472),
        service("grafana", space, 3000),
    ]


def _exporters(deployment: Deployment) -> list[Tree]:
    space = deployment.chosen.kubernetes_namespace
    made: list[Tree] = []
    if "node" in deployment.chosen.exporters:
        port = EXPORTERS["node"]
        node = container(
            "node-exporter",
            images.NODE_EXPORTER,
            port,
            args=["--path.rootfs=/host"],
            health="/",
            ready="/",
            mounts={"host": "/host"},
        )
        node["volumeMounts"][0] |= {"readOnly": True, "mountPropagation": "HostToContainer"}
        made.append(
            pods(
                "DaemonSet",
                "node-exporter",
                space,
                [node],
                volumes=[{"name": "host", "hostPath": {"path": "/"}}],
                annotations={"prometheus.io/scrape": "true", "prometheus.io/port": str(port)},
            )
        )
    state = container(
        "kube-state-metrics", images.KUBE_STATE_METRICS, 8080, health="/livez", ready="/metrics"
    )
    listed = [
        {
            "apiGroups": [""],
            "resources": ["nodes", "pods", "namespaces", "services", "persistentvolumeclaims"],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "statefulsets", "daemonsets", "replicasets"],
            "verbs": ["list", "watch"],
        },
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list", "watch"]},
    ]
    state["args"] = [
        "--resources=nodes,pods,namespaces,services,persistentvolumeclaims,deployments,statefulsets,"
        "daemonsets,replicasets,jobs,cronjobs"
    ]
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    return [
        *made,
        *role("kube-state-metrics", space, listed),
        pods(
            "Deployment",
            "kube-state-metrics",
            space,
            [state],
            account="kube-state-metrics",
            annotations=annotations,
        ),
    ]
