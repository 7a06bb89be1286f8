"""`io.prometheus.client.MetricFamily` as the protobuf package reads it: the decoder that our encoder faces.

The messages are described here as prometheus/client_model's metrics.proto has them, field for field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

_PACKAGE = "io.prometheus.client"
_TYPES = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")
_TIMESTAMP = ".google.protobuf.Timestamp"
# Message -> fields: number, type, name. `*` says repeated; a capital letter begins a message of this package.
_MESSAGES = {
    "LabelPair": "1 string name, 2 string value",
    "Gauge": "1 double value",
    "Counter": "1 double value, 2 Exemplar exemplar, 3 time created_timestamp",
    "Quantile": "1 double quantile, 2 double value",
    "Summary": "1 uint64 sample_count, 2 double sample_sum, 3 Quantile* quantile, 4 time created_timestamp",
    "Untyped": "1 double value",
    "Histogram": (
        "1 uint64 sample_count, 4 double sample_count_float, 2 double sample_sum, 3 Bucket* bucket,"
        " 5 sint32 schema, 6 double zero_threshold, 7 uint64 zero_count, 8 double zero_count_float,"
        " 9 BucketSpan* negative_span, 10 sint64* negative_delta, 11 double* negative_count,"
        " 12 BucketSpan* positive_span, 13 sint64* positive_delta, 14 double* positive_count,"
        " 15 time created_timestamp, 16 Exemplar* exemplars"
    ),
    "Bucket": (
        "1 uint64 cumulative_count, 4 double cumulative_count_float, 2 double upper_bound,"
        " 3 Exemplar exemplar"
    ),
    "BucketSpan": "1 sint32 offset, 2 uint32 length",
    "Exemplar": "1 LabelPair* label, 2 double value, 3 time timestamp",
    "Metric": (
        "1 LabelPair* label, 2 Gauge gauge, 3 Counter counter, 4 Summary summary, 5 Untyped untyped,"
        " 7 Histogram histogram, 6 int64 timestamp_ms"
    ),
    "MetricFamily": "1 string name, 2 string help, 3 enum type, 4 Metric* metric, 5 string unit",
}


def _described(package: str, messages: dict[str, str]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto2",
        dependency=["google/protobuf/timestamp.proto"],
    )
    enum = file.enum_type.add(name="MetricType")
    for number, name in enumerate(_TYPES):
        enum.value.add(name=name, number=number)
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for field in fields.split(","):
            number_, kind, name = field.split()
            repeated = kind.endswith("*")
            kind = kind.rstrip("*")
            new = described.field.add(
                name=name,
                number=int(number_),
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
            )
            if kind == "enum":
                new.type, new.type_name = kinds.TYPE_ENUM, f".{package}.MetricType"
            elif kind == "time" or kind[0].isupper():
                new.type = kinds.TYPE_MESSAGE
                new.type_name = _TIMESTAMP if kind == "time" else f".{package}.{kind}"
            else:
                new.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    return file


def message_class(package: str, messages: dict[str, str], name: str) -> Any:
    """The class of a message that is described like those above."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_described(package, messages).SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


MetricFamily = message_class(_PACKAGE, _MESSAGES, "MetricFamily")


def decoded(exposition: bytes) -> dict[str, Any]:
    """The families by name; every byte belongs to one, and none has a field that metrics.proto lacks."""
    families: dict[str, Any] = {}
    for message in _delimited(exposition):
        family = MetricFamily.FromString(message)
        known = len(family.SerializeToString())
        family.DiscardUnknownFields()
        assert len(family.SerializeToString()) == known, f"{family.name} has unknown fields"
        assert family.name not in families
        families[family.name] = family
    return families


def _delimited(exposition: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(exposition):
        length = shift = 0
        while True:
            byte = exposition[position]
            position += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        assert position + length <= len(exposition), "cut off"
        yield exposition[position : position + length]
        position += length


def type_of(family: Any) -> str:
    """`COUNTER`, `GAUGE`, …"""
    return _TYPES[family.type]


def labels_of(metric: Any) -> dict[str, str]:
    """A metric's labels; a name stands once."""
    pairs = [(pair.name, pair.value) for pair in metric.label]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def native_buckets(histogram: Any) -> dict[int, int]:
    """The populated buckets of a native histogram by index, from its spans and deltas."""
    index = count = 0
    deltas = iter(histogram.positive_delta)
    buckets = {}
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            assert count >= 0
            if count:
                buckets[index] = count
            index += 1
    assert next(deltas, None) is None, "more deltas than the spans have room for"
    return buckets
