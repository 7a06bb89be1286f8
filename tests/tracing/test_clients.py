"""Client spans of what is watched: real servers on the other side, one span for each call that is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import openai
import psycopg
import pytest
import redis
import sqlalchemy

import ferrometer
from ferrometer import CollectorRegistry, tracing
from ferrometer.collectors.redis import instrument_redis
from ferrometer.collectors.sql import instrument_asyncpg, instrument_psycopg, instrument_sqlalchemy
from ferrometer.instruments import watch
from ferrometer.jobs.listeners import JobRecord, tell
from tests.instruments.provider import Provider, serving
from tests.logs.programs import run
from tests.real.log_receivers import Receiver
from tests.real.postgres import Postgres, postgres
from tests.real.redis import RedisServer, valkey
from tests.tracing.received import Received, Spans
from tests.tracing.received import spans as read


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def below(spans: Spans, parent: Any) -> list[Received]:
    """The spans within one, which is the last to end, in the order of their ends."""
    *found, last = spans.all()
    assert last.span_id == parent.span_id
    for span in found:
        assert (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id)
        assert last.start_ns <= span.start_ns <= span.end_ns <= last.end_ns
    return found


def of_database(server: Postgres, operation: str, error: str | None = None) -> dict[str, Any]:
    told = {
        "db.system.name": "postgresql",
        "db.operation.name": operation,
        "server.port": server.port,
        "db.namespace": "postgres",
    }
    return told | ({"error.type": error} if error else {})


def without_host(span: Received) -> dict[str, Any]:
    assert span.kind == "client"
    return {name: value for name, value in span.attributes.items() if name != "server.address"}


def test_asyncpg(spans: Spans, database: Postgres) -> None:
    async def main() -> Any:
        async with asyncpg.create_pool(database.url(), min_size=1, max_size=1) as pool:
            with (
                instrument_asyncpg(pool, registry=CollectorRegistry()),
                ferrometer.span("request") as span,
            ):
                await pool.fetchval("SELECT 'a secret of the statement'")
                with pytest.raises(asyncpg.UndefinedTableError):
                    await pool.execute("DELETE FROM nowhere")
            return span

    first, second = below(spans, asyncio.run(main()))
    assert (first.name, first.status, without_host(first)) == (
        "SELECT",
        "unset",
        of_database(database, "SELECT"),
    )
    assert (second.name, second.status) == ("DELETE", "error")
    assert without_host(second) == of_database(database, "DELETE", "UndefinedTableError")
    assert "secret" not in str(first)


def test_psycopg(spans: Spans, database: Postgres) -> None:
    with (
        psycopg.connect(database.url(), autocommit=True) as connection,
        instrument_psycopg(connection, registry=CollectorRegistry()),
        ferrometer.span("request") as span,
    ):
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("UPDATE nowhere SET a = 1")
    first, second = below(spans, span)
    assert without_host(first) == of_database(database, "SELECT")
    assert without_host(second) == of_database(database, "UPDATE", "UndefinedTable")


def test_sqlalchemy(spans: Spans) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with (
        instrument_sqlalchemy(engine, registry=CollectorRegistry()),
        engine.connect() as connection,
        ferrometer.span("request") as span,
    ):
        connection.execute(sqlalchemy.text("SELECT 1"))
    (found,) = below(spans, span)
    assert found.attributes == {"db.system.name": "sqlite", "db.operation.name": "SELECT"}


def test_redis(spans: Spans, store: RedisServer) -> None:
    lib: Any = redis
    with (
        lib.Redis(port=store.port) as client,
        instrument_redis(client, registry=CollectorRegistry()),
        ferrometer.span("request") as span,
    ):
        client.set("secret", "value")
        with pytest.raises(redis.ResponseError):
            client.incr("secret")
        with client.pipeline() as pipeline:
            pipeline.get("secret").get("secret").execute()
    first, second, third = below(spans, span)
    server = {
        "db.system.name": "redis",
        "server.address": "localhost",
        "server.port": store.port,
        "db.namespace": "0",
    }
    assert (first.name, first.attributes) == ("SET", server | {"db.operation.name": "SET"})
    assert (second.name, second.status) == ("INCRBY", "error")
    assert second.attributes == server | {"db.operation.name": "INCRBY", "error.type": "ResponseError"}
    piped = {"db.operation.name": "PIPELINE", "db.operation.batch.size": 2}
    assert (third.name, third.attributes) == ("PIPELINE", server | piped)


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def test_httpx_tells_the_server_its_span(spans: Spans, url: str) -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> None:
        seen.append(request.headers["traceparent"])

    with (
        watch(httpx.Client(), registry=CollectorRegistry()) as client,
        ferrometer.span("request") as span,
        tracing.Baggage(tenant="acme"),
    ):
        good = client.get(f"{url}/v1/models?key=a1b2c3")
        note(good.request)
        note(client.post(f"{url}/v1/chat/completions", json={"model": "down"}).request)
        with pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:1/")
        # Somebody else's instrumentation has written its own.
        client.get(f"{url}/v1/models", headers={"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})
    first, second, third = below(spans, span)
    assert [text.split("-")[1:3] for text in seen] == [[one.trace_id, one.span_id] for one in (first, second)]
    assert good.request.headers["baggage"] == "tenant=acme"
    assert (first.name, first.kind, first.status) == ("GET", "client", "unset")
    assert first.attributes["http.response.status_code"] == 200
    assert first.attributes["url.full"].startswith(f"{url}/v1/models")
    assert (second.status, second.attributes["error.type"]) == ("error", "500")
    assert (third.status, third.attributes["error.type"]) == ("error", "ConnectError")


def test_asynchronous_httpx_and_redirects(spans: Spans, url: str) -> None:
    answers = iter([httpx.Response(302, headers={"location": "/there"}), httpx.Response(200)])
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["traceparent"])
        return next(answers)

    async def main() -> Any:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
        async with watch(client, registry=CollectorRegistry()):
            with ferrometer.span("request") as span:
                await client.get("http://user:secret@example.test/here")
            return span

    first, second = below(spans, asyncio.run(main()))
    assert [text.split("-")[2] for text in seen] == [first.span_id, second.span_id]
    assert [first.attributes["url.full"], second.attributes["url.full"]] == [
        "http://example.test/here",
        "http://example.test/there",
    ]


def test_calls_of_models(spans: Spans, url: str) -> None:
    client = watch(
        openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0), registry=CollectorRegistry()
    )
    with ferrometer.span("request") as span:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "a secret"}])
        for _ in client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "x"}],
            stream=True,
            stream_options={"include_usage": True},
        ):
            pass
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="down", messages=[{"role": "user", "content": "x"}])
    first, streamed, failed = below(spans, span)
    assert (first.name, first.kind) == ("chat gpt-4o", "client")
    assert first.attributes["gen_ai.provider.name"] == "openai"
    assert first.attributes["gen_ai.usage.output_tokens"] > 0
    assert streamed.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert (failed.status, failed.attributes["error.type"]) == ("error", "server")
    assert failed.attributes["http.response.status_code"] == 500
    assert "secret" not in str(first)
    assert Provider.seen


def test_jobs_go_on_with_the_trace_of_who_submitted_them(spans: Spans) -> None:
    sent = JobRecord("celery", "send_mail", id="j1", queue="mail")
    with ferrometer.span("request") as request:
        tell("submitting", sent)
        tell("submitted", sent, None)
    run = JobRecord("celery", "send_mail", id="j1", queue="mail", carrier=dict(sent.carrier), wait=0.5)
    tell("started", run)
    with ferrometer.span("within"):
        pass
    tell("ended", run, "failed", ValueError("no address"))
    assert tracing.current_span() is None
    producer, consumer, within = (
        spans.named(name) for name in ("send send_mail", "process send_mail", "within")
    )
    assert (producer.kind, producer.parent_id) == ("producer", request.span_id)
    assert (consumer.kind, consumer.parent_id, consumer.trace_id) == (
        "consumer",
        producer.span_id,
        request.trace_id,
    )
    assert [link.span_id for link in consumer.links] == [producer.span_id]
    assert within.parent_id == consumer.span_id
    assert (consumer.status, consumer.attributes["error.type"]) == ("error", "ValueError")
    assert producer.attributes["messaging.destination.name"] == "mail"


def test_what_is_not_sampled_has_no_client_spans_and_goes_on_unsampled(spans: Spans, url: str) -> None:
    spans.setup(sampler="always_off")
    with (
        watch(httpx.Client(), registry=CollectorRegistry()) as client,
        ferrometer.span("request"),
    ):
        answer = client.get(f"{url}/v1/models")
    assert int(answer.request.headers["traceparent"][-2:], 16) & 1 == 0
    assert spans.all() == []


def test_without_traces_nothing_is_written(url: str) -> None:
    tracing.shutdown()
    with watch(httpx.Client(), registry=CollectorRegistry()) as client:
        assert "traceparent" not in client.get(f"{url}/v1/models").request.headers


def test_a_task_of_celery_goes_on_with_the_trace_of_who_submitted_it() -> None:
    with Receiver() as receiver:
        run(
            f"""
from celery import Celery
from celery.contrib.testing.worker import start_worker
import ferrometer
from ferrometer import tracing
from ferrometer.jobs.celery import install

install()
tracing.setup("svc", endpoint="{receiver.url}", delay=0)
app = Celery("app", broker="memory://", backend="cache+memory://")

@app.task(name="send_mail")
def send_mail(number):
    with ferrometer.span("within"): return number

with start_worker(app, perform_ping_check=False, pool="solo"):
    with ferrometer.span("request"): sent = send_mail.delay(3)
    assert sent.get(timeout=60) == 3
assert tracing.flush(60)
os._exit(0)
"""
        )
        found = {span.name: span for span in read(receiver.posts)}
    request, sent, run_, within = (
        found[name] for name in ("request", "send send_mail", "process send_mail", "within")
    )
    assert {span.trace_id for span in found.values()} == {request.trace_id}
    assert [span.parent_id for span in (sent, run_, within)] == [
        span.span_id for span in (request, sent, run_)
    ]
    assert [link.span_id for link in run_.links] == [sent.span_id]
    assert (sent.kind, run_.kind) == ("producer", "consumer")
