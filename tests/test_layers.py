"""Imports point down only, in Python and in the Rust core; siblings do not know each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.layers import circles, python_graph, rust_graph, upward

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "python" / "ferrometer"
CORE = ROOT / "rust" / "core" / "src"

# From the ground up: a room is a folder of the package or a file of its root. A file may import from its own
# room, where no circle may stand, and from the layers below it.
PYTHON_LAYERS: Sequence[frozenset[str]] = (
    frozenset({"_process", "_prometheus_client"}),
    frozenset({"sharing"}),
    frozenset({"metrics"}),
    frozenset({"exposition"}),
    frozenset({"drop_in", "stats", "background"}),
    frozenset({"_runtime"}),
    frozenset({"active_users", "breaker", "drift", "jobs"}),
    frozenset(
        {
            "alerts",
            "collectors",
            "export",
            "history",
            "http",
            "instruments",
            "live",
            "logs",
            "otel",
            "tracing",
        }
    ),
    frozenset({"health", "providers", "slo"}),
    frozenset({"endpoints"}),
    frozenset({"instrumentation", "testing"}),
    frozenset({"bench", "demo", "generate", "top"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)

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
    graph = python_graph(PYTHON)
    assert sum(map(len, graph.values())) > 100, "hardly any import was found"
    assert upward(graph, PYTHON_LAYERS) == []


def test_no_python_files_import_each_other() -> None:
    assert [[".".join(module) for module in circle] for circle in circles(python_graph(PYTHON))] == []


def test_every_room_of_the_python_package_has_a_layer() -> None:
    known = frozenset[str]().union(*PYTHON_LAYERS)
    rooms = {path.stem for path in PYTHON.iterdir() if path.suffix == ".py" or list(path.glob("*.py"))}
    assert rooms - known - {"__init__"} == set()


def test_core_imports_point_down() -> None:
    imports = list(core_imports(CORE))
    assert imports, "no import was found at all"
    assert violations(imports, CORE_LAYERS, frozenset()) == []


CRATES = sorted(folder.name for folder in (ROOT / "rust").iterdir() if (folder / "src" / "lib.rs").exists())


@pytest.mark.parametrize("crate", CRATES)
def test_no_rust_files_use_each_other(crate: str) -> None:
    graph = rust_graph(ROOT / "rust" / crate / "src")
    assert [["::".join(module) for module in circle] for circle in circles(graph)] == []


def test_the_core_has_never_heard_of_python() -> None:
    files = [CORE.parent / "Cargo.toml", *sorted(CORE.rglob("*.rs"))]
    assert len(files) > 1
    assert [file.name for file in files if "pyo3" in file.read_text().lower()] == []


@pytest.mark.parametrize(
    ("importer", "statement", "complaint"),
    [
        (
            "metrics/types",
            "from ferrometer import endpoints",
            "metrics.types imports a layer above, endpoints",
        ),
        ("http/ids", "from ..export.remote import x", "http.ids imports its neighbour, export.remote"),
        ("novelty", "import ferrometer.metrics.types", "novelty has no layer yet (seen in novelty)"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, importer: str, statement: str, complaint: str) -> None:
    package = _package(tmp_path, "endpoints/__init__", "metrics/__init__", "export/remote", "metrics/types")
    file = package / f"{importer}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"def late():\n    if True:\n        {statement}\n")
    assert upward(python_graph(package), PYTHON_LAYERS) == [complaint]


def test_a_circle_of_three_files_is_noticed(tmp_path: Path) -> None:
    package = _package(tmp_path, "metrics/a", "metrics/b", "metrics/c")
    (package / "metrics/a.py").write_text("from ferrometer.metrics.b import x\n")
    (package / "metrics/b.py").write_text("from .c import x\n")
    (package / "metrics/c.py").write_text("def f():\n    import ferrometer.metrics.a\n")
    assert circles(python_graph(package)) == [(("metrics", "a"), ("metrics", "b"), ("metrics", "c"))]


def _package(folder: Path, *files: str) -> Path:
    package = folder / "ferrometer"
    for name in files:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").touch()
    return package


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


@pytest.mark.parametrize(
    "second",
    [
        "use super::first::One;",
        "use crate::{error::Error, first::{self, One}};",
        "fn f() { crate::first::one() }",
        "use crate::One;",  # by the name that the map re-exports
    ],
)
def test_a_circle_of_rust_files_is_noticed(tmp_path: Path, second: str) -> None:
    (tmp_path / "lib.rs").write_text("mod error;\nmod first;\nmod second;\npub use first::One;\n")
    (tmp_path / "error.rs").write_text("pub struct Error;")
    (tmp_path / "first.rs").write_text(
        "use crate::second::two;\npub struct One;\n#[cfg(test)]\nmod tests { use crate::error::Error; }\n"
    )
    (tmp_path / "second.rs").write_text(f"// use crate::nothing::at_all;\n{second}\npub fn two() {{}}")
    graph = rust_graph(tmp_path)
    assert circles(graph) == [(("first",), ("second",))]
    assert ("error",) not in graph[("first",)], "tests may use everything"


def test_no_python_file_is_long() -> None:
    lengths = {
        file.relative_to(PYTHON).as_posix(): len(file.read_text().splitlines())
        for file in PYTHON.rglob("*.py")
    }
    assert len(lengths) > 100
    assert [name for name, lines in lengths.items() if lines > 400] == []


# Files that are longer than files should be, and wait for a second noun to leave them.
LONG_RUST = {
    "bindings/src/traces/span.rs",
    "history/src/recorder.rs",
    "history/src/select.rs",
    "ship/src/lane.rs",
}


def test_no_rust_file_is_long() -> None:
    lengths = {
        file.relative_to(ROOT / "rust").as_posix(): len(file.read_text().splitlines())
        for file in (ROOT / "rust").glob("*/src/**/*.rs")
    }
    assert len(lengths) > 150
    assert {name for name, lines in lengths.items() if lines > 400} - LONG_RUST == set()
