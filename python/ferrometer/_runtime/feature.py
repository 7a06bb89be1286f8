"""What hangs on an application: one folder, one section of the configuration, one class like this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


class Feature:
    """A part of Ferrometer that an application switches on.

    ``instrument(app, Alerts(...))`` makes it with arguments; a section ``[alerts]`` in the configuration
    makes it without. A subclass has typed keywords of its own and hands them to ``super().__init__``; None
    is "not given", and the environment and the file are asked.
    """

    #: The section of the configuration: "alerts" is ``[alerts]`` and ``FERROMETER_ALERTS_*``.
    section: ClassVar[str]
    #: A frozen dataclass whose fields are options (``_runtime.options.option``).
    Settings: ClassVar[type]
    #: The sections of features that this one is nothing without; they are switched on with it.
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **given: Any) -> None:
        #: The arguments, by the name of their option.
        self.given: Mapping[str, Any] = given

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def open(self, runtime: Runtime) -> None:
        """Reads the settings and registers what it needs; once, when the application is instrumented.

        It starts no thread and opens no file or socket: the application may fork afterwards.
        """

    def start(self) -> None:
        """Begins its work; once in each process that serves, after the fork."""

    def close(self, deadline: float) -> None:
        """Ends its work; once in each process that serves.

        What is not done at ``deadline``, a moment of ``time.monotonic()``, is counted and dropped.
        """

    def after_fork(self) -> None:
        """Forgets threads and sockets of the parent; in the child, before any other code of it runs."""
