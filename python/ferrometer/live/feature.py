"""The feature: the page below the endpoints' path, for whom the endpoints let in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from starlette.responses import Response

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer._runtime.panel import Panel
from ferrometer.live.files import live_page

if TYPE_CHECKING:
    from starlette.requests import Request

    from ferrometer._runtime.runtime import Runtime

_PATH = "/ferrometer"
#: The longest form: a token.
_MOST_BODY = 16 << 10


@dataclass(frozen=True)
class PageSettings:
    """The section ``[page]``."""

    title: str | None = option(None, "What the page calls the service; by default its namespace.")


class Page(Feature):
    """The service as it is now, at ``/ferrometer``: rate, errors, percentiles, routes, heat maps, health.

    It asks the history's API and nothing else, so it switches ``History`` on. ``panels`` are views of your
    own (``ferrometer.live.Panel``). A browser signs in with the endpoints' token or password.
    """

    section = "page"
    Settings = PageSettings
    needs: ClassVar[tuple[str, ...]] = ("history",)

    def __init__(self, *, title: str | None = None, panels: Sequence[Panel] = ()) -> None:
        super().__init__(title=title)
        self._panels = tuple(panels)
        self._page: _core.LivePage | None = None
        self._runtime: Runtime | None = None
        self._responder: _core.Responder | None = None

    def open(self, runtime: Runtime) -> None:
        """Reads the files and makes the routes."""
        chosen: PageSettings = runtime.settings(self)
        self._runtime = runtime
        self._page = live_page(chosen.title or runtime.namespace, (*self._panels, *runtime.panels))
        self._page.show()
        runtime.route(_PATH, self._answer, protected=False, methods=("GET", "POST"))
        runtime.route(_PATH + "/{rest:path}", self._answer, protected=False)

    async def _answer(self, request: Request) -> Response:
        if self._page is None or self._runtime is None or self._runtime.access is None:
            raise RuntimeError("Page() belongs to instrument(app, Page())")
        access = self._runtime.access
        if self._responder is None:
            # Where a callable of the application decides, it decides about the page, too: there is no form.
            native = access.native() if access.is_native else None
            routes = self._page.routes(native)
            self._responder = _core.Responder(self._runtime.registry._native, access=native, routes=routes)
        if not access.is_native:
            refusal = access.refuse_address(request) or await access.refuse_credentials(request)
            if refusal is not None:
                return Response(status_code=refusal.status, headers=refusal.headers)
        body = await _body(request) if request.method == "POST" else None
        path = _PATH if request.path_params.get("rest") is None else f"{_PATH}/{request.path_params['rest']}"
        status, headers, content = self._responder.respond(
            request.method,
            path,
            request.url.query,
            request.headers.raw,
            request.client.host if request.client is not None else None,
            body,
        )
        response = Response(content, status)
        for name, value in headers:
            if name not in ("content-length", "cache-control", "x-content-type-options"):
                response.headers.append(name, value)
        return response


async def _body(request: Request) -> bytes:
    """The body, as far as a form can be long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY:
            break
    return bytes(body)


FEATURE = Page
