"""Where this process's control groups lie, and what their files say. Versions 1, 2 and hybrid."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED = 1 << 60
"""Version 1 writes "no limit" as a number of bytes near 2**63."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, of the group with the tightest limit; None where the kernel does not say."""

    limit: int | None = None
    used: int | None = None
    working_set: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """Cores and seconds, of the group with the tightest limit; None where the kernel does not say."""

    limit: float | None = None
    used: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One controller's group of this process; ``folders`` from it up to the root that can be seen."""

    version: int
    folders: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """The process's own."""
        return self.folders[0]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of this process by controller."""

    memory: Group | None
    cpu: Group | None
    cpu_account: Group | None
    pressure: Group | None


def membership(root: Path) -> str:
    """``/proc/self/cgroup`` below ``root``: as long as it reads the same, ``find`` finds the same."""
    return _text(root / "proc/self/cgroup") or ""


def find(root: Path, member: str) -> Groups:
    """The groups of that membership, by ``/proc/self/mountinfo`` below ``root``."""
    paths: dict[str, str] = {}
    for line in member.splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(",") if controllers else ["v2"], path)
    mounts = {name: (at, top) for name, at, top in _mounts(_text(root / "proc/self/mountinfo") or "")}

    def group(controller: str, file: str) -> Group | None:
        # A controller is in one version only: in the first as long as it is mounted there.
        for version, name in ((1, controller), (2, "v2")):
            if name in paths and name in mounts:
                folders = _folders(root, paths[name], *mounts[name])
                if version == 1 or any((folder / file).exists() for folder in folders):
                    return Group(version, folders)
        return None

    return Groups(
        memory=group("memory", "memory.current"),
        cpu=group("cpu", "cpu.stat"),
        cpu_account=group("cpuacct", "cpu.stat"),
        pressure=group("no controller of version 1", "cpu.pressure"),
    )


def _mounts(text: str) -> Iterator[tuple[str, str, str]]:
    """Controller (``v2`` for the second version), mount point, and which group is mounted there."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind and kind[0] in ("cgroup", "cgroup2"):
            controllers = ["v2"] if kind[0] == "cgroup2" else kind[2].split(",")
            for controller in controllers:
                yield controller, _unescaped(fields[4]), _unescaped(fields[3])


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _folders(root: Path, path: str, mounted_at: str, mounted: str) -> tuple[Path, ...]:
    """The group's folder and those above it, as far as the mount shows them.

    Inside a container without a namespace of its own, the path is the host's and only a part of the
    tree is mounted; a path outside of that part leaves the mount's own group.
    """
    top = root / mounted_at.lstrip("/")
    try:
        below = PurePosixPath(path).relative_to(mounted)
    except ValueError:
        below = PurePosixPath()
    if ".." in below.parts:
        below = PurePosixPath()
    folders = [top.joinpath(*below.parts[:n]) for n in range(len(below.parts), -1, -1)]
    return tuple(folder for folder in folders if folder.is_dir()) or (top,)


def memory_of(group: Group) -> Memory:
    """The memory of the group, or of the one above it with the tightest limit."""
    name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    limits = [(limit, folder) for folder in group.folders if (limit := _bytes(folder / name)) is not None]
    limit, folder = min(limits, key=lambda pair: pair[0], default=(None, group.folder))
    if group.version == 2:
        used, inactive = _bytes(folder / "memory.current"), "inactive_file"
        kills = _pairs(folder / "memory.events").get("oom_kill")
    else:
        used, inactive = _bytes(folder / "memory.usage_in_bytes"), "total_inactive_file"
        kills = _pairs(folder / "memory.oom_control").get("oom_kill")
    stat = _pairs(folder / "memory.stat")
    reclaimable = stat.get(inactive, 0)
    above = stat.get(
        "hierarchical_memory_limit", UNLIMITED
    )  # version 1: also of groups that are not mounted here
    if above < UNLIMITED and (limit is None or above < limit):
        limit = above
    return Memory(limit, used, None if used is None else max(0, used - reclaimable), kills)


def cpu_of(group: Group, account: Group | None) -> Cpu:
    """The CPU of the group, or of the one above it with the tightest limit."""
    limits = [(limit, folder) for folder in group.folders if (limit := _cores(group, folder)) is not None]
    limit, folder = min(limits, key=lambda pair: pair[0], default=(None, group.folder))
    stat = _pairs(folder / "cpu.stat")
    if group.version == 2:
        used, throttled = stat.get("usage_usec"), stat.get("throttled_usec")
        second = 1e6
    else:
        # Usually the same folder under another name of the mount; else the process's own group.
        file = folder / "cpuacct.usage"
        if account is not None and not file.exists():
            file = account.folder / "cpuacct.usage"
        used, throttled = _bytes(file), stat.get("throttled_time")
        second = 1e9
    return Cpu(
        limit,
        None if used is None else used / second,
        stat.get("nr_periods"),
        stat.get("nr_throttled"),
        None if throttled is None else throttled / second,
    )


def _cores(group: Group, folder: Path) -> float | None:
    if group.version == 2:
        words = (_text(folder / "cpu.max") or "max").split()
        quota, period = (-1, 0) if words[0] == "max" else (int(words[0]), int(words[1]))
    else:
        quota = int(_text(folder / "cpu.cfs_quota_us") or -1)
        period = int(_text(folder / "cpu.cfs_period_us") or 0)
    return quota / period if quota > 0 and period > 0 else None


def waited_of(group: Group) -> dict[str, float]:
    """Seconds in which some task of the group waited, by resource (``cpu``, ``io``, ``memory``)."""
    waited: dict[str, float] = {}
    for resource in ("cpu", "io", "memory"):
        found = re.search(
            r"^some .*\btotal=(\d+)", _text(group.folder / f"{resource}.pressure") or "", re.MULTILINE
        )
        if found:
            waited[resource] = int(found[1]) / 1e6
    return waited


def _bytes(file: Path) -> int | None:
    """The number in a file; None for no file, and for no limit."""
    text = _text(file)
    if text is None or text.strip() == "max":
        return None
    number = int(text)
    return None if number >= UNLIMITED else number


def _pairs(file: Path) -> dict[str, int]:
    lines = (line.split() for line in (_text(file) or "").splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def _text(file: Path) -> str | None:
    try:
        with open(file, "rb", buffering=0) as raw:  # a third of what read_text() costs
            return raw.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        # The group went away between open and read; or pressure accounting is off (`psi=0`).
        if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):
            return None
        raise
