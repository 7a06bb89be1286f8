"""Imports point down only, in Python and in the Rust core; siblings do not know each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "python" / "ferrometer"
CORE = ROOT / "rust" / "core" / "src"

# From the ground up. A module may import from the layers below its own; a package (`demo/`) is one module.
PYTHON_LAYERS: Sequence[frozenset[str]] = (
    frozenset({"_core", "conventions"}),
    frozenset(
        {
            "_budget",
            "_flight",
            "_own",
            "_peer",
            "_place",
            "_supervisor",
            "_trace",
            "_validation",
            "config",
            "request_id",
            "route_template",
            "system",
            "timing",
        }
    ),
    frozenset({"_families", "sharing"}),
    frozenset({"multiprocess", "registry"}),
    frozenset({"_metric", "exposition"}),
    frozenset({"openmetrics"}),
    frozenset({"metrics"}),
    frozenset({"gpu_stats"}),
    frozenset({"acceleration", "access", "collectors", "health", "middleware", "remote_write", "stats"}),
    frozenset({"endpoints", "serving"}),
    frozenset({"instrumentation", "sidecar", "testing"}),
    frozenset({"demo"}),
    frozenset({"startup"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
PYTHON_NEIGHBOURS: frozenset[tuple[str, str]] = frozenset()

CORE_LAYERS: Sequence[frozenset[str]] = (
    frozenset({"error", "mode", "prefetch", "sync"}),
    frozenset({"descriptor", "fork", "seqlock"}),
    frozenset({"clock", "reclaim", "slab"}),
    frozenset({"cell", "head"}),
    frozenset({"histogram", "labels", "sampling"}),
    frozenset({"computed", "definition", "info"}),
    frozenset({"series"}),
    frozenset({"exemplar"}),
    frozenset({"family"}),
    frozenset({"reading"}),
    frozenset({"segment"}),
    frozenset({"scrape"}),
    frozenset({"registry"}),
    frozenset({"encode"}),
)

Import = tuple[str, str]


def python_imports(root: Path) -> Iterator[Import]:
    """Who imports whom, by top-level module of the package, `__init__` (the lazy map) left out."""
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if parts == ("__init__",):
            continue
        for imported in _imported(ast.parse(file.read_text()), ("ferrometer", *parts)):
            if imported[:1] == ("ferrometer",) and len(imported) > 1 and imported[1] != parts[0]:
                yield parts[0], imported[1]


def _imported(tree: ast.AST, importer: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue  # names for the type checker: nothing is imported when the program runs
        yield from _imported(node, importer)
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importer[: len(importer) - node.level] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def core_imports(root: Path) -> Iterator[Import]:
    """Who names whom through `crate::`, by top-level module of the core; `lib.rs` (the map) left out."""
    for file in sorted(root.rglob("*.rs")):
        module = file.relative_to(root).with_suffix("").parts[0]
        if module == "lib":
            continue
        for imported in _crate_paths(_without_comments(file.read_text())):
            if imported != module:
                yield module, imported


def _crate_paths(source: str) -> Iterator[str]:
    for one, many in re.findall(r"\bcrate::(?:([a-z_]\w*)|\{([^;]*)\};)", source):
        yield from [one] if one else re.findall(r"(?:^|,)\s*([a-z_]\w*)", re.sub(r"\{[^{}]*\}", "", many))


def _without_comments(source: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)


def violations(
    imports: Iterable[Import], layers: Sequence[frozenset[str]], neighbours: frozenset[tuple[str, str]]
) -> list[str]:
    """The imports that do not point down, one line each."""
    height = {name: level for level, names in enumerate(layers) for name in names}
    wrong = []
    for importer, imported in sorted(set(imports)):
        unknown = [name for name in (importer, imported) if name not in height]
        if unknown:
            wrong.append(f"{unknown[0]} has no layer yet (seen in {importer} -> {imported})")
        elif height[imported] >= height[importer] and (importer, imported) not in neighbours:
            relation = "its neighbour" if height[imported] == height[importer] else "a layer above"
            wrong.append(f"{importer} imports {relation}, {imported}")
    return wrong


def test_python_imports_point_down() -> None:
    imports = list(python_imports(PYTHON))
    assert imports, "no import was found at all"
    assert violations(imports, PYTHON_LAYERS, PYTHON_NEIGHBOURS) == []


def test_every_python_module_has_a_layer() -> None:
    known = frozenset[str]().union(*PYTHON_LAYERS)
    modules = {
        path.stem for path in PYTHON.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - known - {"__init__"} == set()


def test_core_imports_point_down() -> None:
    imports = list(core_imports(CORE))
    assert imports, "no import was found at all"
    assert violations(imports, CORE_LAYERS, frozenset()) == []


def test_the_core_has_never_heard_of_python() -> None:
    files = [CORE.parent / "Cargo.toml", *sorted(CORE.rglob("*.rs"))]
    assert len(files) > 1
    assert [file.name for file in files if "pyo3" in file.read_text().lower()] == []


@pytest.mark.parametrize(
    ("importer", "imported", "complaint"),
    [
        ("metrics", "endpoints", "metrics imports a layer above, endpoints"),
        ("health", "stats", "health imports its neighbour, stats"),
        ("novelty", "_core", "novelty has no layer yet (seen in novelty -> _core)"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, importer: str, imported: str, complaint: str) -> None:
    (tmp_path / f"{importer}.py").write_text(
        f"def late():\n    if True:\n        from ferrometer import {imported}\n"
    )
    assert violations(python_imports(tmp_path), PYTHON_LAYERS, PYTHON_NEIGHBOURS) == [complaint]


@pytest.mark.parametrize(
    "source",
    [
        "use crate::registry::Registry;",
        "use crate::{error::Error, registry::{Registry, Source}};",
        "fn f() { let _ = crate::registry::Registry::new(); }",
    ],
)
def test_a_wrong_use_is_noticed(tmp_path: Path, source: str) -> None:
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "float.rs").write_text("// use crate::encode::Text;\n" + source)
    assert violations(core_imports(tmp_path), CORE_LAYERS, frozenset()) == [
        "cell imports a layer above, registry"
    ]
