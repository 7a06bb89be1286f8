"""NVML through nvidia-ml-py: a session, its devices, and what their errors mean."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from ferrometer._process import fork
from ferrometer.background.collector import CollectError, UnavailableError

_INSTALL = "pip install 'ferrometer[gpu]'"

# After these the device, or the whole session, answers nothing until NVML is initialised anew.
_OVER = ("GPU_IS_LOST", "RESET_REQUIRED", "UNINITIALIZED", "DRIVER_NOT_LOADED", "LIB_RM_VERSION_MISMATCH",
         "GPU_NOT_FOUND")  # fmt: skip
_NO_DRIVER = ("LIBRARY_NOT_FOUND", "DRIVER_NOT_LOADED")


class LostError(CollectError):
    """A device, or the driver, is gone until NVML is initialised anew."""


class InvisibleError(UnavailableError):
    """A device that this process, in its container, is not to see."""


class Device:
    """One GPU or one MIG instance."""

    def __init__(self, session: Session, handle: Any) -> None:
        self._session = session
        self._handle = handle
        self.answers: int = 0
        """Questions answered so far."""

    def ask(self, function: str, *arguments: Any) -> Any:
        """What pynvml's function of that name says; None where device, driver or pynvml has no answer.

        Raises LostError when the device is.
        """
        answer = self._session.call(function, self._handle, *arguments)
        self.answers += answer is not None
        return answer

    def field(self, number: int) -> int | None:
        """One field value that is an unsigned 32-bit integer."""
        found = self.ask("nvmlDeviceGetFieldValues", [number])
        if found is None or found[0].nvmlReturn != 0:  # each field has a return code of its own
            return None
        return int(found[0].value.uiVal)

    def instances(self) -> Iterator[tuple[int, Device]]:
        """Its MIG instances, each with the number of its place."""
        for index in range(self.ask("nvmlDeviceGetMaxMigDeviceCount") or 0):
            handle = self.ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
            if handle is not None:  # the places are numbered, and most are empty
                yield index, Device(self._session, handle)


class Session:
    """NVML, initialised. Raises UnavailableError without package or driver, else LostError."""

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError:
            raise UnavailableError(
                f"reading GPUs needs nvidia-ml-py: {_INSTALL}", reason="no nvidia-ml-py"
            ) from None
        self.nvml: ModuleType = pynvml
        self._failures = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError)
        self._over = frozenset(self._codes(_OVER))
        self.spent = False
        """Set it to have NVML initialised anew for whoever comes next."""
        try:
            pynvml.nvmlInit()
        except self._failures as error:
            if getattr(error, "value", None) in self._codes(_NO_DRIVER):
                raise UnavailableError(f"no NVIDIA driver: {error}", reason="no driver") from None
            raise self._lost("NVML does not start", error) from None
        try:
            self.count: int = int(pynvml.nvmlDeviceGetCount())
        except self._failures as error:
            self.close()
            raise self._lost("NVML does not count its GPUs", error) from None
        self.driver_version: str = str(self.call("nvmlSystemGetDriverVersion") or "")

    def device(self, index: int) -> Device:
        """The GPU of that index. Raises InvisibleError, or LostError."""
        try:
            return Device(self, self.nvml.nvmlDeviceGetHandleByIndex(index))
        except self._failures as error:
            if getattr(error, "value", None) in self._codes(("NO_PERMISSION",)):
                raise InvisibleError(f"no permission for GPU {index}", reason="no_permission") from None
            raise self._lost("no handle", error) from None

    def call(self, function: str, *arguments: Any) -> Any:
        """What pynvml's function of that name says; None where there is no answer. Raises LostError."""
        asked = getattr(self.nvml, function, None)
        if asked is None:  # an older pynvml
            return None
        try:
            return asked(*arguments)
        except self._failures as error:
            if getattr(error, "value", None) in self._over:
                raise self._lost("no answer", error) from None
            return None

    def close(self) -> None:
        """End the session; handles are void."""
        with suppress(*self._failures):
            self.nvml.nvmlShutdown()

    def _codes(self, names: tuple[str, ...]) -> list[int]:
        return [
            code for name in names if (code := getattr(self.nvml, f"NVML_ERROR_{name}", None)) is not None
        ]

    def _lost(self, what: str, error: Exception) -> LostError:
        return LostError(f"{what}: {error}", reason=_reason(error))


class _Shared:
    """NVML counts its users: a lost GPU comes back only when the last of them has shut it down.

    So all of this process share one session, one at a time.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.session: Session | None = None


_shared = _Shared()
# The parent's handles are not good in a child, and its lock may be held by a thread that is not there.
fork.in_child(_shared.__init__)  # type: ignore[misc]


@contextmanager
def session() -> Iterator[Session]:
    """The process's session, for the block alone; kept for the next one unless it is ``spent``.

    Raises what ``Session`` raises.
    """
    with _shared.lock:
        current = _shared.session = _shared.session or Session()
        try:
            yield current
        finally:
            if current.spent:
                _shared.session = None
                current.close()


def shut_down() -> None:
    """End the process's session, unless it is in use; the next one who asks begins another."""
    if _shared.lock.acquire(timeout=0.1):
        try:
            current, _shared.session = _shared.session, None
            if current is not None:
                current.close()
        finally:
            _shared.lock.release()


def _reason(error: Exception) -> str:
    """``NVMLError_GpuIsLost`` as a label value: ``gpu_is_lost``."""
    name = type(error).__name__.removeprefix("NVMLError_")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


__all__ = ["Device", "InvisibleError", "LostError", "Session", "session", "shut_down"]
