"""A feature as a user would write one: a setting, a background call, an endpoint, a check, a delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class GreeterSettings:
    """How it greets."""

    word: str = option("hello", "What it says.")
    every: float = option(0.05, "Seconds between two greetings.")


class Greeter(Feature):
    """Greets in the background and sends each greeting somewhere."""

    section = "greeter"
    Settings = GreeterSettings

    def __init__(self, *, word: str | None = None, every: float | None = None, refuse: bool = False) -> None:
        super().__init__(word=word, every=every)
        self.said: list[str] = []
        self.events: list[str] = []
        self._refuse = refuse

    def open(self, runtime: Runtime) -> None:
        chosen: GreeterSettings = runtime.settings(self)
        self.word = chosen.word
        self._delivery = runtime.deliver("greetings", self._send, queue=10)
        runtime.every("greeter", chosen.every, self._greet)
        runtime.route("/greetings", self._answer)
        runtime.route("/greetings/live", self._answer_everybody, protected=False)
        runtime.check("greeter", lambda: bool(self.said))

    def start(self) -> None:
        self.events.append("start")

    def close(self, deadline: float) -> None:
        self.events.append("close")

    def _greet(self) -> None:
        self._delivery.put(self.word)

    def _send(self, words: Sequence[Any]) -> None:
        if self._refuse:
            raise ValueError("nobody listens")
        self.said.extend(words)

    def _answer(self, request: Request) -> Response:
        return JSONResponse({"said": len(self.said) > 0})

    async def _answer_everybody(self, request: Request) -> Response:
        return JSONResponse({"word": self.word})
