"""Loggers whose methods name what AI platforms log: requests, inferences, MCP operations, drift."""

from __future__ import annotations

from typing import Any

from ferrometer import _core


class StructuredLogger(_core.Logger):
    """A logger with a method for each of the usual events."""

    def log_request(
        self, method: str, endpoint: str, status_code: int, duration_ms: float, **fields: Any
    ) -> None:
        """A request was answered; a status from 500 on is an error."""
        log = self.error if status_code >= 500 else self.info
        log(
            "Request processed",
            method=method,
            endpoint=endpoint,
            status_code=status_code,
            duration_ms=duration_ms,
            **fields,
        )

    def log_inference(self, model: str, latency_ms: float, batch_size: int = 1, **fields: Any) -> None:
        """A model answered."""
        self.info("Inference completed", model=model, batch_size=batch_size, latency_ms=latency_ms, **fields)

    def log_mcp_operation(
        self, server: str, operation: str, duration_ms: float, status: str = "success", **fields: Any
    ) -> None:
        """A tool server did something; any status but success is an error."""
        log = self.info if status == "success" else self.error
        log(
            "MCP operation",
            mcp_server=server,
            mcp_operation=operation,
            duration_ms=duration_ms,
            status=status,
            **fields,
        )

    def log_drift(self, model: str, drift_score: float, threshold: float, **fields: Any) -> None:
        """A model's drift was measured; a score above the threshold is a warning."""
        log = self.warning if drift_score > threshold else self.info
        log(
            "Drift measured",
            model=model,
            drift_score=drift_score,
            threshold=threshold,
            **fields,
        )


def get_structured_logger(name: str = "") -> StructuredLogger:
    """The logger of that name, with methods for requests, inferences, MCP operations and drift."""
    return StructuredLogger(name)
