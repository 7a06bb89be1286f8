"""Settings: an explicit argument wins over the environment, the environment over the file.

The file is ``config.toml`` in the working directory, or the one that ``FERROMETER_CONFIG`` names;
``FERROMETER_CONFIG=`` (empty) reads none. It may be the application's own file: sections that are not
listed here are left alone.

| section         | keys                                                                             |
|-----------------|----------------------------------------------------------------------------------|
| ``[metrics]``   | ``namespace sample buckets skip_paths skip_methods request_id exemplars shared`` |
| ``[endpoints]`` | ``path auth_token allow cors_origins flat_health``                               |

In the environment a key is ``FERROMETER_`` and its name in capitals (``FERROMETER_SAMPLE=0.01``), and
a list is separated by commas. ``auth_token`` is one token there, taken whole. ``shared`` is true, false, or
a directory, for which the environment has a second name, ``FERROMETER_DIR`` (see ``ferrometer.sharing``).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

_PREFIX = "FERROMETER_"
_FILE_VARIABLE = "FERROMETER_CONFIG"
_DEFAULT_FILE = "config.toml"
_DIRECTORY_VARIABLE = "FERROMETER_DIR"


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``instrument()`` runs with, each with its default."""

    namespace: str | None = None
    sample: float = 1.0
    buckets: tuple[float, ...] | None = None
    skip_paths: tuple[str, ...] = ()
    skip_methods: tuple[str, ...] = ()
    request_id: bool = True
    exemplars: Any = False
    shared: bool | str | None = None
    path: str = ""
    auth_token: Any = None
    allow: Any = None
    cors_origins: Any = ()
    flat_health: bool = False

    def __repr__(self) -> str:
        return f"Settings(namespace={self.namespace!r}, sample={self.sample!r}, path={self.path!r}, ...)"


def settings(
    explicit: Mapping[str, Any],
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Put the three sources together; an explicit ``None`` counts as not given.

    Errors name the source, the key and what would be right.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in explicit.items() if value is not None}
    if "shared" in given:
        given["shared"] = _convert(_shared, given["shared"], "shared")
    return Settings(**{**_from_file(_find(file, environ)), **_from_environment(environ), **given})


class _Key(NamedTuple):
    section: str
    name: str
    convert: Callable[[Any], object]
    from_text: Callable[[str], object]


def _find(file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return _existing(Path(file), "config")
    named = environ.get(_FILE_VARIABLE)
    if named is not None:
        return _existing(Path(named), _FILE_VARIABLE) if named else None
    default = Path(_DEFAULT_FILE)
    return default if default.is_file() else None


def _existing(path: Path, source: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{source}: there is no file {str(path)!r}")
    return path


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no valid TOML: {error}") from None
    sections = {key.section for key in _KEYS}
    found: dict[str, Any] = {}
    for section, table in document.items():
        if section not in sections:
            # Somebody else's section, unless it is nearly one of ours.
            if near := difflib.get_close_matches(section, sections, n=1, cutoff=0.8):
                raise ValueError(f"{path}: unknown section [{section}]; did you mean [{near[0]}]?")
            continue
        if not isinstance(table, dict):
            raise TypeError(f"{path}: {section} must be a section, written [{section}]")
        keys = {key.name: key for key in _KEYS if key.section == section}
        for name, value in table.items():
            if name not in keys:
                raise ValueError(f"{path}: unknown key {name!r} in [{section}]; {_nearest(name, keys)}")
            found[name] = _convert(keys[name].convert, value, f"{path}: [{section}] {name}")
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _KEYS:
        variable = _PREFIX + key.name.upper()
        text = environ.get(variable)
        if text is None:
            continue
        if not text.strip():
            # An empty FERROMETER_AUTH_TOKEN is a deployment fault and must not open the endpoints.
            raise ValueError(f"{variable} is set but empty; give it a value or unset it")
        found[key.name] = _convert(key.convert, _convert(key.from_text, text, variable), variable)
    # Which directory, unless sharing is switched off: machine-wide collectors use it all the same.
    if (directory := environ.get(_DIRECTORY_VARIABLE)) and found.get("shared") is not False:
        found["shared"] = directory
    return found


def _convert(convert: Callable[[Any], object], value: object, source: str) -> object:
    try:
        return convert(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{source}: {error}") from None


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = [key for key in known if key.startswith(name)] or difflib.get_close_matches(
        name, known, n=1, cutoff=0.5
    )
    return f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(sorted(known))}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a string, not {type(value).__name__}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"must be a number, not {type(value).__name__}")
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be true or false, not {type(value).__name__}")
    return value


def _shared(value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(f"must be true, false or a directory, not {value!r}")
    return str(os.fspath(value))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"must be a list of strings, not {type(value).__name__}")
    return tuple(_text(item) for item in value)


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError(f"must be a list of numbers, not {type(value).__name__}")
    return tuple(_number(item) for item in value)


def _token(value: object) -> object:
    return list(_texts(value)) if isinstance(value, list) else _text(value)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_numbers(text: str) -> list[float]:
    return [_parse_number(part) for part in _split(text)]


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number, not {text!r}") from None


def _parse_truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in _WORDS:
        raise ValueError(f"must be true or false, not {text!r}")
    return _WORDS[word]


def _parse_shared(text: str) -> bool | str:
    return _WORDS.get(text.strip().lower(), text)


_WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

_KEYS = (
    _Key("metrics", "namespace", _text, str),
    _Key("metrics", "sample", _number, _parse_number),
    _Key("metrics", "buckets", _numbers, _parse_numbers),
    _Key("metrics", "skip_paths", _texts, _split),
    _Key("metrics", "skip_methods", _texts, _split),
    _Key("metrics", "request_id", _truth, _parse_truth),
    _Key("metrics", "exemplars", _truth, _parse_truth),
    _Key("metrics", "shared", _shared, _parse_shared),
    _Key("endpoints", "path", _text, str),
    _Key("endpoints", "auth_token", _token, str),
    _Key("endpoints", "allow", _texts, _split),
    _Key("endpoints", "cors_origins", _texts, _split),
    _Key("endpoints", "flat_health", _truth, _parse_truth),
)
