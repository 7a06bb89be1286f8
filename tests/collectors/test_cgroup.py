"""Control groups: trees as containers show them, and real groups where this machine lets us make some."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from ferrometer.collectors import UnavailableError
from ferrometer.collectors.host.cgroup import CgroupCollector
from ferrometer.collectors.host.cgroup_files import find, membership
from ferrometer.testing import PedanticRegistry, collect, examine, lint, samples, value
from tests.collectors.support import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
CORES = len(os.sched_getaffinity(0))

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def v1_mounts(root: str = "/", *, cpu: str = "cpu,cpuacct") -> str:
    return (
        "29 23 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
        f"33 29 0:29 {root} /sys/fs/cgroup/{cpu} ro master:11 - cgroup cgroup rw,{cpu}\n"
        f"34 29 0:30 {root} /sys/fs/cgroup/memory ro master:12 - cgroup cgroup rw,memory\n"
    )


def v2_group(limit: str = "max", cpu: str = "max 100000", used: int = 300 << 20) -> dict[str, str]:
    return {
        "memory.max": f"{limit}\n",
        "memory.current": f"{used}\n",
        "memory.stat": f"anon 1\nfile 2\ninactive_file {100 << 20}\nactive_file 3\n",
        "memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\n",
        "cpu.max": f"{cpu}\n",
        "cpu.stat": (
            "usage_usec 5000000\nuser_usec 3000000\nsystem_usec 2000000\n"
            "nr_periods 100\nnr_throttled 40\nthrottled_usec 1500000\n"
        ),
        "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 total=1\n",
        "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
    }


def v1_memory(limit: int = 9223372036854771712, above: int | None = None) -> dict[str, str]:
    """`above`: the tightest limit on the way up, which the kernel knows beyond what is mounted."""
    hierarchical = "" if above is None else f"hierarchical_memory_limit {above}\n"
    return {
        "memory.limit_in_bytes": f"{limit}\n",
        "memory.usage_in_bytes": f"{300 << 20}\n",
        "memory.stat": f"cache 1\ninactive_file 5\n{hierarchical}total_inactive_file {100 << 20}\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    }


def v1_cpu(quota: int = -1, period: int = 100_000, *, account: bool = True) -> dict[str, str]:
    files = {
        "cpu.cfs_quota_us": f"{quota}\n",
        "cpu.cfs_period_us": f"{period}\n",
        "cpu.stat": "nr_periods 100\nnr_throttled 40\nthrottled_time 1500000000\n",
    }
    return files | ({"cpuacct.usage": "5000000000\n"} if account else {})


class Tree(NamedTuple):
    """What a process sees of its groups, and what is to be read from it."""

    member: str
    mounts: str
    groups: Mapping[str, Mapping[str, str]]
    memory_limit: int = MACHINE
    cores: float = CORES

    def build(self, root: Path) -> Path:
        for name, text in {"proc/self/cgroup": self.member, "proc/self/mountinfo": self.mounts}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        for folder, files in self.groups.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (root / folder / name).write_text(text)
        return root


TREES = {
    "v2, a container with its own namespace": Tree(
        "0::/\n", V2_MOUNT, {"sys/fs/cgroup": v2_group("536870912", "50000 100000")}, 512 << 20, 0.5
    ),
    "v2, no limits": Tree("0::/\n", V2_MOUNT, {"sys/fs/cgroup": v2_group()}),
    "v2, on the host, below a slice": Tree(
        "0::/system.slice/app.service\n",
        V2_MOUNT,
        {
            "sys/fs/cgroup": {"cpu.stat": "usage_usec 9\n"},
            "sys/fs/cgroup/system.slice": v2_group(f"{1 << 30}", "90000 100000", used=1),
            "sys/fs/cgroup/system.slice/app.service": v2_group("536870912", "70000 100000"),
        },
        512 << 20,
        0.7,
    ),
    "v2, the limit is the pod's": Tree(
        "0::/pod/container\n",
        V2_MOUNT,
        {
            "sys/fs/cgroup": {},
            "sys/fs/cgroup/pod": v2_group("536870912", "50000 100000"),
            "sys/fs/cgroup/pod/container": v2_group("max", "max 100000", used=1),
        },
        512 << 20,
        0.5,
    ),
    "v2, the group is outside of what is mounted": Tree(
        "0::/../../other\n",
        V2_MOUNT,
        {"sys/fs/cgroup": v2_group("536870912", "50000 100000")},
        512 << 20,
        0.5,
    ),
    "v1, a container without a namespace: the path is the host's": Tree(
        "3:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n1:name=systemd:/docker/abc\n",
        v1_mounts("/docker/abc"),
        {
            "sys/fs/cgroup/memory": v1_memory(512 << 20),
            "sys/fs/cgroup/cpu,cpuacct": v1_cpu(50_000),
        },
        512 << 20,
        0.5,
    ),
    "v1, the pod's limit is above what is mounted": Tree(
        "3:cpu,cpuacct:/kubepods/pod/abc\n2:memory:/kubepods/pod/abc\n",
        v1_mounts("/kubepods/pod/abc"),
        {
            "sys/fs/cgroup/memory": v1_memory(above=256 << 20),
            "sys/fs/cgroup/cpu,cpuacct": v1_cpu(50_000),
        },
        256 << 20,
        0.5,
    ),
    "v1, a limit of its own below the pod's": Tree(
        "3:cpu,cpuacct:/kubepods/pod/abc\n2:memory:/kubepods/pod/abc\n",
        v1_mounts("/kubepods/pod/abc"),
        {
            "sys/fs/cgroup/memory": v1_memory(256 << 20, above=256 << 20),
            "sys/fs/cgroup/cpu,cpuacct": v1_cpu(50_000),
        },
        256 << 20,
        0.5,
    ),
    "v1, no limit anywhere": Tree(
        "3:cpu,cpuacct:/a\n2:memory:/a\n",
        v1_mounts("/a"),
        {
            "sys/fs/cgroup/memory": v1_memory(above=9223372036854771712),
            "sys/fs/cgroup/cpu,cpuacct": v1_cpu(),
        },
    ),
    "v1, no limits": Tree(
        "3:cpu,cpuacct:/\n2:memory:/\n",
        v1_mounts(),
        {"sys/fs/cgroup/memory": v1_memory(), "sys/fs/cgroup/cpu,cpuacct": v1_cpu()},
    ),
    "v1, accounting mounted apart": Tree(
        "4:cpuacct:/\n3:cpu:/a\n2:memory:/\n",
        v1_mounts(cpu="cpu") + "35 29 0:31 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n",
        {
            "sys/fs/cgroup/memory": v1_memory(512 << 20),
            "sys/fs/cgroup/cpu": v1_cpu(account=False),
            "sys/fs/cgroup/cpu/a": v1_cpu(50_000, account=False),
            "sys/fs/cgroup/cpuacct": {"cpuacct.usage": "5000000000\n"},
        },
        512 << 20,
        0.5,
    ),
    "hybrid: the controllers in v1, an empty v2 beside": Tree(
        "3:cpu,cpuacct:/\n2:memory:/\n0::/\n",
        v1_mounts() + "41 29 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        {
            "sys/fs/cgroup/memory": v1_memory(512 << 20),
            "sys/fs/cgroup/cpu,cpuacct": v1_cpu(50_000),
            "sys/fs/cgroup/unified": {"cpu.pressure": "some avg10=0.00 total=2500000\n"},
        },
        512 << 20,
        0.5,
    ),
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_every_kind_of_tree(registry: PedanticRegistry, tmp_path: Path, tree: Tree) -> None:
    root = tree.build(tmp_path)
    examine(lambda: CgroupCollector(registry=registry, root=root), registry)
    assert value(registry, "cgroup_memory_limit_bytes") == min(tree.memory_limit, MACHINE)
    assert value(registry, "cgroup_memory_used_bytes") == 300 << 20
    assert value(registry, "cgroup_memory_working_set_bytes") == 200 << 20
    assert value(registry, "cgroup_memory_used_ratio") == pytest.approx(
        (200 << 20) / min(tree.memory_limit, MACHINE)
    )
    assert value(registry, "cgroup_memory_oom_kills_total") == 2
    assert value(registry, "cgroup_cpu_limit_cores") == pytest.approx(min(tree.cores, CORES))
    assert value(registry, "cgroup_cpu_seconds_total") == 5
    assert value(registry, "cgroup_cpu_periods_total") == 100
    assert value(registry, "cgroup_cpu_throttled_periods_total") == 40
    assert value(registry, "cgroup_cpu_throttled_seconds_total") == 1.5
    if "cgroup2" in tree.mounts:
        waited = ("cgroup_pressure_waiting_seconds_total", (("resource", "cpu"),))
        assert samples(registry).get(waited) in (
            2.5,
            None if "pod" in tree.member or ".." in tree.member else 2.5,
        )


def test_the_share_of_the_cpu_is_of_the_limit(registry: PedanticRegistry, tmp_path: Path) -> None:
    root = TREES["v2, a container with its own namespace"].build(tmp_path)
    collector = CgroupCollector(registry=registry, root=root)
    began = time.monotonic()
    collect(collector)
    assert math.isnan(value(registry, "cgroup_cpu_used_ratio"))
    time.sleep(0.4)
    text = (root / "sys/fs/cgroup/cpu.stat").read_text()
    (root / "sys/fs/cgroup/cpu.stat").write_text(text.replace("usage_usec 5000000", "usage_usec 5100000"))
    collect(collector)
    took = time.monotonic() - began
    # 0.1 s of CPU time in a little more than 0.4 s is a quarter of a core, and half of what there is.
    share = value(registry, "cgroup_cpu_used_ratio")
    assert 0.1 / took / 0.5 <= share <= 0.1 / 0.4 / 0.5


def test_a_limit_that_changes_while_it_runs(registry: PedanticRegistry, tmp_path: Path) -> None:
    root = TREES["v2, a container with its own namespace"].build(tmp_path)
    collector = CgroupCollector(registry=registry, root=root)
    collect(collector)
    (root / "sys/fs/cgroup/memory.max").write_text(f"{1 << 30}\n")
    collect(collector)
    assert value(registry, "cgroup_memory_limit_bytes") == min(1 << 30, MACHINE)


def test_a_process_that_is_moved(registry: PedanticRegistry, tmp_path: Path) -> None:
    tree = TREES["v2, on the host, below a slice"]
    root = tree.build(tmp_path)
    collector = CgroupCollector(registry=registry, root=root)
    collect(collector)
    assert value(registry, "cgroup_memory_limit_bytes") == min(512 << 20, MACHINE)
    (root / "proc/self/cgroup").write_text("0::/system.slice\n")
    collect(collector)
    assert value(registry, "cgroup_memory_limit_bytes") == min(1 << 30, MACHINE)


def test_without_control_groups_it_is_unavailable(registry: PedanticRegistry, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no control groups"):
        collect(CgroupCollector(registry=registry, root=tmp_path))


def test_paths_with_spaces(tmp_path: Path) -> None:
    mounts = V2_MOUNT.replace("/sys/fs/cgroup", "/sys/fs/c\\040group")
    root = Tree("0::/a b\n", mounts, {"sys/fs/c group/a b": v2_group()}).build(tmp_path)
    group = find(root, membership(root)).memory
    assert group is not None
    assert group.folder == root / "sys/fs/c group/a b"


# --- the real thing ----------------------------------------------------------------------------------------

CHILD = """
import sys, time
from ferrometer.collectors.cgroup import CgroupCollector
from ferrometer.testing import PedanticRegistry, collect, lint, samples
sys.stdin.readline()  # until it has been moved
registry = PedanticRegistry()
collector = CgroupCollector(registry=registry)
collect(collector)
end = time.monotonic() + float(sys.argv[1])
ballast = bytearray(int(sys.argv[2]))
for page in range(0, len(ballast), 4096):
    ballast[page] = 1
while time.monotonic() < end:
    pass
collect(collector)
print(repr({name: value for (name, labels), value in samples(registry).items() if not labels}))
assert not lint(registry)
"""

Run = Callable[[Mapping[str, str], float, int], dict[str, float]]


def _below_our_own(controller: str) -> Path | None:
    """The folder of this process's own group, if groups can be made in it."""
    group = getattr(find(Path("/"), membership(Path("/"))), controller)
    return group.folder if group is not None and os.access(group.folder, os.W_OK) else None


@pytest.fixture
def in_real_group() -> Iterator[Run]:
    """Runs a child in new groups of its own, below this process's, with those settings."""
    made: list[Path] = []

    def run(settings: Mapping[str, str], seconds: float, ballast: int) -> dict[str, float]:
        for controller in ("memory", "cpu"):
            if not any(name.startswith(controller) for name in settings):
                continue
            own = _below_our_own(controller)
            if own is None:
                pytest.skip(f"this machine lets us make no control group for {controller}")
            folder = own / f"ferrometer-test-{os.getpid()}"
            try:
                folder.mkdir(exist_ok=True)
                made.append(folder)
                for name, text in settings.items():
                    if name.startswith(controller):
                        (folder / name).write_text(text)
            except OSError as error:
                pytest.skip(f"this machine lets us limit no control group: {error}")
        command = [sys.executable, "-c", CHILD, str(seconds), str(ballast)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for folder in made:
            (folder / "cgroup.procs").write_text(str(child.pid))
        out, _ = child.communicate("go\n", timeout=60)
        assert child.returncode == 0
        return eval(out, {"nan": math.nan})  # type: ignore[no-any-return]

    yield run
    for folder in made:
        if folder.is_dir():
            until(lambda folder=folder: _removed(folder))  # type: ignore[misc]


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _version(controller: str) -> int:
    group = getattr(find(Path("/"), membership(Path("/"))), controller)
    return 0 if group is None else group.version


def test_a_real_cpu_limit_and_its_throttling(in_real_group: Run) -> None:
    settings = (
        {"cpu.max": "20000 100000"}
        if _version("cpu") == 2
        else {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000"}
    )
    seen = in_real_group(settings, 1.5, 1)
    assert seen["cgroup_cpu_limit_cores"] == pytest.approx(0.2)
    assert seen["cgroup_cpu_throttled_periods_total"] >= 5
    assert seen["cgroup_cpu_periods_total"] >= seen["cgroup_cpu_throttled_periods_total"]
    assert seen["cgroup_cpu_throttled_seconds_total"] > 0.3
    if _version("cpu") == 2 or _below_our_own("cpu") == _below_our_own("cpu_account"):
        assert seen["cgroup_cpu_used_ratio"] > 0.5  # it was busy all the time it was let


def test_a_real_memory_limit(in_real_group: Run) -> None:
    limit, ballast = 256 << 20, 64 << 20
    name = "memory.max" if _version("memory") == 2 else "memory.limit_in_bytes"
    seen = in_real_group({name: str(limit)}, 0.1, ballast)
    assert seen["cgroup_memory_limit_bytes"] == limit
    assert ballast <= seen["cgroup_memory_working_set_bytes"] <= seen["cgroup_memory_used_bytes"] < limit
    assert ballast / limit <= seen["cgroup_memory_used_ratio"] < 0.9


def test_the_real_group_of_this_process(registry: PedanticRegistry) -> None:
    if find(Path("/"), membership(Path("/"))).memory is None:
        pytest.skip("no control groups here")
    examine(lambda: CgroupCollector(registry=registry), registry)
    assert lint(registry) == []
    assert 0 < value(registry, "cgroup_memory_limit_bytes") <= MACHINE
    assert 0 < value(registry, "cgroup_cpu_limit_cores") <= CORES
