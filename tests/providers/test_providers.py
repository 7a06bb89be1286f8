"""One process's providers: what each status counts as, the score, the dashboard, probes, bad input."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import urllib.error
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from starlette.testclient import TestClient

import ferrometer
from ferrometer import CollectorRegistry, Providers
from ferrometer._core import list_providers
from ferrometer.breaker import CircuitOpenError
from ferrometer.breaker.feature import expose as expose_breakers
from ferrometer.instruments import inference, watch
from ferrometer.providers import record, track
from ferrometer.providers.feature import PATH, expose
from ferrometer.providers.probes import Probes, parse
from tests.instruments.provider import serving
from tests.workers.servers import until


@pytest.fixture
def name() -> str:
    """A provider that no other test has: they share this process's table."""
    return f"provider-{uuid.uuid4()}"


def shown(name: str) -> dict[str, float]:
    """What a scrape says of a provider, by metric; with the outcome or quantile behind it."""
    registry = CollectorRegistry()
    expose(registry, namespace="gw")
    found = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.labels.pop("provider", None) == name and "model" not in sample.labels:
                assert "pid" not in sample.labels
                key = " ".join([sample.name, *sample.labels.values()])
                assert key not in found
                found[key] = sample.value
    return found


def test_each_provider_has_one_series_each_and_none_without_calls(name: str) -> None:
    assert shown(name) == {}
    for _ in range(49):
        record(name, "m", seconds=2.0, first_token_seconds=0.5, output_tokens=75)
    record(name, "m", status=503)
    found = shown(name)
    assert found["provider_availability"] == 1
    assert found["provider_error_rate"] == 0.02
    assert found["gw_provider_health_score"] == pytest.approx(0.96)  # 1 - 2 * 0.02
    assert found["gw_provider_calls success"] == 49
    assert found["gw_provider_calls failure"] == 1
    assert found["gw_provider_first_token_seconds 0.99"] == pytest.approx(0.5, rel=0.05)
    assert found["gw_provider_duration_seconds 0.5"] == pytest.approx(2.0, rel=0.05)
    assert found["gw_provider_tokens_per_second"] == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("status", "judged", "failures"),
    [
        *((status, 1, 0) for status in (200, 204, 302)),
        *((status, 0, 0) for status in (400, 413, 422, 405, 418)),
        *((status, 1, 1) for status in (401, 403, 404, 408, 429, 500, 502, 503, 504, 529)),
    ],
)
def test_statuses_are_the_callers_fault_or_the_providers(
    name: str, status: int, judged: int, failures: int
) -> None:
    record(name, status=200)
    record(name, status=status)
    found = shown(name)
    assert found["gw_provider_calls success"] + found["gw_provider_calls failure"] == 1 + judged
    assert found["gw_provider_calls failure"] == failures
    assert found["gw_provider_calls caller"] == 1 - judged


def test_a_callers_key_is_the_callers_fault_and_what_was_cancelled_says_nothing(name: str) -> None:
    record(name, status=200)
    record(name, status=401, callers_key=True)
    record(name, status=409, caller_statuses={409})
    for error in (asyncio.CancelledError(), KeyboardInterrupt(), CircuitOpenError("other", 1.0)):
        record(name, error=error)
    found = shown(name)
    assert (found["provider_error_rate"], found["gw_provider_calls caller"]) == (0, 2)


def test_a_provider_is_available_while_one_of_its_models_is(name: str) -> None:
    record(name, "good")
    for _ in range(5):
        record(name, "bad", error=TimeoutError())
    models = {one["name"]: one for one in dashboard()[name]["models"]}
    assert models["good"]["availability"] == 1
    assert models["bad"]["availability"] == 0
    assert models["bad"]["health_score"] == 0
    assert dashboard()[name]["availability"] == 1
    for _ in range(5):
        record(name, "good", error=TimeoutError())
    assert dashboard()[name]["availability"] == 0
    record(name, "bad")
    assert dashboard()[name]["availability"] == 1


outcomes = st.lists(
    st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from([200, 422, 500]), st.floats(0.002, 900.0)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(outcomes)
def test_the_score_is_that_of_a_naive_twin(calls: list[tuple[str, int, float]]) -> None:
    name = f"provider-{uuid.uuid4()}"
    for model, status, first in calls:
        record(name, model, status=status, first_token_seconds=first)
    judged = [(model, status) for model, status, _ in calls if status != 422]
    found = shown(name)
    if not judged:
        assert found == {}
        return
    called = {model for model, _ in judged}
    failures = sum(status == 500 for _, status in judged)
    assert found["provider_error_rate"] == pytest.approx(failures / len(judged))

    def available(model: str) -> bool:
        last = [status for one, status in judged if one == model][-5:]
        return not (len(last) == 5 and set(last) == {500})

    times = sorted(first for model, _, first in calls if model in called)
    p99 = times[max(1, math.ceil(0.99 * len(times))) - 1]
    expected = max(0.0, 1 - 2 * failures / len(judged)) * min(1.0, 2.0 / p99)
    expected *= any(available(model) for model in called)
    assert found["provider_availability"] == any(available(model) for model in called)
    assert found["gw_provider_health_score"] == pytest.approx(expected, rel=0.046)


def test_clients_of_the_sdks_are_tracked(name: str) -> None:
    import openai

    forget = track()
    try:
        with (
            serving() as address,
            openai.OpenAI(api_key="sk", base_url=f"{address}/v1", max_retries=0) as made,
        ):
            client = watch(made, provider=name, registry=CollectorRegistry())

            def ask(model: str, **more: Any) -> Any:
                messages: Any = [{"role": "user", "content": "hello"}]
                return client.chat.completions.create(model=model, messages=messages, **more)

            ask("m")
            for _ in ask("m", stream=True, stream_options={"include_usage": True}):
                pass
            for _ in range(5):
                with pytest.raises(openai.InternalServerError):
                    ask("down")
    finally:
        forget()
    told = dashboard()[name]
    models = {one["name"]: one for one in told["models"]}
    assert (told["requests"], told["errors"], told["availability"]) == (7, 5, 1)
    assert (models["m"]["requests"], models["m"]["errors"], models["m"]["availability"]) == (2, 0, 1)
    assert (models["down"]["errors"], models["down"]["availability"]) == (5, 0)
    assert models["m"]["first_token_seconds"]["p99"] is not None
    assert models["m"]["tokens_per_second"] > 0


class Times(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    p50: float | None
    p99: float | None


class Known(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    status: str
    availability: float
    error_rate: float
    health_score: float
    requests: int
    errors: int
    caller_errors: int
    first_token_seconds: Times
    duration_seconds: Times
    tokens_per_second: float | None


class Provider(Known):
    models: list[Known]


class Summary(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    total: int
    healthy: int
    degraded: int
    unhealthy: int
    requests: int
    errors: int
    error_rate: float | None
    average_health_score: float | None
    window_seconds: float


class Dashboard(BaseModel):
    """The contract of GET /health/dashboard."""

    model_config = ConfigDict(extra="forbid", strict=True)
    timestamp: str
    providers: list[Provider]
    summary: Summary


def dashboard() -> dict[str, Any]:
    """The providers of the dashboard by name, once its form is checked."""
    _, _, body = ferrometer._core.dashboard_route().respond("GET", PATH, "", [], None)
    found = Dashboard.model_validate_json(body)
    assert found.summary.total == len(found.providers)
    assert found.summary.healthy + found.summary.degraded + found.summary.unhealthy == found.summary.total
    return {one.name: one.model_dump() for one in found.providers}


def instrumented(*features: ferrometer.Providers | ferrometer.Breakers, **keywords: Any) -> FastAPI:
    app = FastAPI()
    ferrometer.instrument(app, *features, registry=CollectorRegistry(), default_collectors=False, **keywords)
    return app


@pytest.fixture
def default_settings() -> Iterator[None]:
    """Other settings are this process's, and so the other tests'."""
    yield
    feature = Providers()
    feature.start()
    feature.close(0)


def test_every_call_is_recorded_from_the_start_to_the_end_of_the_application(
    name: str, default_settings: None
) -> None:
    def call(error: Exception | None = None) -> None:
        quiet = contextlib.suppress(TimeoutError, CircuitOpenError)
        with quiet, inference(model="m", provider=name) as one:
            one.first_token()
            if error is not None:
                raise error

    call()
    assert name not in dashboard()
    with TestClient(instrumented(Providers())) as client:
        assert Dashboard.model_validate_json(client.get(PATH).content).summary.window_seconds == 300
        call()
        call(TimeoutError())
        call(CircuitOpenError(name, 1.0))
        with pytest.raises(asyncio.CancelledError), inference(model="m", provider=name):
            raise asyncio.CancelledError
        assert dashboard()[name]["requests"] == 2
        assert dashboard()[name]["errors"] == 1
        assert dashboard()[name]["first_token_seconds"]["p99"] is not None
        # What cannot be recorded is counted and told, and breaks no call.
        refused = ferrometer.REGISTRY.get_sample_value
        labels = {"what": "observer"}
        before = refused("ferrometer_inference_refused_total", labels) or 0
        with inference(model="m", provider="x" * 10_000):
            pass
        assert refused("ferrometer_inference_refused_total", labels) == before + 1
    call()
    assert dashboard()[name]["requests"] == 2


def test_two_applications_of_a_process_record_a_call_once(name: str, default_settings: None) -> None:
    first, second = instrumented(Providers()), instrumented(Providers(callers_key=True))
    with TestClient(first), TestClient(second), inference(model="m", provider=name):
        pass
    assert dashboard()[name]["requests"] == 1
    registry = CollectorRegistry()
    for namespace in ("one", "two", "one"):
        expose(registry, namespace=namespace)
        expose_breakers(registry, namespace=namespace)
    names = {family.name for family in registry.collect()}
    assert {"one_provider_health_score", "two_provider_health_score"} <= names
    forget = track()
    forget()
    forget()


def test_the_dashboard_is_under_the_endpoints_credentials_on_both_fronts(default_settings: None) -> None:
    headers = {"Authorization": "Bearer secret"}
    app = instrumented(Providers(), ferrometer.Breakers(), auth="secret", path="/ops")
    with TestClient(app) as client:
        assert client.get("/ops" + PATH).status_code == 401
        assert client.get("/ops/breakers").status_code == 401
        answer = client.get("/ops" + PATH, headers=headers)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        Dashboard.model_validate_json(answer.content)
        assert client.post("/ops" + PATH, headers=headers).status_code == 405
        head = client.head("/ops" + PATH, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
    with ferrometer.serve_metrics(0, auth="secret", registry=CollectorRegistry()) as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(server.url + PATH, timeout=30)
        request = urllib.request.Request(server.url + PATH, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as found:
            Dashboard.model_validate_json(found.read())


def test_low_scores_reach_health_where_asked(name: str, default_settings: None) -> None:
    with TestClient(instrumented(Providers(health_below=0.5))) as client:
        for _ in range(3):
            record(name, status=500)

        def low() -> dict[str, float]:
            told = client.get("/health").json()
            scores: dict[str, float] = told["checks"]["providers"].get("low_scores", {})
            assert not scores or told["status"] == "degraded"
            return scores

        until(lambda: low().get(name) == 0, what="told", seconds=60)  # a result is good for a moment
    with TestClient(instrumented(Providers())) as client:
        assert "providers" not in client.get("/health").json()["checks"]


def test_weights_window_and_bounds_are_settings(name: str, default_settings: None) -> None:
    def started(**chosen: Any) -> None:
        with TestClient(instrumented(Providers(**chosen))):
            pass

    for _ in range(9):
        record(name, first_token_seconds=4.0)
    record(name, status=500)
    started(error_weight=1.0, latency_weight=0.0)
    assert shown(name)["gw_provider_health_score"] == pytest.approx(0.9)
    started(error_weight=0.0, latency_weight=2.0, target=1.0)
    assert shown(name)["gw_provider_health_score"] == pytest.approx(1 / 16, rel=0.1)
    started(error_weight=1.0, latency_weight=0.0, healthy_from=0.95, degraded_from=0.9)
    assert dashboard()[name]["status"] == "degraded"
    started(unavailable_after=1)
    assert shown(name)["provider_availability"] == 0
    started(window=1.0)
    record(name)
    until(lambda: shown(name) == {}, what="forgotten", seconds=60)


def test_probes_ask_those_whom_nobody_calls(name: str, default_settings: None) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path[1:]))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    async def later() -> bool:
        await asyncio.sleep(0)
        return True

    def fails() -> None:
        raise ValueError("of its own")

    hang = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    probes: dict[str | tuple[str, str], Any] = {
        f"{name} yes": lambda: None,
        (f"{name} async", "m"): later,
        f"{name} no": lambda: False,
        f"{name} raises": fails,
        f"{name} hangs": lambda: hang.wait(60),
        f"{name} up": f"{address}/200",
        f"{name} keyless": f"{address}/401",
        f"{name} down": f"{address}/503",
        f"{name} nobody": "http://127.0.0.1:1/",
    }
    app = instrumented(Providers(probes=probes, interval=0.2, probe_timeout=1.0))
    try:
        with TestClient(app):
            # More than one round: the errors of one end none of the next.
            until(lambda: dashboard().get(f"{name} no", {"errors": 0})["errors"] >= 2, seconds=60)
            until(lambda: f"{name} hangs" in dashboard(), seconds=60)
            found = {key.removeprefix(f"{name} "): one for key, one in dashboard().items() if name in key}
    finally:
        hang.set()
        server.shutdown()
        server.server_close()
    assert {key: one["error_rate"] for key, one in found.items()} == {
        **dict.fromkeys(("yes", "async", "up"), 0.0),
        **dict.fromkeys(("no", "raises", "hangs", "down", "nobody"), 1.0),
    }
    assert [one["name"] for one in found["async"]["models"]] == ["m"]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"window": 0}, r"\[providers\] window must be from 1 to 86400, not 0"),
        ({"error_weight": -1}, "error_weight must be from 0"),
        ({"target": math.nan}, "target must be from 0.001 to 3600, not nan"),
        ({"unavailable_after": 0}, "unavailable_after must be from 1"),
        ({"health_below": 2}, "health_below must be from 0 to 1, not 2"),
        ({"degraded_from": 0.9}, "degraded_from must be at most healthy_from"),
        ({"caller_statuses": [42]}, "caller_statuses must be from 400 to 599, not 42"),
        ({"probes": {"openai": "ftp://x"}}, "the probe of 'openai' must ask http:// or https://"),
    ],
)
def test_impossible_settings_are_refused_by_name(chosen: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        instrumented(Providers(**chosen))


def test_bad_calls_and_probes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"a provider has 1 to 128 bytes; .* has 10000"):
        record("x" * 10_000)
    with pytest.raises(ValueError, match=r"a provider has 1 to 128 bytes"):
        record("")
    with pytest.raises(ValueError, match=r"a model has 0 to 256 bytes"):
        record("x", "y" * 257)
    for seconds in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="first_token_seconds must be finite and not negative"):
            record("x", first_token_seconds=seconds)
    with pytest.raises(TypeError, match="must be a function or an address, not 7"):
        Probes({"x": 7}, 1.0)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="write provider=https://host/path, not 'x'"):
        parse(("x",))
    assert parse(("a = http://b/?c=d",)) == {"a": "http://b/?c=d"}
    assert all(one[0] for one in list_providers())
