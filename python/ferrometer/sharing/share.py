"""One truth for many workers: ``share()``, and who shares without being told to.

A sharing process records into a file of its own in a folder that all workers of the application have in
common; a scrape of any of them shows all. Nothing else changes: the same cells, the same speed. Where it is
not possible, a warning says why and what to do, and the process keeps its numbers to itself.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import threading
from pathlib import Path

from ferrometer import _core
from ferrometer._process import fork
from ferrometer.sharing.directory import Place, home, private, sweep
from ferrometer.sharing.workers import parent, supervisor

_log = logging.getLogger("ferrometer")

DIRECTORY_VARIABLE = "FERROMETER_DIR"
SWITCH_VARIABLE = "FERROMETER_SHARED"
PEER_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
#: Bytes that a process takes at least.
ROOM = 256 * 1024
#: So many files of processes may be dead ones': then somebody looks, without a scrape.
MANY = 64

_ELSEWHERE = "metrics can be shared between workers on Linux only"
#: Within the directory that prometheus_client's variables name.
FOLDER = "ferrometer"
_OFF = frozenset({"false", "0", "no", "off"})

_lock = threading.RLock()
_told: set[str] = set()
_forks = 0
fork.hold_during_fork(_lock)


def share(directory: str | os.PathLike[str] | None = None) -> str | None:
    """Share this process's metrics with the other processes that record into ``directory``, from now on.

    What was recorded before comes along. Without a directory: the one that the environment names
    (``FERROMETER_DIR``, ``PROMETHEUS_MULTIPROC_DIR``), else one of this process's supervisor, else one of
    its own, into which its forks follow it. Returns the directory; None, after a warning, when sharing is
    not possible. A process shares once: a second call returns what the first one chose.
    """
    if directory is not None:
        return _begin(Path(os.path.abspath(directory)))
    if shared := shared_directory():
        return shared
    named = named_directory(os.environ)
    if named is not None:
        return _begin(Path(named))
    found = supervisor()
    if found is not None:
        return _begin_under(found.pid, found.application)
    return _begin_under(parent() or os.getpid())


def settle(shared: bool | str | None) -> str | None:
    """Do what ``instrument(shared=...)`` or the configuration says; None: share if there are workers."""
    if shared is None:
        found = supervisor()
        if found is None or shared_directory():
            return shared_directory()
        return _begin_under(found.pid, found.application)
    if shared is False:
        if directory := shared_directory():
            _warn(f"shared=False comes too late: this process shares its metrics in {directory} already")
        return None
    return share(None if shared is True else shared)


def detect() -> None:
    """Share if there are several workers, unless the environment has switched that off."""
    if os.environ.get(SWITCH_VARIABLE, "").lower() not in _OFF:
        settle(None)


def by_inheritance() -> None:
    """Share from the import on, when the environment or a parent by ``multiprocessing`` names the directory.

    A fork follows its parent by itself; a spawned process is a new program, which would not.
    """
    if os.environ.get(SWITCH_VARIABLE, "").lower() in _OFF or _is_command():
        return
    named = named_directory(os.environ) or (_directory_of(parent() or os.getppid()) if is_spawned() else None)
    if named is not None:
        _begin(Path(named))


def is_spawned() -> bool:
    """Whether ``multiprocessing`` started this interpreter."""
    return "--multiprocessing-fork" in sys.orig_argv


def _directory_of(pid: int) -> str | None:
    """The directory in which another process of this user shares its metrics: one can see what it maps."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text("utf-8", "surrogateescape")
        for directory in re.findall(r" rw-s .* (/.*)/control$", maps, re.MULTILINE):
            with open(f"{directory}/control", "rb") as control:
                if control.read(8) == b"FERROCTL":
                    return str(directory)
    except OSError:
        return None
    return None


def named_directory(environ: os._Environ[str] | dict[str, str]) -> str | None:
    """The directory that an environment names. prometheus_client's own files lie beside ours."""
    if named := environ.get(DIRECTORY_VARIABLE):
        return os.path.abspath(named)
    for variable in PEER_VARIABLES:
        if named := environ.get(variable):
            return os.path.join(os.path.abspath(named), FOLDER)
    return None


def shared_directory() -> str | None:
    """The directory in which this process shares its metrics; None while it keeps them to itself."""
    directory = _core.shared_directory()
    return None if directory is None else str(directory)


def _is_command() -> bool:
    """Whether this is the ``ferrometer`` command, which looks at directories and is in none."""
    program, *words = [*sys.orig_argv[1:], ""]
    return Path(program).name == "ferrometer" or (program == "-m" and words[0] == "ferrometer")


def _begin_under(pid: int, application: str = "") -> str | None:
    folder = home()
    try:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, _ELSEWHERE)
        place = Place.of(pid, application)
        private(folder)
    except OSError as error:
        _refused(error)
        return None
    with _lock:
        if not shared_directory():
            sweep(folder, _has_live, place)
        return _begin(folder / place.name)


def _begin(directory: Path) -> str | None:
    with _lock:
        current = shared_directory()
        if current is not None:
            if Path(current) != directory.resolve():
                _warn(f"this process shares its metrics in {current} already, and not in {directory}")
            return current
        try:
            if sys.platform != "linux":
                raise OSError(errno.ENOSYS, _ELSEWHERE)
            _check_room(directory)
            _core.share(directory)
        except (OSError, ValueError) as error:
            _refused(error)
            return None
        fork.in_child(_tell_failure)
        if sys.platform == "linux":
            _core.fold_dead(MANY)
            fork.in_parent(_fold_sometimes)
        return shared_directory()


def _fold_sometimes() -> None:
    """In a parent: a process for each job must not fill the directory until somebody scrapes."""
    global _forks
    _forks += 1
    if _forks % MANY == 0:
        _core.fold_dead(MANY)


def _check_room(directory: Path) -> None:
    """Raises OSError where even the first metrics would find no room, which would show only later."""
    there = next(folder for folder in (directory, *directory.parents) if folder.exists())
    about = os.statvfs(there)
    if about.f_bavail * about.f_frsize < ROOM:
        text = f"metrics cannot be shared in {directory}: less than {ROOM >> 10} kB are left"
        raise OSError(errno.ENOSPC, f"{text}; free some space there")


def _refused(error: OSError | ValueError) -> None:
    remedy = f"{DIRECTORY_VARIABLE}=... or instrument(shared=...) names another directory"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSYS:
        remedy = f"{SWITCH_VARIABLE}=false says that this is known"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    _warn(f"{text}; {remedy}. Until then each worker shows only its own numbers")


def _tell_failure() -> None:
    """In the child of a fork, which had to share by itself."""
    failure = _core.sharing_failure()
    if failure is not None:
        _warn(f"{failure}. This worker shows, and loses, its own numbers only")


def _warn(text: str) -> None:
    if text not in _told:
        _told.add(text)
        _log.warning("%s", text)


def _has_live(directory: str) -> bool:
    return _core.living(directory) > 0
