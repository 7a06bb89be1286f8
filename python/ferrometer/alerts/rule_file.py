"""Rule files: YAML as Prometheus reads it. What is wrong is named with its file and line."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ferrometer.alerts.rule import Group, Rule

_log = logging.getLogger("ferrometer")

_GROUP = {"name", "interval", "limit", "rules", "labels", "query_offset", "partial_response_strategy"}
_RULE = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}


class Located(dict[str, Any]):
    """A mapping of a YAML file that knows its line, and those of its keys."""

    line = 0
    lines: Mapping[str, int] = {}


def files(pattern: str) -> list[Path]:
    """The files that an entry of ``[alerts] rules`` names.

    Raises FileNotFoundError where an entry that is no pattern names none.
    """
    path = Path(pattern)
    if not any(sign in pattern for sign in "*?["):
        if not path.is_file():
            raise FileNotFoundError(f"[alerts] rules: there is no file {pattern!r}")
        return [path]
    root = Path(path.anchor) if path.is_absolute() else Path()
    found = sorted(root.glob(str(path.relative_to(path.anchor)) if path.is_absolute() else pattern))
    if not found:
        _log.warning("[alerts] rules: no file is like %r", pattern)
    return found


def read(path: Path) -> tuple[list[Group], list[str]]:
    """The groups of a file, and what is wrong with it: a group with a fault is left out, the others go on.

    Raises OSError when the file cannot be read, ModuleNotFoundError with the remedy without PyYAML.
    """
    return parse(path.read_text(encoding="utf-8"), str(path))


def parse(text: str, source: str) -> tuple[list[Group], list[str]]:
    """The same for a text; ``source`` is what its faults begin with."""
    faults: list[str] = []
    try:
        tree = load(text)
    except ValueError as error:
        return [], [f"{source}:{error}"]
    if tree is None:
        return [], []
    if not isinstance(tree, Located) or set(tree) - {"groups"}:
        return [], [f"{source}:1: a rule file has one key, groups"]
    groups: list[Group] = []
    for node in tree.get("groups") or ():
        try:
            group = _group(node, source)
            if any(other.name == group.name for other in groups):
                raise ValueError(f"{node.line}: there are two groups called {group.name!r}")
            groups.append(group)
        except ValueError as error:
            faults.append(f"{source}:{error}")
    return groups, faults


def _group(node: object, source: str) -> Group:
    if not isinstance(node, Located):
        raise ValueError("1: a group is a mapping with name and rules")
    _known(node, _GROUP, "a group")
    rules = [_rule(each) for each in node.get("rules") or ()]
    try:
        return Group(
            name=str(node.get("name") or ""),
            rules=tuple(rules),
            interval=_text(node.get("interval")),
            labels=_texts(node, "labels"),
            limit=int(node.get("limit") or 0),
            file=source,
        )
    except ValueError as error:
        raise ValueError(f"{node.line}: {error}") from None


def _rule(node: object) -> Rule:
    if not isinstance(node, Located):
        raise ValueError("1: a rule is a mapping with alert or record, and expr")
    _known(node, _RULE, "a rule")
    try:
        return Rule(
            expr=_text(node.get("expr")) or "",
            alert=_text(node.get("alert")) or "",
            record=_text(node.get("record")) or "",
            wait=_text(node.get("for")) or "0s",
            keep_firing_for=_text(node.get("keep_firing_for")) or "0s",
            labels=_texts(node, "labels"),
            annotations=_texts(node, "annotations"),
        )
    except ValueError as error:
        raise ValueError(f"{node.line}: {error}") from None


def _known(node: Located, keys: set[str], what: str) -> None:
    for key in node:
        if key not in keys:
            raise ValueError(
                f"{node.lines.get(key, node.line)}: {what} has no key {key!r};"
                f" its keys are {', '.join(sorted(keys))}"
            )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(node: Located, key: str) -> dict[str, str]:
    value = node.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is a mapping of names to texts")
    return {str(name): str(text) for name, text in value.items()}


def load(text: str) -> Any:
    """A YAML text: mappings are ``Located``, all scalars are as YAML 1.1 and 1.2 both have them.

    Raises ValueError ``LINE: why``.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModuleNotFoundError('rule files need PyYAML: pip install "ferrometer[alerts]"') from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"{mark.line + 1 if mark else 1}: no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"1: no YAML: {error}") from None
    return None if node is None else _value(node, yaml, 0)


def _value(node: Any, yaml: Any, depth: int) -> Any:
    line = node.start_mark.line + 1
    if depth > 50:
        raise ValueError(f"{line}: nested too deeply")
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, yaml, depth + 1) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        made, lines = Located(), {}
        for key, value in _pairs(node, yaml):
            name = str(key.value)
            if name in made:
                raise ValueError(f"{key.start_mark.line + 1}: the key {name!r} is there twice")
            made[name] = _value(value, yaml, depth + 1)
            lines[name] = key.start_mark.line + 1
        made.line, made.lines = line, lines
        return made
    if node.tag == "tag:yaml.org,2002:null":
        return None
    # Whatever YAML makes of on, 1e3 or 12:30: a rule's values are texts.
    return str(node.value)


def _pairs(node: Any, yaml: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"{key.start_mark.line + 1}: a key is a text")
        yield key, value
