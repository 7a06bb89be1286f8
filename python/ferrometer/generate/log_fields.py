"""Where the lines of a format of ``ferrometer.logs`` have what log collectors ask for."""

from __future__ import annotations

from ferrometer import _core

#: The steps from the line's object to the name of the service.
_SERVICE = {
    "omtx": ("service", "name"),
    "gcp": ("logging.googleapis.com/labels", "service"),
    "ecs": ("service.name",),
}
_IDS = {"ecs": {"request_id": "http.request.id", "user_id": "user.id"}}


def log_fields(log_format: str) -> dict[str, tuple[str, ...]]:
    """The steps to each: time, level, logger, service, message, request_id, user_id, trace_id, span_id.

    A format that is none of a line, such as ``console``, counts as the default one.
    """
    try:
        keys = _core.log_format_keys(log_format)
    except ValueError:
        log_format, keys = "gpuproxy", _core.log_format_keys("gpuproxy")
    ids = _IDS.get(log_format, {})
    return {
        "time": (keys["time"],),
        "level": (keys["level"],),
        "logger": ("log.logger" if log_format == "ecs" else "logger",),
        "service": _SERVICE.get(log_format, ("service",)),
        "message": (keys["message"],),
        "request_id": (ids.get("request_id", "request_id"),),
        "user_id": (ids.get("user_id", "user_id"),),
        "trace_id": (keys["trace_id"],),
        "span_id": (keys["span_id"],),
    }
