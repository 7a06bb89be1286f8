"""Who of several workers runs a machine-wide collector: the one that holds the lock.

The lease IS an exclusive ``flock`` on a small file, so the kernel ends it with its holder, however
that one dies. No process id is written down and none is asked whether it lives: ids are reused.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from ferrometer._process import fork
from ferrometer.sharing.directory import digest, lease_folder, started
from ferrometer.sharing.share import DIRECTORY_VARIABLE, shared_directory

if sys.platform != "win32":
    import fcntl


class Lease:
    """One name that one process of the application may hold at a time.

    ``hold()`` costs some microseconds and never blocks. The lock is advisory and per open file: two
    leases of one name exclude each other within a process too.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{_file_name(name)}.lock"
        self._file: int | None = None
        _LEASES.add(self)

    def hold(self) -> bool:
        """Whether this object holds the lease now, taking it when it is free.

        Raises OSError when the file cannot be made or opened.
        """
        if sys.platform == "win32":  # no flock: every worker runs the collector itself
            return True
        if self._file is not None and self._still_there(self._file):
            return True
        self.release()
        file = self._open()
        if file is None:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and lock the file may have been swept away: then this lock excludes nobody.
            held = self._still_there(file)
        except BlockingIOError:
            held = False
        except BaseException:
            os.close(file)
            raise
        if not held:
            os.close(file)
            return False
        self._file = file
        return True

    @property
    def held(self) -> bool:
        """Whether it was held when last asked."""
        return self._file is not None

    def release(self) -> None:
        """Let another worker have it, and tidy up; nothing happens when it is not held."""
        if self._file is None:
            return
        if self._still_there(self._file):
            # Safe only under the lock: who opened the file before will see that it is gone.
            with suppress(OSError):
                self._path.unlink()
                self._path.parent.rmdir()  # fails while there is another lease
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)  # the last descriptor of the open file: the lock goes with it

    def _open(self) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        for _ in range(10):
            try:
                return os.open(self._path, flags, 0o600)
            except FileNotFoundError:  # the last holder tidied up, perhaps once more right now
                with suppress(FileExistsError):  # removed and made again between mkdir's try and its look
                    self._path.parent.mkdir(mode=0o700, exist_ok=True)
        return None  # others come and go faster than this: they hold it

    def _still_there(self, file: int) -> bool:
        """Whether the path still leads to the locked file; keeps its time fresh for sweepers of /tmp."""
        try:
            here, there = os.fstat(file), os.stat(self._path, follow_symlinks=False)
            os.utime(file)
        except OSError:
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def _forget(self) -> None:
        # In a forked child: the open file is shared with the parent, so only this descriptor is
        # closed. LOCK_UN here would take the parent's lock away; keeping it open would outlive it.
        self._close()


_LEASES: weakref.WeakSet[Lease] = weakref.WeakSet()


def _after_fork() -> None:
    for lease in list(_LEASES):
        lease._forget()


fork.in_child(_after_fork)


class Leases:
    """The leases of one application, by name.

    What ``application`` is by default is settled now, not when a worker asks: what is made before a
    fork is one application in all children.
    """

    def __init__(self, application: str | None = None) -> None:
        self._application = application_key() if application is None else application
        self._directory: Path | None = None

    def __call__(self, name: str) -> Lease:
        """A lease of that name; raises OSError when there is no place for it."""
        if self._directory is None:
            self._directory = application_directory(self._application)
        return Lease(self._directory, name)


def application_directory(application: str) -> Path:
    """The private folder of this application's leases, made when missing.

    It lies in the directory that the workers share, or that ``FERROMETER_DIR`` names; else below
    ``directory.home()``, mode 0700, and its name is a digest of ``application``. Raises OSError when the
    folder cannot be made, PermissionError when it belongs to somebody else.
    """
    try:
        return lease_folder(shared_directory() or os.environ.get(DIRECTORY_VARIABLE), application)
    except PermissionError as error:
        raise PermissionError(f"{error}; set {DIRECTORY_VARIABLE}") from None


def application_key() -> str:
    """What the workers of one application have in common and others of the same user have not:
    parent process, command line, working directory."""
    parent = os.getppid()
    try:
        since = started(parent)
    except OSError:
        since = ""
    return "\0".join((str(parent), since, os.getcwd(), *sys.argv))


def _file_name(name: str) -> str:
    """The name as a file name: readable, and never two names for one file."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]
    return plain if plain == name else f"{plain}-{digest(name)}"
