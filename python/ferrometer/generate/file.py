"""Generated files: how one is recognised, compared and written.

The head of each file has the SHA-256 of the rest. A file whose checksum is not that of its text was edited by
hand, and one without a checksum is somebody else's: neither is overwritten unless that is asked for.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

_MARK = re.compile(r"ferrometer generate ([\w-]+), sha256: ([0-9a-f]{64})")
#: The mark is within so many characters.
_HEAD = 400


class State(Enum):
    """What there is where a file is to be written."""

    ABSENT = "there is none"
    SAME = "it is the same"
    OLDER = "it was generated, and nobody has edited it"
    EDITED = "it was generated, and then edited by hand"
    FOREIGN = "it was not generated"


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written: its path below the folder, and its text without the head."""

    path: str
    kind: str
    body: str
    #: Sentences for whoever opens it. JSON has no comments, and none of these.
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The whole file, with its checksum."""
        if self.path.endswith(".json"):
            opening, body = '{\n  "__generated": "', self.body.removeprefix("{\n")
            return _signed(f'{opening}ferrometer generate {self.kind}, sha256: "', f",\n{body}")
        lines = (line for note in self.notes for line in textwrap.wrap(note, 100, break_on_hyphens=False))
        notes = "".join(f"# {line}\n" for line in lines)
        return _signed(f"# ferrometer generate {self.kind}, sha256: ", f"\n{notes}\n{self.body}")


def json_body(tree: Mapping[str, Any]) -> str:
    """An object as the text of a file."""
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _signed(before: str, after: str) -> str:
    # The checksum is of the text without it.
    quoted = before.endswith('"')
    before = before.removesuffix('"')
    after = f'"{after}' if quoted else after
    return before + hashlib.sha256((before + after).encode()).hexdigest() + after


def state(file: File, folder: Path) -> State:
    """What there is in its place. Raises OSError when that cannot be read."""
    try:
        # Git may have changed the ends of lines.
        text = (folder / file.path).read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    except FileNotFoundError:
        return State.ABSENT
    if text == file.text():
        return State.SAME
    mark = _MARK.search(text[:_HEAD])
    if mark is None:
        return State.FOREIGN
    digest = mark[2]
    rest = text.replace(digest, "", 1)
    return State.OLDER if hashlib.sha256(rest.encode()).hexdigest() == digest else State.EDITED


def difference(file: File, folder: Path) -> list[str]:
    """What writing it would change, as lines of a unified diff."""
    path = folder / file.path
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return list(
        difflib.unified_diff(
            before.splitlines(),
            file.text().splitlines(),
            str(path) if before else "/dev/null",
            str(path),
            lineterm="",
        )
    )


def write(files: Iterable[File], folder: Path, *, force: bool = False) -> dict[str, State]:
    """Writes the files, and returns what was there of each before.

    What is ``EDITED`` or ``FOREIGN`` is left as it is, unless ``force``. Raises OSError when the folder or a
    file in it cannot be written.
    """
    found = {}
    for file in files:
        found[file.path] = before = state(file, folder)
        if before in (State.ABSENT, State.OLDER) or (force and before is not State.SAME):
            _replace(folder / file.path, file.text())
    return found


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A reader, such as a Prometheus that reloads, never sees half of it.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as target:
            target.write(text)
        os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
