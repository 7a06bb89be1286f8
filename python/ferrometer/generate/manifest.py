"""The parts of Kubernetes' manifests that all of ours have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Tree = dict[str, Any]
_NOBODY = 65534


def metadata(name: str, space: str | None, annotations: Mapping[str, str] | None = None) -> Tree:
    """A name and the labels by which everything finds it; without ``space`` the one of kubectl's context."""
    made: Tree = {"name": name, "labels": {"app.kubernetes.io/name": name}}
    if space is not None:
        made["namespace"] = space
    if annotations:
        made["annotations"] = dict(annotations)
    return made


def container(
    name: str,
    image: str,
    port: int,
    *,
    args: Sequence[str] = (),
    health: str = "",
    ready: str = "",
    memory: str = "512Mi",
    mounts: Mapping[str, str] | None = None,
    **more: Any,
) -> Tree:
    """One that may do nothing but its work."""
    made: Tree = {"name": name, "image": image}
    if args:
        made["args"] = list(args)
    made |= {"ports": [{"name": "http", "containerPort": port}], **more}
    for word, path, delay in (("livenessProbe", health, 10), ("readinessProbe", ready, 5)):
        if path:
            made[word] = {
                "httpGet": {"path": path, "port": "http"},
                "initialDelaySeconds": delay,
                "periodSeconds": delay,
            }
    made["resources"] = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": memory}}
    if mounts:
        made["volumeMounts"] = [{"name": key, "mountPath": path} for key, path in mounts.items()]
    made["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return made


def pods(
    kind: str,
    name: str,
    space: str | None,
    containers: Sequence[Tree],
    *,
    replicas: int = 1,
    volumes: Sequence[Tree] = (),
    annotations: Mapping[str, str] | None = None,
    account: str | None = None,
    storage: str | None = None,
    user: int = _NOBODY,
) -> Tree:
    """A Deployment, a StatefulSet or a DaemonSet; ``storage`` is of its volume ``data``."""
    spec: Tree = {"automountServiceAccountToken": account is not None}
    if account is not None:
        spec["serviceAccountName"] = account
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec["containers"] = list(containers)
    if volumes:
        spec["volumes"] = list(volumes)
    labels = {"app.kubernetes.io/name": name}
    template = {"metadata": {"labels": labels} | ({"annotations": dict(annotations)} if annotations else {})}
    made: Tree = {"selector": {"matchLabels": labels}, "template": {**template, "spec": spec}}
    if kind != "DaemonSet":
        made = {"replicas": replicas, **made}
    if kind == "StatefulSet":
        made = {"serviceName": name, **made}
        made["volumeClaimTemplates"] = [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": storage}},
                },
            }
        ]
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(name, space), "spec": made}


def service(name: str, space: str | None, port: int) -> Tree:
    """The name by which the others reach it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, space),
        "spec": {
            "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": "http", "port": port, "targetPort": "http"}],
        },
    }


def config_map(name: str, space: str, data: Mapping[str, str]) -> Tree:
    """Files for a pod."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, space), "data": dict(data)}


def volume_of(name: str, config: str) -> Tree:
    """The files of a config map."""
    return {"name": name, "configMap": {"name": config}}


def secret_volume(name: str, secret: str) -> Tree:
    """The files of a secret."""
    return {"name": name, "secret": {"secretName": secret}}


def role(name: str, space: str, rules: Sequence[Tree], paths: Sequence[str] = ()) -> list[Tree]:
    """A service account that may read so much of the cluster."""
    group = "rbac.authorization.k8s.io"
    allowed = [*rules, *([{"nonResourceURLs": list(paths), "verbs": ["get"]}] if paths else [])]
    full = f"{space}-{name}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": space}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, space)},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": metadata(full, None),
            "rules": allowed,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata(full, None),
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": full},
            "subjects": [subject],
        },
    ]
