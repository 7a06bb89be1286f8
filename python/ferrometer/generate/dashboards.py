"""KIND dashboards: Grafana's, a file for each."""

from __future__ import annotations

from collections.abc import Iterator

from ferrometer.generate.board import Board
from ferrometer.generate.boards import service, system, work
from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File, json_body


def boards(namespace: str) -> tuple[Board, ...]:
    """All of them."""
    return (*system.boards(namespace), *service.boards(namespace), *work.boards(namespace))


def files(deployment: Deployment) -> Iterator[File]:
    """``dashboards/NAME.json``. Raises ModuleNotFoundError with the remedy without the extra."""
    from ferrometer.generate.grafana_json import to_tree

    runbooks = {
        rule.alert: rule.annotations["runbook_url"]
        for group in deployment.groups
        for rule in group.rules
        if "runbook_url" in rule.annotations
    }
    for board in boards(deployment.namespace):
        tree = to_tree(board, deployment.namespace, runbooks)
        yield File(f"dashboards/{board.slug}.json", "dashboards", json_body(tree))
