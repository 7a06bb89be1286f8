"""The gateway the demo watches: a FastAPI application like many, with one Ferrometer line in it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Literal, cast

from fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

import ferrometer
from ferrometer._runtime.feature import Feature
from ferrometer.background.collector import Collector
from ferrometer.collectors.app.caches import CacheCollector
from ferrometer.collectors.gpu.collector import GpuCollector
from ferrometer.collectors.postgres import PostgresCollector, postgres_check
from ferrometer.collectors.redis import RedisCollector
from ferrometer.demo.cache import LATEST, Contexts, Shelf
from ferrometer.demo.database import Ledger, PostgresLedger, SQLiteLedger, Writer
from ferrometer.demo.jobs import Jobs
from ferrometer.demo.model import NAMES, SimulatedModel
from ferrometer.demo.providers import Upstreams
from ferrometer.demo.stores import Stores
from ferrometer.instruments import costs, inference

NAMESPACE = "gpuproxy"
PROVIDER = "gpu-farm"
PRICES = {"llama-8b": {"input": 0.2, "output": 0.6}, "llama-70b": {"input": 0.9, "output": 2.7}}
"""USD per million tokens."""
_DOLLARS_PER_TOKEN = 0.6e-6
_SECONDS = 1.0
"""How often servers and caches are read: someone is watching."""


class Prompt(BaseModel):
    """What a client asks of the model."""

    model: Literal["llama-8b", "llama-70b"]
    prompt: str
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 16


def _features() -> tuple[Feature, ...]:
    """What is on; some of it is there on Linux only."""
    if sys.platform != "linux":
        return (ferrometer.Instruments(),)
    return (
        ferrometer.Instruments(),
        ferrometer.Page(),
        ferrometer.Providers(),
        ferrometer.Breakers(),
        ferrometer.Jobs(most_lost=1),
    )


class Gateway:
    """The application and what it is measured with; every one counts in a registry of its own."""

    def __init__(self, stores: Stores | None = None) -> None:
        self._stores = stores or Stores()
        self._registry = ferrometer.CollectorRegistry()
        self._model = SimulatedModel()
        self._ledger = self._make_ledger()
        cache = self._stores.cache
        self._shelf = Shelf(cache.address, self._ledger.context) if cache else None
        self._contexts: Contexts = self._shelf.context if self._shelf else self._ledger.context
        self._writer = Writer(self._note, self._registry)
        self.upstreams = Upstreams(self._registry) if sys.platform == "linux" else None
        self.jobs = Jobs() if sys.platform == "linux" else None
        costs(PRICES, namespace=NAMESPACE, registry=self._registry)
        waiting = ferrometer.Gauge(
            "gpu_requests_waiting",
            "Requests without a GPU slot",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        waiting.set_function(lambda: self._model.waiting)
        self.app = FastAPI(title="A small GPU gateway", lifespan=self._lifespan)
        self._routes()
        checks = {"model": self._model.alive, "database": postgres_check(self._ledger.pool)}
        self._watched = ferrometer.instrument(
            self.app,
            *_features(),
            namespace=NAMESPACE,
            registry=self._registry,
            health_checks=checks | ({"cache": self._shelf.check()} if self._shelf else {}),
            collectors=self._collectors(),
        )
        self._ledger.watch(self._watched.stats, self._registry)
        if self._shelf:
            self._shelf.watch(self._watched.stats, self._registry)
        self._read_caches_often()
        self._watched.stats.gpu.instances(1)

    def _read_caches_often(self) -> None:
        collectors, cache = self._watched.collectors, self._watched.stats.cache
        collectors.remove(CacheCollector.name)
        collectors.add(CacheCollector(registry=self._registry, interval=_SECONDS, stats=cache))

    def _make_ledger(self) -> Ledger:
        if self._stores.database is not None:
            return PostgresLedger(self._stores.database.address, NAMES)
        return SQLiteLedger(NAMES, None if self._stores.cache else self._registry)

    def _collectors(self) -> list[Collector]:
        """What the machines say about themselves."""
        found: list[Any] = [GpuCollector(registry=self._registry)]  # real ones; the model's is not
        database, cache = self._stores.database, self._stores.cache
        if database is not None:
            found.append(PostgresCollector(database.address, interval=_SECONDS, registry=self._registry))
        if cache is not None:
            found.append(
                RedisCollector(cache.address, queues=[LATEST], interval=_SECONDS, registry=self._registry)
            )
        return found

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        await self._ledger.open()
        self._writer.start()
        try:
            yield
        finally:
            await self._writer.stop()
            await self._ledger.close()
            if self._shelf is not None:
                await self._shelf.close()

    async def _note(self, model: str, tokens: int) -> None:
        await self._ledger.write(model, tokens)
        if self._shelf is not None:
            await self._shelf.note(model, tokens)

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the collectors that read servers and caches."""
        names = {"postgres": self._stores.database, "redis": self._stores.cache}
        return (CacheCollector.name, *(name for name, store in names.items() if store is not None))

    async def settled(self) -> None:
        """Returns when everything that was noted is written."""
        await self._writer.settled()

    def in_flight(self) -> int:
        """Requests being served now."""
        return int(self._watched.metrics.snapshot()["in_flight"])

    def quantile(self, method: str, route: str, q: float) -> float:
        """Seconds that the fraction `q` of a route's requests stayed below."""
        durations = ferrometer.Histogram(
            "http_request_duration_seconds", "", ["method", "endpoint"], registry=self._registry
        )
        return durations.labels(method, route).quantile(q)

    def call_quantile(self, family: str, labels: dict[str, str], q: float) -> float:
        """Seconds that the fraction `q` of the calls with these labels took at most."""
        known = cast("ferrometer.Histogram", self._registry._names_to_collectors[family])
        return known.labels(**labels).quantile(q)

    async def _write(self, prompt: Prompt) -> AsyncIterator[str]:
        self._watched.stats.gpu.request(cost_usd=prompt.max_tokens * _DOLLARS_PER_TOKEN)
        written = 0
        try:
            with inference(model=prompt.model, provider=PROVIDER, registry=self._registry) as call:
                call.usage(input_tokens=len(prompt.prompt.split()))
                async for token in call.astream(self._model.tokens(prompt.model, prompt.max_tokens)):
                    call.output_tokens = written = written + 1
                    yield token
        finally:
            self._writer.note(prompt.model, written)

    def _routes(self) -> None:
        app = self.app

        @app.get("/v1/models")
        async def models() -> list[str]:
            return list(NAMES)

        @app.get("/v1/models/{name}")
        async def one_model(name: str) -> dict[str, str | int]:
            context = await self._contexts(name)
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
