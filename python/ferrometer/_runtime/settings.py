"""Settings: an explicit argument wins over the environment, the environment over the file.

The file is the one that ``FERROMETER_CONFIG`` names (none when it is empty), else the first of these in the
working directory: ``ferrometer.toml``, ``pyproject.toml`` with ``[tool.ferrometer]``, ``config.toml``.
Each feature has a section in it, and variables ``FERROMETER_<SECTION>_<KEY>``, in which commas separate the
items of a list.

``config.toml`` may be the application's own file. So nothing in it that is not ours stops the start: other
sections are left alone, and an unknown key of a section whose name others use too is told in a warning.
"""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ferrometer._runtime.options import Option, options
from ferrometer._runtime.sections import OF_COMMANDS, sections

_log = logging.getLogger("ferrometer")

_FILE_VARIABLE = "FERROMETER_CONFIG"
#: Sections that an application may have in a file of its own, with keys of its own.
_COMMON_NAMES = frozenset({"metrics", "logging"})
#: Variables that belong to no section.
_OTHERS = frozenset({_FILE_VARIABLE, "FERROMETER_DIR", "FERROMETER_SHARED"})

S = TypeVar("S")


class _File(NamedTuple):
    path: Path
    tables: Mapping[str, Any]
    #: Whether it holds nothing but settings of Ferrometer, so that what is unknown must be a mistake.
    is_ours: bool


class Origin(NamedTuple):
    """A setting that somebody made, and where."""

    name: str
    #: As a reader may see it: a secret is not shown.
    value: str
    source: str


class Sources:
    """Where settings come from: one file and the environment, read once."""

    def __init__(
        self, file: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """Reads the file.

        Raises FileNotFoundError for a named file that is not there, ValueError for one that is no TOML or,
        where the file is Ferrometer's own, names an unknown section.
        """
        self._environ = os.environ if environ is None else environ
        self._file = _find(file, self._environ)
        self._check_sections()
        self._check_variables()

    def named(self) -> tuple[str, ...]:
        """The sections of features that the file has."""
        return tuple(name for name in self._tables() if name in sections())

    def read(self, section: str, settings: type[S], given: Mapping[str, Any] | None = None) -> S:
        """The settings of one section. What is given as None counts as not given.

        Errors name the source, the key and what would be right.
        """
        known = options(section, settings)
        explicit = {name: value for name, value in (given or {}).items() if value is not None}
        found = {**self._from_file(section, known), **self._from_environment(known), **explicit}
        return settings(**found)

    @property
    def file(self) -> Path | None:
        """The file that is read."""
        return None if self._file is None else self._file.path

    def origins(self, section: str, settings: type) -> list[Origin]:
        """The settings of a section that the environment or the file makes; others have their defaults."""
        known = options(section, settings)
        secret = {entry.name for entry in fields(settings) if not entry.repr}
        in_file, in_environment = self._from_file(section, known), self._from_environment(known)
        made = []
        for one in known:
            if one.name in in_environment:
                named = one.text_of(self._environ)
                value, source = in_environment[one.name], named[0] if named else "the environment"
            elif one.name in in_file:
                value, source = in_file[one.name], str(self.file)
            else:
                continue
            made.append(Origin(one.name, "(secret)" if one.name in secret else repr(value), source))
        return made

    def _tables(self) -> Mapping[str, Any]:
        return {} if self._file is None else self._file.tables

    def _from_file(self, section: str, known: Iterable[Option]) -> dict[str, object]:
        if self._file is None or section not in self._file.tables:
            return {}
        path, table = self._file.path, self._file.tables[section]
        if not isinstance(table, dict):
            raise TypeError(f"{path}: {section} must be a section, written [{section}]")
        keys = {one.name: one for one in known}
        found: dict[str, object] = {}
        for name, value in table.items():
            if one := keys.get(name):
                found[name] = convert(one.form.from_value, value, f"{path}: [{section}] {name}")
                continue
            words = f"{path}: unknown key {name!r} in [{section}]; {_nearest(name, keys)}"
            if self._file.is_ours or section not in _COMMON_NAMES:
                raise ValueError(words)
            _log.warning("%s; it is left alone", words)
        return found

    def _from_environment(self, known: Iterable[Option]) -> dict[str, object]:
        found: dict[str, object] = {}
        for one in known:
            if named := one.text_of(self._environ):
                variable, text = named
                if not text.strip():
                    # An empty FERROMETER_ENDPOINTS_AUTH_TOKEN is a deployment fault and must not open them.
                    raise ValueError(f"{variable} is set but empty; give it a value or unset it")
                value = convert(one.form.from_text, text, variable)
                found[one.name] = convert(one.form.from_value, value, variable)
            elif one.from_environment and (other := one.from_environment(self._environ)) is not None:
                found[one.name] = other
        return found

    def _check_sections(self) -> None:
        for name in self._tables():
            names = (*sections(), *sorted(OF_COMMANDS))
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
            if self._file is None or name in names or not (near or self._file.is_ours):
                continue
            known = f"did you mean [{near[0]}]?" if near else f"the sections are {', '.join(names)}"
            words = f"{self._file.path}: unknown section [{name}]; {known}"
            if self._file.is_ours:
                raise ValueError(words)
            _log.warning("%s It is left alone", words)

    def _check_variables(self) -> None:
        prefixes = tuple(f"FERROMETER_{name.upper()}_" for name in (*sections(), *OF_COMMANDS))
        known = _OTHERS | OLD_VARIABLES
        for variable in self._environ:
            if (
                variable.startswith("FERROMETER_")
                and not variable.startswith(prefixes)
                and variable not in known
            ):
                near = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
                _log.warning(
                    "the environment variable %s means nothing to ferrometer%s",
                    variable,
                    f"; did you mean {near[0]}?" if near else "",
                )


#: Variables of 0.1 without their section; each is an alias of its option.
OLD_VARIABLES = frozenset(
    f"FERROMETER_{name}"
    for name in (
        *("NAMESPACE", "SAMPLE", "BUCKETS", "SKIP_PATHS", "SKIP_METHODS", "REQUEST_ID", "EXEMPLARS"),
        *("PATH", "AUTH_TOKEN", "ALLOW", "CORS_ORIGINS", "FLAT_HEALTH"),
    )
)


def _find(file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> _File | None:
    if file is not None:
        return _read(Path(file), "config")
    named = environ.get(_FILE_VARIABLE)
    if named is not None:
        return _read(Path(named), _FILE_VARIABLE) if named else None
    if Path("ferrometer.toml").is_file():
        return _read(Path("ferrometer.toml"))
    if Path("pyproject.toml").is_file():
        path = Path("pyproject.toml")
        tables = _parse(path).get("tool", {}).get("ferrometer")
        if isinstance(tables, dict):
            return _File(path, tables, is_ours=True)
    return _read(Path("config.toml")) if Path("config.toml").is_file() else None


def _read(path: Path, source: str = "") -> _File:
    if source and not path.is_file():
        raise FileNotFoundError(f"{source}: there is no file {str(path)!r}")
    if path.name == "pyproject.toml":
        return _File(path, _parse(path).get("tool", {}).get("ferrometer", {}), is_ours=True)
    return _File(path, _parse(path), is_ours=path.name == "ferrometer.toml")


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no valid TOML: {error}") from None


def convert(form: Callable[[Any], object], value: object, source: str) -> object:
    """The value that ``form`` makes of it; its errors name the source."""
    try:
        return form(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{source}: {error}") from None


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = [key for key in known if key.startswith(name)] or difflib.get_close_matches(
        name, known, n=1, cutoff=0.5
    )
    return f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(sorted(known))}"
