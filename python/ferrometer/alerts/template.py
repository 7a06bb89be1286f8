"""Templates of rules: the part of Go's text/template that labels and annotations use.

Actions: texts, ``{{ pipeline }}``, ``if``/``else if``/``else``, ``range``, ``with``, variables, comments, and
trimming by ``{{-`` and ``-}}``. Templates that call templates (``define``, ``template``) are refused: nothing
here can go on for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ferrometer.alerts.functions import FUNCTIONS, TemplateError, is_true, printed

__all__ = ["Template", "TemplateError"]

_TOKEN = re.compile(
    r"""\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|(\$\w*(?:\.\w+)*|\.(?:\w+(?:\.\w+)*)?)|(:=|[(),|=])|([+-]?(?:0x[0-9a-fA-F]+|\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?))|(\w+))"""
)
_ACTION = re.compile(r"\{\{(- |-(?=\s))?(.*?)( -|(?<=\s)-)?\}\}", re.DOTALL)
#: Prometheus's own names for what a template is about.
_ROOT = {
    "$labels": "Labels",
    "$externalLabels": "ExternalLabels",
    "$externalURL": "ExternalURL",
    "$value": "Value",
}
_MOST = 100_000

Query = Callable[[str], Sequence[Mapping[str, Any]]]


class _Node(NamedTuple):
    kind: str
    argument: Any
    body: list[_Node]
    other: list[_Node]


class Template:
    """A text with actions. Raises ValueError for one that cannot be read."""

    def __init__(self, text: str) -> None:
        self._nodes = _Parser(text).nodes if "{{" in text else None
        self._text = text

    def expand(self, labels: Mapping[str, str], value: float, query: Query | None = None, **more: Any) -> str:
        """The text for these labels and this value. Raises TemplateError for what has no meaning.

        ``query`` answers PromQL: a list of mappings with ``Labels`` and ``Value``.
        """
        if self._nodes is None:
            return self._text
        root = {"Labels": dict(labels), "ExternalLabels": {}, "ExternalURL": "", "Value": value} | more
        scope: dict[str, Any] = {name: root[key] for name, key in _ROOT.items()} | {"$": root}
        run = _Run(query)
        run.nodes(self._nodes, scope, root)
        return "".join(run.out)


class _Parser:
    def __init__(self, text: str) -> None:
        self._pieces = self._split(text)
        self._at = 0
        self._known = {"$", *_ROOT}
        self.nodes, end = self._block(())
        if end:
            raise ValueError(f"{{{{ {end} }}}} without a beginning")

    def _split(self, text: str) -> list[tuple[bool, str]]:
        pieces: list[tuple[bool, str]] = []
        position, trims = 0, False
        for match in _ACTION.finditer(text):
            words = text[position : match.start()]
            words = words.lstrip() if trims else words
            pieces.append((False, words.rstrip() if match[1] else words))
            action = match[2].strip()
            if not (action.startswith("/*") and action.endswith("*/")):
                pieces.append((True, action))
            trims, position = bool(match[3]), match.end()
        rest = text[position:]
        if "{{" in rest:
            raise ValueError("an action {{ has no end }}")
        pieces.append((False, rest.lstrip() if trims else rest))
        return pieces

    def _block(self, ends: tuple[str, ...]) -> tuple[list[_Node], str]:
        nodes: list[_Node] = []
        while self._at < len(self._pieces):
            is_action, text = self._pieces[self._at]
            self._at += 1
            if not is_action:
                if text:
                    nodes.append(_Node("text", text, [], []))
                continue
            word = text.split(None, 1)[0] if text else ""
            if word in ("end", "else"):
                if not ends:
                    return nodes, text
                return nodes, text
            if word in ("if", "with", "range"):
                nodes.append(self._branch(word, text[len(word) :]))
            elif word in ("define", "template", "block"):
                raise ValueError(f"{{{{ {word} }}}} is not supported: a template must not call templates")
            else:
                nodes.append(_Node("print", self._statement(text), [], []))
        if ends:
            raise ValueError("{{ end }} is missing")
        return nodes, ""

    def _branch(self, word: str, text: str) -> _Node:
        known = set(self._known)
        statement = self._statement(text)
        body, end = self._block(("end", "else"))
        other: list[_Node] = []
        if end.startswith("else"):
            rest = end[4:].strip()
            if rest.startswith(("if", "with")):
                inner = "if" if rest.startswith("if") else "with"
                other = [self._branch(inner, rest[len(inner) :])]
            else:
                other, end = self._block(("end",))
                if end != "end":
                    raise ValueError(f"{{{{ end }}}} is expected, and not {{{{ {end} }}}}")
        self._known = known
        return _Node(word, statement, body, other)

    def _statement(self, text: str) -> tuple[list[str], list[list[Any]], bool]:
        """The variables that are set, the pipeline, and whether they are new."""
        tokens = _tokens(text)
        names: list[str] = []
        declares = False
        for sign in (":=", "="):
            if ("sign", sign) in tokens:
                at = tokens.index(("sign", sign))
                names = [value for kind, value in tokens[:at] if kind == "path"]
                declares = sign == ":="
                tokens = tokens[at + 1 :]
                if declares:
                    self._known.update(names)
                break
        pipeline = self._pipeline(tokens)
        return names, pipeline, declares

    def _pipeline(self, tokens: list[tuple[str, Any]]) -> list[list[Any]]:
        commands: list[list[Any]] = [[]]
        while tokens:
            kind, value = tokens.pop(0)
            if (kind, value) == ("sign", "|"):
                commands.append([])
            elif (kind, value) == ("sign", "("):
                depth, inner = 1, []
                while tokens:
                    token = tokens.pop(0)
                    depth += {("sign", "("): 1, ("sign", ")"): -1}.get(token, 0)
                    if depth == 0:
                        break
                    inner.append(token)
                if depth:
                    raise ValueError("a bracket is not closed")
                commands[-1].append(("pipeline", self._pipeline(inner)))
            elif kind == "sign":
                raise ValueError(f"unexpected {value!r}")
            else:
                if kind == "path" and value.startswith("$") and value.partition(".")[0] not in self._known:
                    raise ValueError(f"undefined variable {value.partition('.')[0]!r}")
                if (
                    kind == "word"
                    and value not in FUNCTIONS
                    and value not in ("true", "false", "nil", "query")
                ):
                    raise ValueError(f"function {value!r} not defined")
                commands[-1].append((kind, value))
        if any(not command for command in commands):
            raise ValueError("a pipeline has an empty part")
        return commands


def _tokens(text: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected {text[position:].strip()[:20]!r}")
        string, path, sign, number, word = match.groups()
        if string is not None:
            found.append(("string", _unquoted(string)))
        elif path is not None:
            found.append(("path", path))
        elif sign is not None:
            found.append(("sign", sign))
        elif number is not None:
            plain = number.replace("_", "")
            is_whole = re.fullmatch(r"[+-]?(0x[0-9a-fA-F]+|\d+)", plain)
            found.append(("number", int(plain, 0) if is_whole else float(plain)))
        else:
            found.append(("word", word))
        position = match.end()
    return found


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    escapes = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}

    def one(match: re.Match[str]) -> str:
        if match[1] is not None:
            return chr(int(match[1], 16))
        return escapes.get(match[2], match[0])

    return re.sub(r"\\(?:[xu]([0-9a-fA-F]{2,4})|(.))", one, text[1:-1])


class _Run:
    def __init__(self, query: Query | None) -> None:
        self._query = query
        self._left = _MOST
        self.out: list[str] = []

    def nodes(self, nodes: Sequence[_Node], scope: dict[str, Any], dot: Any) -> None:
        for node in nodes:
            self._left -= 1
            if self._left < 0:
                raise TemplateError("the template takes too long")
            if node.kind == "text":
                self._say(node.argument)
            elif node.kind == "print":
                value = self._statement(node.argument, scope, dot)
                if not node.argument[0]:
                    self._say(printed(value))
            elif node.kind == "range":
                self._range(node, scope, dot)
            else:
                inner = _Scope(scope)
                value = self._statement(node.argument, inner, dot)
                if is_true(value):
                    self.nodes(node.body, inner, value if node.kind == "with" else dot)
                else:
                    self.nodes(node.other, inner, dot)

    def _say(self, text: str) -> None:
        self.out.append(text)
        self._left -= len(text) // 64
        if self._left < 0:
            raise TemplateError("the text is too long")

    def _range(self, node: _Node, scope: dict[str, Any], dot: Any) -> None:
        names, pipeline, _ = node.argument
        items = self._value(pipeline, scope, dot)
        pairs = sorted(items.items()) if isinstance(items, Mapping) else list(enumerate(items or ()))
        for key, item in pairs:
            inner = _Scope(scope)
            if names:
                dict.__setitem__(inner, names[-1], item)
                if len(names) > 1:
                    dict.__setitem__(inner, names[0], key)
            self.nodes(node.body, inner, item)
        if not pairs:
            self.nodes(node.other, _Scope(scope), dot)

    def _statement(self, statement: Any, scope: dict[str, Any], dot: Any) -> Any:
        names, pipeline, declares = statement
        value = self._value(pipeline, scope, dot)
        for name in names:
            if declares or not isinstance(scope, _Scope):
                dict.__setitem__(scope, name, value)
            else:
                scope.assign(name, value)
        return value

    def _value(self, pipeline: Sequence[Sequence[Any]], scope: Mapping[str, Any], dot: Any) -> Any:
        value: Any = None
        for number, command in enumerate(pipeline):
            arguments = [self._term(term, scope, dot) for term in command[1:]]
            if number:
                arguments.append(value)
            kind, word = command[0]
            if kind == "word" and word in FUNCTIONS:
                value = FUNCTIONS[word](*self._checked(word, arguments))
            elif kind == "word" and word == "query":
                if self._query is None:
                    raise TemplateError("query has nobody to ask here")
                value = self._query(*arguments)
            elif arguments:
                raise TemplateError(f"{word!r} is no function")
            else:
                value = self._term(command[0], scope, dot)
        return value

    @staticmethod
    def _checked(word: str, arguments: list[Any]) -> list[Any]:
        import inspect

        try:
            inspect.signature(FUNCTIONS[word]).bind(*arguments)
        except TypeError as error:
            raise TemplateError(f"{word}: {error}") from None
        return arguments

    def _term(self, term: Any, scope: Mapping[str, Any], dot: Any) -> Any:
        kind, value = term
        if kind == "pipeline":
            return self._value(value, scope, dot)
        if kind == "path":
            return _path(value, scope, dot)
        if kind == "word":
            if value in ("true", "false", "nil"):
                return {"true": True, "false": False, "nil": None}[value]
            return self._value([[term]], scope, dot)
        return value


class _Scope(dict[str, Any]):
    """Variables of a block; those around it are seen, and can be set with ``=``."""

    def __init__(self, outer: dict[str, Any]) -> None:
        super().__init__()
        self._outer = outer

    def __missing__(self, name: str) -> Any:
        return self._outer[name]

    def assign(self, name: str, value: Any) -> None:
        if name in self or not isinstance(self._outer, dict):
            dict.__setitem__(self, name, value)
        elif isinstance(self._outer, _Scope):
            self._outer.assign(name, value)
        else:
            self._outer[name] = value


def _path(path: str, scope: Mapping[str, Any], dot: Any) -> Any:
    name, *fields = path.split(".") if path != "." else ("", "")
    try:
        value = scope[name] if name else dot
    except KeyError:
        raise TemplateError(f"undefined variable {name!r}") from None
    for field in filter(None, fields):
        if not isinstance(value, Mapping) and not hasattr(value, "get"):
            raise TemplateError(f"{field!r} of what has no fields")
        # A label that is missing is empty, as in Prometheus.
        value = value.get(field, "")
    return value
