"""The system as a whole, and what it runs on."""

from __future__ import annotations

from ferrometer.generate.board import ALL, ERRORS, TIMES, Board, Panel, Row, one, percentiles, quantile, rate


def boards(ns: str) -> tuple[Board, ...]:
    """Overview and infrastructure."""
    return (_overview(ns), _infrastructure())


_HEALTH = one(
    "Health",
    "none",
    "min by (check) (ferrometer_health_check)",
    "{{check}}",
    kind="health",
    alert="HealthCheckFailing",
)
_MEMORY = one(
    "Memory",
    "percentunit",
    "max(cgroup_memory_used_ratio)",
    "used",
    warn=0.8,
    bad=0.9,
    alert="HighMemoryUsage",
)
_CPU = one(
    "Processor", "percentunit", "max(cgroup_cpu_used_ratio)", "used", warn=0.8, bad=0.9, alert="HighCPUUsage"
)
_DISK = one(
    "Disk available",
    "percentunit",
    "min by (mountpoint) (filesystem_avail_bytes / filesystem_size_bytes)",
    "{{mountpoint}}",
    warn=0.2,
    bad=0.1,
    alert="LowDiskSpace",
)


def _overview(ns: str) -> Board:
    return Board(
        "system-overview",
        "System overview",
        "Is it well, how much does it do, and what is it short of.",
        (
            Row(
                "Now",
                (
                    _HEALTH,
                    one("Active jobs", "none", f"sum({ns}_job_in_flight)", kind="values"),
                    one("Completed jobs", "none", f"sum({ns}_job_completed_total)", kind="values"),
                    one("Requests", "reqps", rate(ALL), kind="values"),
                    one("Errors", "percentunit", ERRORS, kind="values", warn=0.01, bad=0.05),
                    one("Workers", "none", "count(process_resident_memory_bytes)", kind="values"),
                    one("Active users", "none", f'sum({ns}_active_users{{window="5m"}})', kind="values"),
                ),
            ),
            Row(
                "Requests",
                (
                    one("Request rate", "reqps", rate(ALL, "status"), "{{status}}"),
                    Panel(
                        "Response time",
                        "s",
                        percentiles(TIMES, 0.5, 0.95, 0.99),
                        warn=0.5,
                        bad=2,
                        alert="APIHighLatency",
                    ),
                    one(
                        "Error rate",
                        "percentunit",
                        ERRORS,
                        "answered with 5xx",
                        warn=0.01,
                        bad=0.05,
                        alert="APIHighErrorRate",
                    ),
                ),
            ),
            Row(
                "Resources",
                (
                    one(
                        "GPU utilisation",
                        "percentunit",
                        "max by (gpu_id) (gpu_utilization_ratio)",
                        "GPU {{gpu_id}}",
                        warn=0.9,
                        bad=0.95,
                        alert="GPUHighUtilization",
                        most=1,
                    ),
                    one("Storage used", "bytes", f"sum by (store) ({ns}_storage_used_bytes)", "{{store}}"),
                    _DISK,
                ),
            ),
        ),
        ("overview",),
    )


def _infrastructure() -> Board:
    lag = quantile(0.99, "asyncio_loop_lag_seconds")
    pressure = rate("cgroup_pressure_waiting_seconds_total", "resource")
    return Board(
        "infrastructure",
        "Infrastructure",
        "What the service runs on: its container, its nodes, its pods.",
        (
            Row(
                "The service's container",
                (
                    _CPU,
                    _MEMORY,
                    _DISK,
                    one("Event loop lag, p99", "s", lag, "lag", warn=0.05, bad=0.1),
                    one("Waiting for the machine", "percentunit", pressure, "{{resource}}"),
                    Panel(
                        "Network",
                        "Bps",
                        (
                            (rate("network_receive_bytes_total", "device"), "{{device}} received"),
                            (rate("network_transmit_bytes_total", "device"), "{{device}} sent"),
                        ),
                    ),
                    one(
                        "Collectors that fail",
                        "none",
                        "sum(ferrometer_collector_success == bool 0)",
                        "collectors",
                        bad=1,
                        alert="CollectorFailing",
                    ),
                ),
            ),
            Row("Nodes (node exporter)", _nodes()),
            Row("Pods and cluster (kube-state-metrics)", _pods()),
        ),
        ("infrastructure",),
    )


def _nodes() -> tuple[Panel, ...]:
    idle = 'rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval])'
    full = 'fstype!~"tmpfs|overlay|squashfs"'
    return (
        one(
            "Processor",
            "percentunit",
            f"1 - avg by (instance) ({idle})",
            "{{instance}}",
            warn=0.8,
            bad=0.9,
            source="node",
        ),
        one(
            "Memory",
            "percentunit",
            "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
            "{{instance}}",
            warn=0.8,
            bad=0.9,
            source="node",
        ),
        one(
            "Disk available",
            "percentunit",
            f"node_filesystem_avail_bytes{{{full}}} / node_filesystem_size_bytes{{{full}}}",
            "{{instance}} {{mountpoint}}",
            warn=0.2,
            bad=0.1,
            source="node",
        ),
        Panel(
            "Network",
            "Bps",
            (
                (rate('node_network_receive_bytes_total{device!="lo"}', "instance"), "{{instance}} received"),
                (rate('node_network_transmit_bytes_total{device!="lo"}', "instance"), "{{instance}} sent"),
            ),
            source="node",
        ),
        Panel(
            "Storage",
            "Bps",
            (
                (rate("node_disk_read_bytes_total", "instance"), "{{instance}} read"),
                (rate("node_disk_written_bytes_total", "instance"), "{{instance}} written"),
            ),
            source="node",
        ),
    )


def _pods() -> tuple[Panel, ...]:
    restarts = "sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[1h]))"
    return (
        one("Pods", "none", "sum by (phase) (kube_pod_status_phase)", "{{phase}}", source="kubernetes"),
        one("Restarts in an hour", "none", restarts, "{{pod}}", warn=1, bad=5, source="kubernetes"),
        one(
            "Nodes ready",
            "none",
            'sum(kube_node_status_condition{condition="Ready",status="true"})',
            "ready",
            source="kubernetes",
        ),
        one(
            "Replicas unavailable",
            "none",
            "sum by (namespace, deployment) (kube_deployment_status_replicas_unavailable)",
            "{{deployment}}",
            bad=1,
            source="kubernetes",
        ),
    )
