"""Imports between files: who imports whom, which arrows point up, and which files form a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

Module = tuple[str, ...]
Import = tuple[Module, Module]
Graph = Mapping[Module, frozenset[Module]]


def python_graph(root: Path) -> Graph:
    """What each file of a package imports when the program runs; the lazy map at its root left out."""
    package = root.name
    files = {_module(file, root): file for file in root.rglob("*.py")}
    files.pop((), None)
    graph = {}
    for module, file in files.items():
        is_package = file.name == "__init__.py"
        named = _imported(ast.parse(file.read_text()), (package, *module), is_package=is_package)
        below = (name[1:] for name in named if name[:1] == (package,))
        graph[module] = frozenset(_files(below, files.keys())) - {module}
    return graph


def _module(file: Path, root: Path) -> Module:
    parts = file.relative_to(root).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imported(node: ast.AST, importer: Module, *, is_package: bool) -> Iterator[Module]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "not TYPE_CHECKING"):
            continue  # names for the type checker: nothing is imported when the program runs
        yield from _imported(child, importer, is_package=is_package)
        if isinstance(child, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            strip = child.level - (1 if is_package else 0)
            base = importer[: len(importer) - strip] if child.level else ()
            module = (*base, *(child.module.split(".") if child.module else ()))
            yield from ((*module, alias.name) for alias in child.names)


def _files(names: Iterable[Module], files: Iterable[Module]) -> Iterator[Module]:
    """The files that names stand for: a module, or the module that a function or class is in."""
    known = set(files)
    for name in names:
        while name and name not in known:
            name = name[:-1]
        if name:
            yield name


def circles(graph: Graph) -> list[tuple[Module, ...]]:
    """The groups of files that import each other, in a row or round about (Tarjan)."""
    index: dict[Module, int] = {}
    low: dict[Module, int] = {}
    stack: list[Module] = []
    found: list[tuple[Module, ...]] = []

    def visit(module: Module) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph.get(module, ())):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(group := tuple(sorted(stack[at:]))) > 1:
                found.append(group)
            del stack[at:]

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def upward(
    graph: Graph, layers: Sequence[frozenset[str]], room: Callable[[Module], str] = lambda module: module[0]
) -> list[str]:
    """The imports between rooms that do not point down, and the rooms that no layer names; a line each."""
    height = {name: level for level, names in enumerate(layers) for name in names}
    wrong = []
    for importer, imports in sorted(graph.items()):
        here = room(importer)
        if here not in height:
            wrong.append(f"{here} has no layer yet (seen in {'.'.join(importer)})")
            continue
        for imported in sorted(imports):
            there = room(imported)
            if there == here:
                continue
            if there not in height:
                wrong.append(f"{there} has no layer yet (seen in {'.'.join(imported)})")
            elif height[there] >= height[here]:
                relation = "its neighbour" if height[there] == height[here] else "a layer above"
                wrong.append(f"{'.'.join(importer)} imports {relation}, {'.'.join(imported)}")
    return wrong


def rust_graph(source: Path) -> Graph:
    """What each file of a crate uses of its other files, by name; tests, and files that are maps, left out.

    A map declares modules and re-exports names: a name is looked up in the file that defines it.
    """
    files = {
        _module_of(file, source): _without_tests(file.read_text()) for file in sorted(source.rglob("*.rs"))
    }
    exports = {module: _exports(text, module, files.keys()) for module, text in files.items()}
    graph = {}
    for module, text in files.items():
        if _is_map(text):
            continue
        used = (_resolve(path, module, files.keys(), exports) for path in _paths(text))
        graph[module] = frozenset(
            other for other in used if other is not None and other != module and not _is_map(files[other])
        )
    return graph


def _module_of(file: Path, source: Path) -> Module:
    parts = file.relative_to(source).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def _without_tests(source: str) -> str:
    source = re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)
    return re.split(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:pub )?mod \w+ \{", source)[0]


def _is_map(source: str) -> bool:
    """Whether there is nothing in it but declarations of modules and re-exports."""
    rest = re.sub(r"#!?\[[^\]]*\]", "", source)
    rest = re.sub(r"\b(?:pub(?:\([^)]*\))? )?(?:mod \w+|use [^;]*|extern crate [^;]*);", "", rest)
    return not rest.strip()


def _paths(source: str) -> Iterator[Module]:
    """The paths below `crate`, `super` and `self` that a file names, one for each name."""
    for tree in re.findall(r"\buse\s+([^;]*);", source):
        yield from _use_tree(tree)
    rest = re.sub(r"\buse\s+[^;]*;", "", source)
    for path in re.findall(r"\b((?:crate|super|self)(?:::\w+)+)", rest):
        yield tuple(path.split("::"))
    # A module that was brought into scope or declared here, and a name of it.
    for path in re.findall(r"(?<![:\w])([a-z_]\w*(?:::\w+)+)", rest):
        yield ("self", *path.split("::"))


def _use_tree(tree: str, before: Module = ()) -> Iterator[Module]:
    tree = tree.strip()
    head, brace, inner = tree.partition("{")
    names = tuple(
        name for name in re.sub(r"\s+as\s+\w+", "", head).strip().removesuffix("::").split("::") if name
    )
    if not brace:
        yield (*before, *names)
        return
    depth, item = 0, ""
    for letter in inner.rpartition("}")[0] + ",":
        depth += (letter == "{") - (letter == "}")
        if letter == "," and not depth:
            if item.strip():
                yield from _use_tree(item, (*before, *names))
            item = ""
        else:
            item += letter


def _exports(source: str, module: Module, files: Iterable[Module]) -> dict[str, Module]:
    """Names that a file re-exports, and the path that it has them from."""
    found = {}
    for tree in re.findall(r"\bpub(?:\([^)]*\))? use\s+([^;]*);", source):
        for path in _use_tree(tree):
            if absolute := _absolute(path, module, set(files)):
                found[path[-1]] = absolute
    return found


def _absolute(path: Module, module: Module, files: set[Module]) -> Module | None:
    here = module
    if path[0] == "crate":
        return path[1:]
    while path and path[0] in ("super", "self"):
        here = here[:-1] if path[0] == "super" else here
        path = path[1:]
        if not path:
            return here
    # Without a prefix it is a module declared here, or something of another crate.
    return (*here, *path) if here != module or (*here, path[0]) in files else None


def _resolve(
    path: Module, module: Module, files: Iterable[Module], exports: Mapping[Module, Mapping[str, Module]]
) -> Module | None:
    known = set(files)
    absolute = _absolute(path, module, known)
    for _ in range(10):
        if absolute is None:
            return None
        base = absolute
        while base not in known:
            base = base[:-1]
        rest = absolute[len(base) :]
        again = exports[base].get(rest[0]) if rest else None
        if again is None or again == absolute:
            return base
        absolute = (*again, *rest[1:])
    return base
