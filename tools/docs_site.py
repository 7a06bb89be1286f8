"""What mkdocs needs beside ``docs``: pages of the top level, whose links are written for a repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: Pages of the repository's top level, and what they are called in the site.
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Adds the pages of the top level."""
    for source, name in PAGES.items():
        text = re.sub(r"\]\(docs/", "](", (ROOT / source).read_text())
        files.append(File.generated(config, name, content=_linked(text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page of `docs/` links to those of the top level by ``../``."""
    return _linked(markdown)


def _linked(text: str) -> str:
    text = re.sub(r"\]\(\.\./(" + "|".join(map(re.escape, PAGES)) + r")", r"](\1", text)
    text = text.replace("](README.md", "](index.md")
    # Files of the repository that are no pages: their names, without a link that leads nowhere.
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)?(?:LICENSE|python|rust|tests|benches|tools)[^)]*\)", r"\1", text)
