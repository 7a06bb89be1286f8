"""The versions of the programs that the generated files are for: each image is pinned to one."""

from __future__ import annotations

PROMETHEUS = "prom/prometheus:v3.14.0"
ALERTMANAGER = "prom/alertmanager:v0.28.1"
GRAFANA = "grafana/grafana:12.4.0"
LOKI = "grafana/loki:3.5.8"
#: There will be no later one.
PROMTAIL = "grafana/promtail:3.5.8"
OTEL_COLLECTOR = "otel/opentelemetry-collector-contrib:0.161.0"
JAEGER = "jaegertracing/all-in-one:1.76.0"
NODE_EXPORTER = "prom/node-exporter:v1.11.1"
POSTGRES_EXPORTER = "prometheuscommunity/postgres-exporter:v0.19.1"
REDIS_EXPORTER = "oliver006/redis_exporter:v1.69.0"
GPU_EXPORTER = "utkuozdemir/nvidia_gpu_exporter:1.4.1"
KUBE_STATE_METRICS = "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0"
