"""``watch(client)``: one client object, whatever it is a client of."""

from __future__ import annotations

from typing import Any, TypeVar

from ferrometer.instruments.http_client import watch_http
from ferrometer.instruments.mcp_hooks import watch_mcp_server, watch_mcp_session
from ferrometer.instruments.s3_client import watch_s3
from ferrometer.instruments.sdk_answers import ANTHROPIC, OPENAI
from ferrometer.instruments.sdk_client import watch_sdk
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

_C = TypeVar("_C")


def watch(client: _C, *, provider: str | None = None, registry: CollectorRegistry = REGISTRY) -> _C:
    """Measures the calls of one object, and returns it. A second time does nothing.

    What it may be, by the module of its class:

    - a client of ``openai`` or ``anthropic``, sync or async, with its streams, raw answers, and the clients
      that ``copy`` and ``with_options`` derive from it: each call is an ``inference``
    - a client of ``httpx`` or ``httpx2``, sync or async: ``http_client_requests_total``
    - botocore's client of S3: ``s3_operations_total``, ``s3_presign_operations_total``
    - a server or a ClientSession (or a connected Client) of ``mcp``: ``mcp_requests_total``

    The objects keep their types. ``provider`` is the name of the provider, or of the MCP server, where the
    object's own is wrong. No prompt, no key and no path gets into a label.

    Raises TypeError for any other object.
    """
    modules = {kind.__module__.partition(".")[0] for kind in type(client).__mro__}
    target: Any = client
    if "openai" in modules and hasattr(client, "with_options"):
        watch_sdk(target, OPENAI, provider, registry)
    elif "anthropic" in modules and hasattr(client, "with_options"):
        watch_sdk(target, ANTHROPIC, provider, registry)
    elif modules & {"httpx", "httpx2"} and hasattr(client, "_mounts"):
        watch_http(target, registry)
    elif "botocore" in modules and hasattr(client, "generate_presigned_post"):
        watch_s3(target, registry)
    elif "mcp" in modules and hasattr(client, "middleware"):
        watch_mcp_server(target, registry)
    elif "mcp" in modules and hasattr(client, "send_request"):
        watch_mcp_session(target, provider, registry)
    elif "mcp" in modules and hasattr(client, "call_tool"):
        watch_mcp_session(target.session, provider, registry)
    else:
        raise TypeError(
            f"cannot watch {type(client).__name__}: it is no client of openai, anthropic, httpx, httpx2, "
            "mcp or botocore's S3, and no server of mcp"
        )
    return client
