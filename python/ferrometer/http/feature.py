"""Requests are measured: the section ``[metrics]``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from ferrometer._core import HttpMetrics
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import TRUTH, WORDS, Form, option
from ferrometer._runtime.settings import convert
from ferrometer.http.middleware import MetricsMiddleware

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


def shared(value: object) -> bool | str:
    """True, false or a directory."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(f"must be true, false or a directory, not {value!r}")
    return str(os.fspath(value))


def _shared_by_environment(environ: Mapping[str, str]) -> bool | str | None:
    """FERROMETER_DIR, unless FERROMETER_SHARED is false: machine-wide collectors use it all the same."""
    switch = environ.get("FERROMETER_SHARED")
    if switch is not None and not switch.strip():
        raise ValueError("FERROMETER_SHARED is set but empty; give it a value or unset it")
    chosen = None if switch is None else WORDS.get(switch.strip().lower(), switch)
    directory = environ.get("FERROMETER_DIR")
    return directory if directory and chosen is not False else chosen


_SHARED = Form("true, false or a directory", shared, lambda text: WORDS.get(text.strip().lower(), text))


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How requests are measured."""

    namespace: str | None = option(
        None, "Prefix of the service's own families.", aliases=("FERROMETER_NAMESPACE",)
    )
    sample: float = option(
        1.0, "Share of requests whose duration is recorded, in (0, 1].", aliases=("FERROMETER_SAMPLE",)
    )
    buckets: tuple[float, ...] | None = option(
        None, "Upper bounds of the duration histogram, in seconds.", aliases=("FERROMETER_BUCKETS",)
    )
    skip_paths: tuple[str, ...] = option(
        (),
        "Paths that are not measured; `*` at the end stands for any rest.",
        aliases=("FERROMETER_SKIP_PATHS",),
    )
    skip_methods: tuple[str, ...] = option(
        (), "Methods that are not measured.", aliases=("FERROMETER_SKIP_METHODS",)
    )
    request_id: bool = option(
        True, "Accept, make and return X-Request-ID.", aliases=("FERROMETER_REQUEST_ID",)
    )
    exemplars: Any = option(
        False, "Keep the latest trace of each bucket.", form=TRUTH, aliases=("FERROMETER_EXEMPLARS",)
    )
    shared: bool | str | None = option(
        None,
        "Whether workers share their metrics, or the directory; `FERROMETER_DIR` names it too.",
        form=_SHARED,
        from_environment=_shared_by_environment,
    )


class Http(Feature):
    """The middleware, and what it records into."""

    section = "metrics"
    Settings = HttpSettings

    def __init__(
        self,
        *,
        namespace: str | None = None,
        sample: float | None = None,
        buckets: Sequence[float] | None = None,
        skip_paths: Iterable[str] | None = None,
        skip_methods: Iterable[str] | None = None,
        request_id: bool | None = None,
        exemplars: bool | Callable[[], str | None] | None = None,
        shared: bool | str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            namespace=namespace,
            sample=sample,
            buckets=None if buckets is None else tuple(buckets),
            skip_paths=_strings("skip_paths", skip_paths),
            skip_methods=_strings("skip_methods", skip_methods),
            request_id=request_id,
            exemplars=exemplars,
            shared=None if shared is None else convert(_SHARED.from_value, shared, "shared"),
        )

    def open(self, runtime: Runtime) -> None:
        """Makes the families; the middleware comes around the application when its stack is built."""
        chosen: HttpSettings = runtime.settings(self)
        self.skip_paths: tuple[str, ...] = chosen.skip_paths
        self.namespace: str | None = chosen.namespace
        self.metrics: HttpMetrics = runtime.registry.with_room(
            lambda: HttpMetrics(
                runtime.registry, chosen.namespace, chosen.sample, chosen.buckets, chosen.exemplars
            )
        )
        self.around: Callable[..., ASGIApp] = partial(
            MetricsMiddleware,
            metrics=self.metrics,
            skip_methods=chosen.skip_methods,
            request_id=chosen.request_id,
        )


def _strings(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(values, str):  # which `tuple` would take apart into letters
        raise TypeError(f"{name} must be a list of strings, not one string; write [{values!r}]")
    return None if values is None else tuple(values)


FEATURE = Http
