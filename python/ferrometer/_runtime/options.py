"""Options: how a feature declares a setting, and what values of it a file or the environment may hold.

A feature's settings are a frozen dataclass whose fields are options. The annotation says which values are
right: ``str``, ``float``, ``int``, ``bool``, ``tuple[str, ...]`` or ``tuple[float, ...]``, each with or
without ``| None``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

_PREFIX = "FERROMETER_"


class Form(NamedTuple):
    """Which values an option takes."""

    #: What a reader calls such a value: "a number", "a list of strings".
    name: str
    #: A value of a TOML file, checked and converted; TypeError or ValueError otherwise.
    from_value: Callable[[Any], object]
    #: The text of an environment variable, as the value that a TOML file would have.
    from_text: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a section."""

    section: str
    name: str
    default: object
    help: str
    form: Form
    variables: tuple[str, ...]
    from_environment: Callable[[Mapping[str, str]], object] | None

    def text_of(self, environ: Mapping[str, str]) -> tuple[str, str] | None:
        """The first of its variables that is set, and the text of it."""
        return next(((name, environ[name]) for name in self.variables if name in environ), None)


def option(
    default: Any,
    help: str,  # noqa: A002  # argparse's word for the same thing
    *,
    form: Form | None = None,
    aliases: tuple[str, ...] = (),
    from_environment: Callable[[Mapping[str, str]], object] | None = None,
    secret: bool = False,
) -> Any:
    """A field of a feature's settings.

    :param help: one sentence, for the table of the documentation.
    :param form: where the annotation does not say which values are right.
    :param aliases: further environment variables; ``FERROMETER_<SECTION>_<NAME>`` always is one.
    :param from_environment: what further variables mean, asked last; None is nothing.
    :param secret: the value is not shown in a ``repr``.
    """
    metadata = {"help": help, "form": form, "aliases": aliases, "from_environment": from_environment}
    return field(default=default, metadata=metadata, repr=not secret)


def options(section: str, settings: type) -> tuple[Option, ...]:
    """The options that a class of settings declares."""
    hints = get_type_hints(settings)
    return tuple(
        Option(
            section,
            entry.name,
            entry.default,
            entry.metadata["help"],
            entry.metadata["form"] or _form(hints[entry.name]),
            (f"{_PREFIX}{section}_{entry.name}".upper(), *entry.metadata["aliases"]),
            entry.metadata["from_environment"],
        )
        for entry in fields(settings)
        if "help" in entry.metadata
    )


def _form(hint: Any) -> Form:
    kind = (
        next((one for one in get_args(hint) if one is not type(None)), hint) if _is_optional(hint) else hint
    )
    if get_origin(kind) is tuple:
        return NUMBERS if get_args(kind)[0] is float else TEXTS
    return {str: TEXT, float: NUMBER, int: WHOLE, bool: TRUTH}[kind]


def _is_optional(hint: Any) -> bool:
    return type(None) in get_args(hint)


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError(f"must be a string, not {type(value).__name__}")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list):
        raise TypeError(f"must be a list of strings, not {type(value).__name__}")
    return tuple(text(item) for item in value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"must be a number, not {type(value).__name__}")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"must be a whole number, not {type(value).__name__}")
    return value


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError(f"must be a list of numbers, not {type(value).__name__}")
    return tuple(_number(item) for item in value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be true or false, not {type(value).__name__}")
    return value


def split(value: str) -> list[str]:
    """The items of a list that is separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


def _parse_number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"must be a number, not {value!r}") from None


def _parse_whole(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"must be a whole number, not {value!r}") from None


def _parse_numbers(value: str) -> list[float]:
    return [_parse_number(part) for part in split(value)]


def _parse_truth(value: str) -> bool:
    word = value.strip().lower()
    if word not in WORDS:
        raise ValueError(f"must be true or false, not {value!r}")
    return WORDS[word]


#: How the environment says true and false.
WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

TEXT = Form("a string", text, str)
NUMBER = Form("a number", _number, _parse_number)
WHOLE = Form("a whole number", _whole, _parse_whole)
TRUTH = Form("true or false", _truth, _parse_truth)
TEXTS = Form("a list of strings", texts, split)
NUMBERS = Form("a list of numbers", _numbers, _parse_numbers)
