"""The one configuration of all generated files: the application's own, and the section ``[generate]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ferrometer._runtime.options import option
from ferrometer._runtime.settings import Sources
from ferrometer.alerts import rule_file
from ferrometer.alerts.duration import milliseconds
from ferrometer.alerts.feature import AlertsSettings
from ferrometer.alerts.packs import USUAL, pack
from ferrometer.alerts.rule import Group
from ferrometer.endpoints.protection import EndpointsSettings
from ferrometer.http.feature import HttpSettings
from ferrometer.logs.feature import LogsSettings
from ferrometer.slo.feature import SloSettings, objectives_of

_NAMESPACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
_TARGET = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})(/[!-~]*)?")
_IMAGE = re.compile(r"[a-z0-9][\w./:-]*:[\w.-]+(@sha256:[0-9a-f]{64})?|[\w./:-]+@sha256:[0-9a-f]{64}")

#: Exporters beside the service: their ports.
EXPORTERS = {"node": 9100, "postgres": 9187, "redis": 9121, "gpu": 9835}


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What `ferrometer generate` cannot know from the application's own sections."""

    services: tuple[str, ...] = option(
        (), "What is scraped: `name=host:port`, or `name=host:port/path`; the service itself by default."
    )
    port: int = option(8000, "Port of the application.")
    image: str | None = option(
        None, "The application's image with its version; by default Compose asks for the version."
    )
    exporters: tuple[str, ...] = option(
        ("node", "postgres", "redis", "gpu"), "Exporters beside it: `node`, `postgres`, `redis`, `gpu`."
    )
    scheme: str = option("http", "How the application is scraped: `http` or `https`.")
    scrape_interval: str = option("15s", "Time between two scrapes, and between two evaluations of rules.")
    retention: str = option("90d", "How long Prometheus and Loki keep what they have.")
    prometheus: int = option(3, "The Prometheus that reads the files: 3, or 2 (without native histograms).")
    channels: str | None = option(None, "What Slack's channels begin with; the namespace by default.")
    environment: str = option("production", "The value of `deployment.environment` and of its labels.")
    kubernetes_namespace: str = option("monitoring", "Where Kubernetes has the monitoring.")
    replicas: int = option(2, "Pods of the application in Kubernetes.")


@dataclass(frozen=True, slots=True)
class Target:
    """Something that Prometheus scrapes."""

    name: str
    address: str
    path: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What all files are made from; see :func:`deployment`."""

    namespace: str
    #: The service's name in jobs, files and Kubernetes: the namespace with ``-``.
    name: str
    chosen: GenerateSettings
    #: Before the endpoints' paths.
    path: str
    #: Whether the endpoints want a bearer token.
    has_token: bool
    targets: tuple[Target, ...]
    groups: tuple[Group, ...]
    runbooks: str
    log_format: str
    log_service: str
    syslog_port: int
    syslog_format: str
    syslog_tls: bool

    @property
    def channel(self) -> str:
        """What the names of Slack's channels begin with."""
        return self.chosen.channels or self.namespace.replace("_", "-")


def deployment(sources: Sources, namespace: str | None = None) -> Deployment:
    """Reads the settings. Raises ValueError that names the key, the value and the remedy."""
    http = sources.read("metrics", HttpSettings)
    endpoints = sources.read("endpoints", EndpointsSettings)
    logging = sources.read("logging", LogsSettings)
    alerts = sources.read("alerts", AlertsSettings)
    chosen = sources.read("generate", GenerateSettings)
    namespace = namespace or http.namespace
    if not namespace:
        raise ValueError("which namespace? --namespace NAME, or namespace in [metrics]")
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"namespace {namespace!r}: names of metrics begin with it: letters, digits and '_'")
    name = namespace.replace("_", "-").strip("-").lower()
    if not _NAME.fullmatch(name):
        raise ValueError(f"namespace {namespace!r}: {name!r} is no name in Kubernetes, which has at most 53")
    _check(chosen)
    metrics = f"{endpoints.path}/metrics"
    port = int(logging.syslog_address.rpartition(":")[2] or 0) if ":" in logging.syslog_address else 5000
    return Deployment(
        namespace=namespace,
        name=name,
        chosen=chosen,
        path=endpoints.path,
        has_token=endpoints.auth_token is not None,
        targets=tuple(_target(text, metrics) for text in chosen.services)
        or (Target(name, f"{name}:{chosen.port}", metrics),),
        groups=_groups(alerts, sources.read("slo", SloSettings), namespace),
        runbooks=(alerts.runbooks or "").rstrip("/"),
        log_format=logging.format or "gpuproxy",
        log_service=logging.service or name,
        syslog_port=port,
        syslog_format=logging.syslog_format,
        syslog_tls=logging.syslog_network == "tls",
    )


def _check(chosen: GenerateSettings) -> None:
    for key, duration in (("scrape_interval", chosen.scrape_interval), ("retention", chosen.retention)):
        try:
            is_some = milliseconds(duration) > 0
        except ValueError as error:
            raise ValueError(f"[generate] {key}: {error}") from None
        if not is_some:
            raise ValueError(f"[generate] {key} must be more than 0, not {duration!r}")
    if unknown := set(chosen.exporters) - set(EXPORTERS):
        raise ValueError(
            f"[generate] exporters: there is no {min(unknown)!r}; there are {', '.join(EXPORTERS)}"
        )
    for key, value, right in (
        ("scheme", chosen.scheme, ("http", "https")),
        ("prometheus", chosen.prometheus, (2, 3)),
        ("port", chosen.port, range(1, 65536)),
        ("replicas", chosen.replicas, range(1, 10_001)),
    ):
        if value not in right:
            words = (
                f"from {right[0]} to {right[-1]}" if isinstance(right, range) else f"{right[0]} or {right[1]}"
            )
            raise ValueError(f"[generate] {key} must be {words}, not {value!r}")
    if chosen.image is not None and (not _IMAGE.fullmatch(chosen.image) or chosen.image.endswith(":latest")):
        raise ValueError(
            f"[generate] image must name a version, as registry/gateway:1.4.2 does, not {chosen.image!r}"
        )
    if not _NAME.fullmatch(chosen.kubernetes_namespace):
        raise ValueError(f"[generate] kubernetes_namespace: no name: {chosen.kubernetes_namespace!r}")
    if chosen.channels is not None and not re.fullmatch(r"[a-z0-9_-]{1,60}", chosen.channels):
        raise ValueError(
            f"[generate] channels: Slack's are of small letters, digits, '-' and '_', not {chosen.channels!r}"
        )
    names = [text.partition("=")[0] for text in chosen.services]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"[generate] services: there are two called {min(twice)!r}")


def _target(text: str, path: str) -> Target:
    name, _, address = text.partition("=")
    found = _TARGET.fullmatch(address)
    if not _NAME.fullmatch(name) or found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError(f"[generate] services: one is like gateway=10.0.0.5:8000, not {text!r}")
    return Target(name, f"{found[1]}:{found[2]}", found[3] or path)


def _groups(alerts: AlertsSettings, slo: SloSettings, namespace: str) -> tuple[Group, ...]:
    """The ready-made rules that the application has, or the usual ones, its objectives and its own files."""
    groups = [pack(name, alerts.runbooks or "") for name in alerts.packs or USUAL]
    for file in (each for pattern in alerts.rules for each in rule_file.files(pattern)):
        found, faults = rule_file.read(file)
        if faults:
            raise ValueError(faults[0])
        groups += found
    for one in objectives_of(slo):
        groups += one.groups(slo.service or namespace, alerts.runbooks or "")
    return tuple(groups)
