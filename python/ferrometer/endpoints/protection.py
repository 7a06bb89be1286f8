"""The section ``[endpoints]``: where the endpoints are, and who may read them.

One setting for every way to serve them: ``instrument()``, ``observability_app()``, ``serve_metrics()`` and
``ferrometer serve``. An argument wins over the environment, the environment over the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ferrometer._runtime.options import TEXTS, Form, option, text, texts
from ferrometer._runtime.settings import Sources
from ferrometer.endpoints.access import Auth, Network

SECTION = "endpoints"


def _token(value: object) -> object:
    return list(texts(value)) if isinstance(value, list) else text(value)


@dataclass(frozen=True, slots=True)
class EndpointsSettings:
    """Where the endpoints are, and who may read them."""

    path: str = option("", "Put before the endpoints' paths.", aliases=("FERROMETER_PATH",))
    auth_token: Any = option(
        None,
        "Bearer token, or a list of them; in the environment one token, taken whole.",
        form=Form("a string or a list of strings", _token, str),
        aliases=("FERROMETER_AUTH_TOKEN",),
        secret=True,
    )
    allow: Any = option(
        None, "Networks that may read; everybody by default.", form=TEXTS, aliases=("FERROMETER_ALLOW",)
    )
    cors_origins: Any = option(
        (), "Origins whose pages may read.", form=TEXTS, aliases=("FERROMETER_CORS_ORIGINS",)
    )
    flat_health: bool = option(
        False, "Whether /health has the flat form.", aliases=("FERROMETER_FLAT_HEALTH",)
    )
    native_histograms: bool = option(
        False,
        "Whether protobuf has native histograms. Prometheus drops the classic buckets of a target that offers"
        " native ones, unless its scrape_config says always_scrape_classic_histograms: true.",
    )


def protection(
    *,
    auth: Auth | None = None,
    allow: str | Iterable[str | Network] | None = None,
    cors_origins: str | Iterable[str] | None = None,
    flat_health: bool | None = None,
    sources: Sources | None = None,
) -> EndpointsSettings:
    """The settings, where these arguments are given."""
    given = {"auth_token": auth, "allow": allow, "cors_origins": cors_origins, "flat_health": flat_health}
    return (sources or Sources()).read(SECTION, EndpointsSettings, given)


__all__ = ["EndpointsSettings", "protection"]
