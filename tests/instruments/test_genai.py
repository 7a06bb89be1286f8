"""GenAI's names from the same call: labels, units, bounds and rules of each version."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette

from ferrometer import CollectorRegistry, Instruments, generate_latest, instrument
from ferrometer.instruments import inference
from ferrometer.instruments.genai import set_conventions
from tests.instruments.test_exporter import samples

OLD, NEW = "gen_ai@1.41", "gen_ai@0.1"


def told(registry: CollectorRegistry) -> dict[str, float]:
    """By name: counters' totals, histograms' counts; all series together."""
    found: dict[str, float] = {}
    for name, value in samples(registry).items():
        plain = name.partition("{")[0]
        if not plain.endswith("_sum"):
            found[plain] = found.get(plain, 0) + value
    return found


def ended(registry: CollectorRegistry, **more: Any) -> None:
    with inference(**{"model": "m", "provider": "openai", "registry": registry, **more}) as call:
        call.usage(100, 50, cached_tokens=64, reasoning_tokens=20)
        call.response_model, call.server_address, call.server_port = "m-2026", "api.example", "443"
        list(call.stream(range(3)))


def test_semantic_conventions_1_41(registry: CollectorRegistry) -> None:
    set_conventions((OLD,), registry)
    ended(registry)
    assert told(registry) == {
        "gen_ai_client_operation_duration_seconds_count": 1,
        "gen_ai_client_operation_time_to_first_chunk_seconds_count": 1,
        "gen_ai_client_token_usage_count": 2,
    }
    text = generate_latest(registry).decode()
    (usage,) = [line for line in text.splitlines() if "token_usage_sum" in line and '"input"' in line]
    labels = (
        'gen_ai_operation_name="chat"',
        'gen_ai_provider_name="openai"',
        'gen_ai_request_model="m"',
        'gen_ai_response_model="m-2026"',
        'server_address="api.example"',
        'server_port="443"',
    )
    assert all(label in usage for label in labels)
    assert usage.endswith(" 100.0")
    assert 'le="0.01"' in text
    assert 'le="67108864.0"' in text or 'le="6.7108864e+07"' in text


def test_the_first_release_of_genai(registry: CollectorRegistry) -> None:
    set_conventions((NEW,), registry)
    ended(registry)
    assert told(registry) == {
        "gen_ai_client_inference_duration_seconds_count": 1,
        "gen_ai_client_inference_time_to_first_chunk_seconds_count": 1,
        "gen_ai_client_inference_operation_input_tokens_count": 1,
        "gen_ai_client_inference_operation_output_tokens_count": 1,
        "gen_ai_client_inference_usage_input_tokens_total": 100,
        "gen_ai_client_inference_usage_output_tokens_total": 50,
        "gen_ai_client_inference_usage_cache_read_input_tokens_total": 64,
        "gen_ai_client_inference_usage_reasoning_output_tokens_total": 20,
    }
    assert 'gen_ai_token_modality="unknown"' in generate_latest(registry).decode()


def test_a_failed_inference_has_usage_of_zero_and_no_sizes(registry: CollectorRegistry) -> None:
    set_conventions((NEW,), registry)
    with pytest.raises(KeyError), inference(model="m", provider="p", registry=registry):
        raise KeyError
    assert told(registry) == {"gen_ai_client_inference_duration_seconds_count": 1}
    text = generate_latest(registry).decode()
    assert 'error_type="KeyError"' in text
    assert "\ngen_ai_client_inference_usage_input_tokens_total{" in text
    assert "operation_input_tokens" not in text


def test_embeddings_and_others_have_names_of_their_own(registry: CollectorRegistry) -> None:
    set_conventions((NEW,), registry)
    for operation in ("embeddings", "rerank"):
        with inference(model="m", provider="p", operation=operation, registry=registry) as call:
            call.usage(7)
    assert told(registry) == {
        "gen_ai_client_embeddings_duration_seconds_count": 1,
        "gen_ai_client_embeddings_operation_input_tokens_count": 1,
        "gen_ai_client_operation_duration_seconds_count": 1,
    }


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_model_s_own_server(version: str, registry: CollectorRegistry) -> None:
    set_conventions((version,), registry)
    ended(registry, role="server")
    assert told(registry) == {
        "gen_ai_server_request_duration_seconds_count": 1,
        "gen_ai_server_time_to_first_token_seconds_count": 1,
        "gen_ai_server_time_per_output_token_seconds_count": 1,
    }


def test_all_at_once_and_back(registry: CollectorRegistry) -> None:
    instrument(Starlette(), Instruments(conventions=["native", OLD, NEW]), registry=registry)
    ended(registry)
    found = told(registry)
    assert found["inference_requests_total"] == 1
    assert found["gen_ai_client_operation_duration_seconds_count"] == 1
    assert found["gen_ai_client_inference_duration_seconds_count"] == 1
    set_conventions(("native",), registry)
    ended(registry)
    found = told(registry)
    assert found["inference_requests_total"] == 2
    assert found["gen_ai_client_operation_duration_seconds_count"] == 1


def test_an_unknown_convention_is_named(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match=r"unknown convention 'gen_ai@2'; one of native, gen_ai@1.41"):
        set_conventions(("gen_ai@2",), registry)
    with pytest.raises(ValueError, match="at least one"):
        set_conventions((), registry)
