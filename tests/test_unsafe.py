"""`unsafe` stands where ARCHITECTURE.md says, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def files_with_unsafe(root: Path) -> set[str]:
    """The sources of the product with `unsafe` in their code, comments left out."""
    found = set()
    for crate in root.glob("rust/*"):
        if crate.name != "fuzz":
            for file in (crate / "src").rglob("*.rs"):
                code = re.sub(r"//[^\n]*", "", file.read_text())
                if re.search(r"\bunsafe\s*(\{|fn|impl|extern|trait)", code):
                    found.add(file.relative_to(root).as_posix())
    return found


def places(page: str) -> set[str]:
    """The places of the table."""
    _, _, table = page.partition("| place | why |")
    return set(re.findall(r"`(rust/[\w/.]+)`", table))


def test_unsafe_stands_where_it_is_said() -> None:
    said = places((ROOT / "ARCHITECTURE.md").read_text())
    found = files_with_unsafe(ROOT)
    assert len(found) > 30
    assert {
        file for file in found if not any(file == place or file.startswith(f"{place}/") for place in said)
    } == set()
    assert {place for place in said if not any(f"{file}/".startswith(f"{place}/") for file in found)} == set()


def test_a_new_place_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "rust" / "logs" / "src" / "line.rs"
    file.parent.mkdir(parents=True)
    file.write_text("// unsafe { }\nfn a() {}\n")
    assert files_with_unsafe(tmp_path) == set()
    file.write_text("fn a() { unsafe { b() } }\n")
    assert files_with_unsafe(tmp_path) == {"rust/logs/src/line.rs"}


BORROWED = re.compile(r"// SAFETY: (?:as for|as above|as below|as in |as promised|likewise|the same|see )")


def test_every_block_has_an_argument_of_its_own() -> None:
    texts = {file: file.read_text() for file in ROOT.glob("rust/*/src/**/*.rs")}
    assert sum(text.count("// SAFETY: ") for text in texts.values()) > 300
    assert [file.relative_to(ROOT).as_posix() for file, text in texts.items() if BORROWED.search(text)] == []
    assert BORROWED.search("    // SAFETY: as above; and more")
