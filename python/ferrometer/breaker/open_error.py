"""What is raised in place of a call that a breaker does not let through."""

from __future__ import annotations


class CircuitOpenError(RuntimeError):
    """The provider is not asked now."""

    def __init__(self, name: str, retry_after: float | None) -> None:
        when = "until it is reset" if retry_after is None else f"for {retry_after:.1f} s"
        super().__init__(f"the circuit breaker {name!r} lets no call through {when}")
        self.name = name
        #: Seconds after which a call has a chance; None when somebody forced the breaker open.
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[CircuitOpenError], tuple[str, float | None]]:
        return type(self), (self.name, self.retry_after)
