"""Disk usage against df, and paths that come and go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ferrometer.collectors import CollectError
from ferrometer.collectors.host.disk import DiskCollector
from ferrometer.testing import PedanticRegistry, collect, examine, samples, value


def test_it_keeps_the_rules_and_says_what_df_says(registry: PedanticRegistry, tmp_path: Path) -> None:
    examine(lambda: DiskCollector([tmp_path, "/"], registry=registry, namespace="omtx_hub"), registry)
    df = subprocess.run(
        ["df", "--block-size=1", "--output=size,used,avail,pcent", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[1]
    size, used, avail, percent = (int(word.strip("%")) for word in df.split())
    path, slack = str(tmp_path), 64 << 20  # others write too
    assert value(registry, "filesystem_size_bytes", path=path) == size
    assert value(registry, "omtx_hub_storage_total_bytes", path=path) == size
    assert value(registry, "omtx_hub_storage_used_bytes", path=path) == pytest.approx(used, abs=slack)
    assert value(registry, "filesystem_avail_bytes", path=path) == pytest.approx(avail, abs=slack)
    assert value(registry, "filesystem_used_ratio", path=path) * 100 == pytest.approx(percent, abs=1.1)
    assert value(registry, "filesystem_files", path=path) == os.statvfs(tmp_path).f_files


def test_a_big_file_shows(registry: PedanticRegistry, tmp_path: Path) -> None:
    collector = DiskCollector([tmp_path], registry=registry)
    collect(collector)
    before = value(registry, "filesystem_free_bytes", path=str(tmp_path))
    with (tmp_path / "big").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 256 << 20)
    collect(collector)
    assert before - value(registry, "filesystem_free_bytes", path=str(tmp_path)) > 128 << 20


def test_a_path_that_goes_takes_only_its_own_values_with_it(
    registry: PedanticRegistry, tmp_path: Path
) -> None:
    mounted = tmp_path / "data"
    mounted.mkdir()
    collector = DiskCollector([mounted, "/"], registry=registry)
    collect(collector)
    shutil.rmtree(mounted)
    collect(collector)
    left = {name for name, labels in samples(registry) if dict(labels)["path"] == str(mounted)}
    assert left == {"filesystem_device_error"}
    assert value(registry, "filesystem_device_error", path=str(mounted)) == 1
    assert value(registry, "filesystem_device_error", path="/") == 0
    assert value(registry, "filesystem_size_bytes", path="/") > 0
    mounted.mkdir()
    collect(collector)
    assert value(registry, "filesystem_device_error", path=str(mounted)) == 0
    assert value(registry, "filesystem_size_bytes", path=str(mounted)) > 0


def test_when_no_path_can_be_read_the_run_fails(registry: PedanticRegistry, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(CollectError, match=f"{missing}: No such file or directory") as caught:
        collect(DiskCollector([missing], registry=registry))
    assert caught.value.reason == "FileNotFoundError"


@pytest.mark.parametrize(("paths", "error"), [("/", TypeError), (Path("/"), TypeError), ([], ValueError)])
def test_paths_are_a_list(registry: PedanticRegistry, paths: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="paths must"):
        DiskCollector(paths, registry=registry)  # type: ignore[arg-type]
