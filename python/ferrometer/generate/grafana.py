"""What Grafana is told at its start: its data sources, and where its dashboards lie."""

from __future__ import annotations

from typing import Any

#: How dashboards name the data source.
PROMETHEUS = "prometheus"


def data_sources() -> dict[str, Any]:
    """Prometheus, Loki and Jaeger, each linked to the others."""
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "type": "prometheus",
                "uid": PROMETHEUS,
                "url": "http://prometheus:9090",
                "access": "proxy",
                "isDefault": True,
                "jsonData": {
                    "httpMethod": "POST",
                    "prometheusType": "Prometheus",
                    "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": "jaeger"}],
                },
            },
            {
                "name": "Loki",
                "type": "loki",
                "uid": "loki",
                "url": "http://loki:3100",
                "access": "proxy",
                "jsonData": {
                    "derivedFields": [
                        {
                            "name": "trace_id",
                            "matcherType": "label",
                            "matcherRegex": "trace_id",
                            "datasourceUid": "jaeger",
                            # Grafana expands variables of its environment: $$ is a dollar.
                            "url": "$${__value.raw}",
                        }
                    ]
                },
            },
            {
                "name": "Jaeger",
                "type": "jaeger",
                "uid": "jaeger",
                "url": "http://jaeger:16686",
                "access": "proxy",
                "jsonData": {"tracesToLogsV2": {"datasourceUid": "loki", "filterByTraceID": True}},
            },
        ],
    }


def dashboard_provider(folder: str) -> dict[str, Any]:
    """Where the dashboards are; Grafana looks again every 30 seconds."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": folder,
                "folder": folder,
                "type": "file",
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": "/var/lib/grafana/dashboards"},
            }
        ],
    }
