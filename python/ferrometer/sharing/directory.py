"""Where private folders lie, and whose they are. No other file decides it.

The processes of one application meet in a folder named after their supervisor; its folder ``leases`` holds
their locks. Processes that share nothing have their locks in a folder named after their application.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

#: A folder of another pid namespace cannot be asked whether its supervisor lives. Left alone for so many
#: seconds, without a live process in it, it is taken for abandoned.
ABANDONED = 86_400.0


class Place(NamedTuple):
    """The name of a folder, which no other supervisor has: ids of processes come round again, and are
    the same in every container."""

    pid: int
    started: int
    """Clock ticks since boot."""
    namespace: int
    """Inode of the pid namespace."""
    boot: str
    application: str

    @property
    def name(self) -> str:
        """As the folder is called."""
        return "-".join(map(str, self))

    @classmethod
    def of(cls, pid: int, application: str = "") -> Place:
        """The place of a process of this pid namespace; raises OSError when it is no more."""
        return cls(pid, int(started(pid)), _namespace(), _boot(), digest(application)[:8])

    @classmethod
    def parse(cls, name: str) -> Place | None:
        """The place with this name; None for a name of somebody else's making."""
        match = re.fullmatch(r"(\d+)-(\d+)-(\d+)-([0-9a-f]{8})-([0-9a-f]{8})", name)
        return cls(*map(int, match.groups()[:3]), *match.groups()[3:]) if match else None  # type: ignore[arg-type]

    def is_over(self, age: float) -> bool:
        """Whether its supervisor has ended; ``age``: seconds since anything was made in the folder."""
        if self.boot != _boot():
            return True
        if self.namespace != _namespace():
            return age > ABANDONED
        try:
            return int(started(self.pid)) != self.started
        except (FileNotFoundError, ProcessLookupError):
            return True


def home() -> Path:
    """The folder of this user under which the places lie; it need not exist.

    In memory where there is such a file system: ``XDG_RUNTIME_DIR``, ``/dev/shm``. All workers of one
    supervisor must come to the same answer, so it does not depend on what is free there.
    """
    for base in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):
        if base and os.path.isdir(base) and os.access(base, os.W_OK | os.X_OK):
            break
    else:
        base = tempfile.gettempdir()
    return Path(base) / f"ferrometer-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def private(folder: Path) -> None:
    """Make the folder, or see that it is ours alone: in /tmp anybody could have made it first.

    Raises PermissionError when it is not, and OSError when it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "getuid"):
        return
    found = os.lstat(folder)
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError(f"{folder} is a symbolic link")
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{folder} is no folder")
    if found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to user {found.st_uid}, not to user {os.getuid()}")
    if found.st_mode & 0o022:
        raise PermissionError(f"others may write into {folder}")


def lease_folder(shared: str | os.PathLike[str] | None, application: str) -> Path:
    """The folder of an application's leases, made when missing.

    It lies in the directory ``shared``; without one in a private folder below ``home()`` whose name is a
    digest of ``application``. Raises OSError when it cannot be made, PermissionError when it belongs to
    somebody else.
    """
    if shared:
        folder = Path(shared) / "leases"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    root = home()
    folder = root / digest(application)
    for each in (root, folder):
        private(each)
    return folder


def sweep(folder: Path, has_live: Callable[[str], bool], heir: Place | None = None) -> None:
    """Remove the places of ended supervisors in which no process is left, as ``has_live`` tells.

    What processes of the same application logged, and nobody has shipped yet, goes to its ``heir``.
    """
    for place, path in _places(folder):
        with suppress(OSError):
            if place.is_over(time.time() - path.stat().st_mtime) and not has_live(str(path)):
                if heir is not None and place.application == heir.application:
                    _bequeath(path, folder / heir.name)
                shutil.rmtree(path, ignore_errors=True)


def candidates() -> list[tuple[int, Path]]:
    """The private directories of this user whose supervisors live, each with its supervisor's process id."""
    return [(place.pid, path) for place, path in _places(home()) if not place.is_over(0.0)]


def _bequeath(source: Path, target: Path) -> None:
    for ring in source.glob("*.ring"):
        target.mkdir(mode=0o700, exist_ok=True)
        ring.rename(target / ring.name)


def _places(folder: Path) -> Iterator[tuple[Place, Path]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        place = Place.parse(name)
        if place is not None:
            yield place, folder / name


def started(pid: int) -> str:
    """When a process started, in clock ticks since boot. Raises FileNotFoundError when there is none.

    A zombie has ended.
    """
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    # The command, in parentheses, may hold anything.
    words = fields.rpartition(")")[2].split()
    if words[0] in "ZX":
        raise FileNotFoundError(f"process {pid} has ended")
    return words[19]


def digest(text: str) -> str:
    """Sixteen hexadecimal digits."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def _boot() -> str:
    if sys.platform != "linux":
        return "00000000"
    return Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:8]
