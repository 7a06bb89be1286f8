"""OpenTelemetry's GenAI metrics, from the same call as the native names: one table, keyed by version.

``gen_ai@1.41`` is what instrumentations emit today (semantic conventions up to 1.41), ``gen_ai@0.1`` the
first release of the conventions of their own. Both are status Development. Names are as a Prometheus exporter
writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ferrometer.instruments.family import Families, Family, families_of
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

if TYPE_CHECKING:
    from ferrometer.instruments.call import inference

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(float(4**power) for power in range(14))
_SERVER_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_SERVER_BETWEEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

CALL = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "server_address",
    "server_port",
)
ENDED = (*CALL, "error_type")


def _seconds(
    name: str, words: str, labels: tuple[str, ...] = CALL, bounds: tuple[float, ...] = _SECONDS
) -> Family:
    return Family("histogram", name, labels, words, "seconds", bounds)


class Version(NamedTuple):
    """The names of a version."""

    #: Of the operation: the family of its duration; "" stands for all others.
    durations: Mapping[str, Family]
    first_chunk: Family
    #: Input and output tokens of an operation, as histograms; by operation, "" for all others.
    tokens: Mapping[str, tuple[Family, Family | None]]
    #: One family for input and output, with their type in a label.
    typed_tokens: bool
    #: Counters of tokens: the attribute of the call, and the family.
    usage: tuple[tuple[str, Family], ...]


_OPERATION = _seconds("gen_ai_client_operation_duration_seconds", "GenAI operation duration", ENDED)
_USAGE = Family(
    "histogram",
    "gen_ai_client_token_usage",
    (*CALL, "gen_ai_token_type"),
    "Number of input and output tokens used",
    buckets=_TOKENS,
)
_INFERENCE = _seconds("gen_ai_client_inference_duration_seconds", "GenAI inference duration", ENDED)


def _size(name: str, words: str) -> Family:
    return Family("histogram", name, CALL, words, buckets=_TOKENS)


def _count(name: str, words: str) -> Family:
    labels = (*CALL, "gen_ai_token_modality")
    return Family("counter", f"gen_ai_client_inference_usage_{name}_total", labels, words)


_INFERENCES = ("chat", "text_completion", "generate_content")
VERSIONS: Mapping[str, Version] = {
    "gen_ai@1.41": Version(
        {"": _OPERATION},
        _seconds(
            "gen_ai_client_operation_time_to_first_chunk_seconds", "Time to the first chunk of a stream"
        ),
        {"": (_USAGE, _USAGE)},
        True,
        (),
    ),
    "gen_ai@0.1": Version(
        {
            **dict.fromkeys(_INFERENCES, _INFERENCE),
            "embeddings": _seconds(
                "gen_ai_client_embeddings_duration_seconds", "GenAI embeddings duration", ENDED
            ),
            "": _OPERATION,
        },
        _seconds(
            "gen_ai_client_inference_time_to_first_chunk_seconds", "Time to the first chunk of a stream"
        ),
        {
            **dict.fromkeys(
                _INFERENCES,
                (
                    _size("gen_ai_client_inference_operation_input_tokens", "Input tokens of an inference"),
                    _size("gen_ai_client_inference_operation_output_tokens", "Output tokens of an inference"),
                ),
            ),
            "embeddings": (
                _size("gen_ai_client_embeddings_operation_input_tokens", "Input tokens of embeddings"),
                None,
            ),
        },
        False,
        (
            ("input_tokens", _count("input_tokens", "Input tokens, with what was cached")),
            ("output_tokens", _count("output_tokens", "Output tokens, with the reasoning")),
            ("cached_tokens", _count("cache_read_input_tokens", "Input tokens that came from the cache")),
            ("cache_written_tokens", _count("cache_write_input_tokens", "Input tokens put into the cache")),
            ("reasoning_tokens", _count("reasoning_output_tokens", "Output tokens of the reasoning")),
        ),
    ),
}
SERVER = (
    _seconds("gen_ai_server_request_duration_seconds", "Time of a request at the model's server", ENDED),
    _seconds("gen_ai_server_time_to_first_token_seconds", "Time to the first token", CALL, _SERVER_FIRST),
    _seconds("gen_ai_server_time_per_output_token_seconds", "Time per further token", CALL, _SERVER_BETWEEN),
)
"""The same in all versions; of a model's own server alone, never of a gateway."""


class GenAi:
    """Records ended calls under the names of a version."""

    def __init__(self, families: Families, version: str) -> None:
        self._families = families
        self._version = VERSIONS[version]
        self._made: dict[str, Any] = {}

    def _of(self, family: Family) -> Any:
        made = self._made.get(family.name)
        if made is None:
            made = self._made[family.name] = self._families.make(family)
        return made

    def __call__(self, call: inference) -> None:
        """A call has ended."""
        version, operation = self._version, call.operation
        labels = (
            operation,
            call.provider,
            call.model,
            call.response_model,
            call.server_address,
            call.server_port,
        )
        failed = call.status == "error"
        error = type(call.error).__name__ if failed and call.error is not None else ""
        if call.role == "server":
            self._server(call, labels, error)
            return
        duration = version.durations.get(operation) or version.durations[""]
        self._of(duration).labels(*labels, error).observe(call.seconds)
        if (first := call.first_chunk_seconds) is not None:
            self._of(version.first_chunk).labels(*labels).observe(first)
        sizes = version.tokens.get(operation) or version.tokens.get("")
        if sizes is not None and not failed:
            for kind, family, tokens in zip(
                ("input", "output"), sizes, (call.input_tokens, call.output_tokens), strict=True
            ):
                if family is not None and tokens is not None:
                    values = (*labels, kind) if version.typed_tokens else labels
                    self._of(family).labels(*values).observe(tokens)
        if operation in _INFERENCES:
            for name, family in version.usage:
                # Of every inference; what nobody told is 0.
                self._of(family).labels(*labels, "unknown").inc(getattr(call, name) or 0)

    def _server(self, call: inference, labels: tuple[str, ...], error: str) -> None:
        request, to_first, per_token = SERVER
        self._of(request).labels(*labels, error).observe(call.seconds)
        if (first := call.first_token_seconds) is not None:
            self._of(to_first).labels(*labels).observe(first)
            tokens = call.output_tokens or call.chunks
            if tokens > 1 and call.status == "success":
                self._of(per_token).labels(*labels).observe((call.seconds - first) / (tokens - 1))


def set_conventions(names: tuple[str, ...], registry: CollectorRegistry = REGISTRY) -> None:
    """Under which names inference is recorded, from now on: ``native`` and versions of ``VERSIONS``.

    Raises ValueError for an unknown one, and for none.
    """
    known = ("native", *VERSIONS)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"unknown convention {unknown[0]!r}; one of {', '.join(known)}")
    if not names:
        raise ValueError(f"conventions must name at least one of {', '.join(known)}")
    families = families_of(registry)
    families.conventions = tuple(names)
    others = [listener for listener in families.listeners if not isinstance(listener, GenAi)]
    families.listeners[:] = [*others, *(GenAi(families, name) for name in VERSIONS if name in names)]
    for recorder in families.recorders.values():
        recorder.native = "native" in names
