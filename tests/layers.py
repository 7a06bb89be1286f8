"""Imports between files: who imports whom, which arrows point up, and which files form a circle."""

from __future__ import annotations

import ast
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
