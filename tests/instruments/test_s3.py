"""boto3's client of S3 against moto's server: operations, failures, and addresses that are signed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from ferrometer import CollectorRegistry
from ferrometer.instruments import watch
from tests.instruments.test_inference import shown

boto3 = pytest.importorskip("boto3", reason="pip install boto3")
moto_server = pytest.importorskip("moto.server", reason='pip install "moto[server,s3]"')
botocore_config = pytest.importorskip("botocore.config")
exceptions = pytest.importorskip("botocore.exceptions")

SECRET = "very-secret"


def _client(endpoint: str, service: str = "s3") -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=SECRET,
        aws_secret_access_key=SECRET,
        config=botocore_config.Config(retries={"max_attempts": 2}, connect_timeout=2),
    )


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint: str, registry: CollectorRegistry) -> Any:
    client = _client(endpoint)
    client.create_bucket(Bucket="images")
    return watch(watch(client, registry=registry), registry=registry)


def operation(name: str, status: str = "success", times: int = 1) -> dict[str, float]:
    return {
        f"s3_operations_total{{{name},{status}}}": times,
        f"s3_operation_duration_seconds_count{{{name}}}": times,
    }


def test_an_upload_and_a_download(client: Any, registry: CollectorRegistry) -> None:
    client.put_object(Bucket="images", Key="a", Body=b"hello")
    assert client.get_object(Bucket="images", Key="a")["Body"].read() == b"hello"
    client.list_objects_v2(Bucket="images")
    assert shown(registry) == operation("upload") | operation("download") | operation("list_objects_v2")


def test_a_refusal_and_no_connection(client: Any, registry: CollectorRegistry) -> None:
    with pytest.raises(exceptions.ClientError):
        client.get_object(Bucket="images", Key="missing")
    with pytest.raises(exceptions.EndpointConnectionError):
        watch(_client("http://127.0.0.1:1"), registry=registry).put_object(Bucket="b", Key="k", Body=b"")
    assert shown(registry) == operation("download", "error") | operation("upload", "error")


def test_what_is_signed(client: Any, registry: CollectorRegistry) -> None:
    """Signing asks nobody: it is no operation."""
    assert "images/a" in client.generate_presigned_url("get_object", Params={"Bucket": "images", "Key": "a"})
    assert client.generate_presigned_post("images", "a")["fields"]["key"] == "a"
    with pytest.raises(exceptions.UnknownClientMethodError):
        client.generate_presigned_url("no_such_method")
    assert shown(registry) == {
        "s3_presign_operations_total{success}": 2,
        "s3_presign_operations_total{error}": 1,
    }


def test_a_large_file_goes_in_parts(client: Any, registry: CollectorRegistry) -> None:
    """On threads of its own; one upload, and each part as what it is."""
    client.upload_fileobj(io.BytesIO(bytes(17 << 20)), "images", "large")
    found = shown(registry)
    assert found["s3_operations_total{create_multipart_upload,success}"] == 1
    assert found["s3_operations_total{upload_part,success}"] == 3
    assert found["s3_operations_total{upload,success}"] == 1


def test_other_services_are_refused(endpoint: str) -> None:
    with pytest.raises(TypeError, match=r"cannot watch SQS: it is no client of .* botocore's S3"):
        watch(_client(endpoint, "sqs"))
