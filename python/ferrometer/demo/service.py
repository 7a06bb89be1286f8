"""The gateway the demo watches: a FastAPI application like many, with one Ferrometer line in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

import ferrometer
from ferrometer.collectors.gpu import GpuCollector
from ferrometer.collectors.postgres import postgres_check
from ferrometer.collectors.sql import instrument_sqlite
from ferrometer.demo.ledger import Ledger
from ferrometer.demo.model import NAMES, SimulatedModel

NAMESPACE = "gpuproxy"
_DOLLARS_PER_TOKEN = 0.6e-6


class Prompt(BaseModel):
    """What a client asks of the model."""

    model: Literal["llama-8b", "llama-70b"]
    prompt: str
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 16


class Gateway:
    """The application and what it is measured with; every one counts in a registry of its own."""

    def __init__(self) -> None:
        self.app = FastAPI(title="A small GPU gateway")
        self._model = SimulatedModel()
        self._ledger = Ledger(NAMES)
        self._registry = ferrometer.CollectorRegistry()
        self._tokens = ferrometer.Counter("tokens", "Tokens written", ["model"], registry=self._registry)
        waiting = ferrometer.Gauge(
            "gpu_requests_waiting",
            "Requests without a GPU slot",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        waiting.set_function(lambda: self._model.waiting)
        self._routes()
        self._watched = ferrometer.instrument(
            self.app,
            namespace=NAMESPACE,
            registry=self._registry,
            health_checks={"model": self._model.alive, "database": postgres_check(self._ledger.pool)},
            collectors=[GpuCollector(registry=self._registry)],  # real ones; the model's is not
        )
        instrument_sqlite(
            self._ledger.pool,
            name="ledger",
            database=self._watched.stats.database,
            registry=self._registry,
        )
        ferrometer.track_cache("models", self._ledger.context, registry=self._registry)
        self._watched.stats.gpu.instances(1)

    def in_flight(self) -> int:
        """Requests being served now."""
        return int(self._watched.metrics.snapshot()["in_flight"])

    def quantile(self, method: str, route: str, q: float) -> float:
        """Seconds that the fraction `q` of a route's requests stayed below."""
        durations = ferrometer.Histogram(
            "http_request_duration_seconds", "", ["method", "endpoint"], registry=self._registry
        )
        return durations.labels(method, route).quantile(q)

    async def _write(self, prompt: Prompt) -> AsyncIterator[str]:
        counted = self._tokens.labels(prompt.model)
        self._watched.stats.gpu.request(cost_usd=prompt.max_tokens * _DOLLARS_PER_TOKEN)
        written = 0
        try:
            async for token in self._model.tokens(prompt.model, prompt.max_tokens):
                counted.inc()
                written += 1
                yield token
        finally:
            self._ledger.write(prompt.model, written)

    def _routes(self) -> None:
        app = self.app

        @app.get("/v1/models")
        async def models() -> list[str]:
            return list(NAMES)

        @app.get("/v1/models/{name}")
        async def one_model(name: str) -> dict[str, str | int]:
            context = self._ledger.context(name)
            if context is None:
                raise HTTPException(404, f"no model {name}")
            return {"name": name, "context": context}

        @app.post("/v1/embeddings")
        async def embeddings(prompt: Prompt) -> list[float]:
            return await self._model.embed(prompt.prompt)

        @app.post("/v1/completions")
        async def completions(prompt: Prompt) -> str:
            return "".join([token async for token in self._write(prompt)])

        @app.post("/v1/completions/stream")
        async def stream(prompt: Prompt) -> StreamingResponse:
            return StreamingResponse(self._write(prompt), media_type="text/plain")

        @app.post("/v1/finetunes")
        async def finetunes() -> None:
            raise HTTPException(503, "no GPU is free")

        @app.get("/v1/gpus/{number}")
        async def gpu(number: int) -> None:
            raise RuntimeError(f"GPU {number} has fallen off the bus")

        @app.websocket("/v1/realtime")
        async def realtime(socket: WebSocket) -> None:
            await socket.accept()
            with suppress(WebSocketDisconnect):
                while True:
                    await socket.send_text((await socket.receive_text()).upper())
