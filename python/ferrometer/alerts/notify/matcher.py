"""Matchers of labels: ``severity=~"warning|info"``, as Alertmanager writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_FORM = re.compile(r'\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^"]*?)\s*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that is missing is empty. Raises ValueError for a bad expression."""

    name: str
    sign: str
    value: str
    _pattern: re.Pattern[str] | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        pattern = None
        if self.sign in ("=~", "!~"):
            try:
                pattern = re.compile(self.value, re.DOTALL)
            except re.error as error:
                raise ValueError(f"matcher {self}: {error}") from None
        object.__setattr__(self, "_pattern", pattern)

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels are such."""
        value = labels.get(self.name, "")
        found = value == self.value if self._pattern is None else self._pattern.fullmatch(value) is not None
        return found == (self.sign in ("=", "=~"))


def quoted(value: str) -> str:
    """A value as Alertmanager writes it in group keys."""
    return json.dumps(value, ensure_ascii=False)


def parse(text: str) -> list[Matcher]:
    """``a="b"``, or several in braces. Raises ValueError for what is none."""
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    # Commas between conditions, and not those in a value.
    parts = re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', text)
    made = []
    for part in parts:
        match = _FORM.fullmatch(part)
        if match is None:
            raise ValueError(f'no matcher: {part.strip()!r}; write severity="critical"')
        value = match[3]
        made.append(Matcher(match[1], match[2], json.loads(value) if value.startswith('"') else value))
    return made


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether the labels are as all of them say."""
    return all(matcher.matches(labels) for matcher in matchers)
