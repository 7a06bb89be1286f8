"""KIND rules: the ready-made rules, and those of ``[alerts] rules``, a file for each group."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ferrometer.alerts.rule import to_yaml
from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File


def files(deployment: Deployment) -> Iterator[File]:
    """``rules/GROUP.yml``. Raises ValueError for two groups of one name."""
    notes: tuple[str, ...] = ("The application evaluates the same rules itself: [alerts].",)
    if not deployment.runbooks:
        notes = (
            *notes,
            "runbooks in [alerts] is the address of docs/runbooks, and gives each a runbook_url.",
        )
    names: set[str] = set()
    for group in deployment.groups:
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", group.name)
        if name in names:
            raise ValueError(f"[alerts] rules: there are two groups whose file would be rules/{name}.yml")
        names.add(name)
        yield File(f"rules/{name}.yml", "rules", to_yaml([group]), notes)
