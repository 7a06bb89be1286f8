"""What `ferrometer generate` writes, shows and leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferrometer.generate.file import File, State, json_body, state, write
from ferrometer.generate.kinds import KINDS
from tests.generate.generated import ferrometer, generate, tree

RULES = ("rules", "--namespace", "gateway", "--out", "out")


def test_what_nobody_edited_is_written_again_and_what_somebody_did_is_not(tmp_path: Path) -> None:
    file = tmp_path / "out" / "rules" / "service.yml"
    assert ferrometer(*RULES, folder=tmp_path).returncode == 0
    first = file.read_text()
    again = ferrometer(*RULES, folder=tmp_path)
    assert (again.returncode, again.stdout) == (0, again.stdout.replace("written", "unchanged"))

    # Another configuration makes another file, which may take the place of a generated one.
    changed = ferrometer(*RULES, folder=tmp_path, configuration='[alerts]\nrunbooks = "https://books"\n')
    assert changed.returncode == 0
    assert "https://books/service.html" in file.read_text()

    file.write_text(first.replace("0.05", "0.5"))
    kept = ferrometer(*RULES, folder=tmp_path)
    assert kept.returncode == 1
    assert "service.yml: left alone: it was generated, and then edited by hand" in kept.stderr
    assert "0.5" in file.read_text()
    forced = ferrometer(*RULES, "--force", folder=tmp_path)
    assert (forced.returncode, file.read_text()) == (0, first)


def test_a_file_of_somebody_elses_is_left_alone_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prometheus.yml").write_text("scrape_configs: []\n")
    done = ferrometer("prometheus", "--namespace", "gateway", "--out", "out", folder=tmp_path)
    assert done.returncode == 1
    assert "prometheus.yml: left alone: it was not generated" in done.stderr
    assert (tmp_path / "out" / "prometheus.yml").read_text() == "scrape_configs: []\n"
    assert (tmp_path / "out" / "prometheus-kubernetes.yml").exists()


def test_the_difference_is_shown_and_nothing_written(tmp_path: Path) -> None:
    assert ferrometer(*RULES, "--diff", folder=tmp_path).returncode == 1
    assert not (tmp_path / "out").exists()
    out = generate("rules", tmp_path, namespace="gateway")
    same = ferrometer(*RULES, "--diff", folder=tmp_path)
    assert (same.returncode, same.stdout, same.stderr) == (0, "", "")
    file = out / "rules" / "service.yml"
    file.write_text(file.read_text().replace("0.05", "0.5"))
    before = file.read_text()
    shown = ferrometer(*RULES, "--diff", folder=tmp_path)
    assert shown.returncode == 1
    lines = shown.stdout.splitlines()
    assert any(line.startswith("-") and "> 0.5" in line for line in lines)
    assert any(line.startswith("+") and "> 0.05" in line for line in lines)
    assert "only --force would overwrite it" in shown.stderr
    assert file.read_text() == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_checksum_knows_every_change(kind: str, tmp_path: Path) -> None:
    out = generate(kind, tmp_path)
    files = [file for file in out.rglob("*") if file.is_file()]
    assert files
    for file in files:
        text = file.read_text()
        assert "sha256: " in text[:200]
        made = File(
            str(file.relative_to(out)), kind, "other\n" if file.suffix != ".json" else json_body({"a": 1})
        )
        assert state(made, out) is State.OLDER
        # A file that git has given other ends of lines is the same file.
        file.write_bytes(text.replace("\n", "\r\n").encode())
        assert state(made, out) is State.OLDER
        for edited in (
            text + "\n",
            text.replace("e", "f", 1),
            text[:-2],
            text.replace("sha256: ", "sha256: 0", 1),
        ):
            file.write_text(edited)
            assert state(made, out) in (State.EDITED, State.FOREIGN)


def test_a_reader_never_sees_half_of_a_file_and_nothing_is_left_behind(tmp_path: Path) -> None:
    file = File("a/b.yml", "rules", "a: 1\n")
    assert write([file], tmp_path) == {"a/b.yml": State.ABSENT}
    (tmp_path / "a" / "b.yml").chmod(0o600)
    assert write([File("a/b.yml", "rules", "a: 2\n")], tmp_path) == {"a/b.yml": State.OLDER}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.yml"]
    assert (tmp_path / "a" / "b.yml").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_is_named(short_folder: Path) -> None:
    short_folder.chmod(0o755)
    file = short_folder / "file"
    file.write_text("")
    done = ferrometer(*RULES[:-1], file, folder=short_folder)
    assert done.returncode == 2
    assert f"ferrometer generate: cannot write into {file}: Not a directory" in done.stderr
    folder = short_folder / "read-only"
    folder.mkdir(mode=0o555)
    work = short_folder / "work"
    work.mkdir()
    work.chmod(0o777)
    with nobody():
        done = ferrometer(*RULES[:-1], folder, folder=work)
    assert done.returncode == 2
    assert f"cannot write into {folder}: Permission denied ({folder}/rules)" in done.stderr
    assert "name a folder that you may write into: --out DIR" in done.stderr
    assert list(folder.iterdir()) == []


@contextmanager
def nobody() -> Iterator[None]:
    """For root nothing is read-only."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_command_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ferrometer", "generate", *RULES]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "rules" / "service.yml").exists()


def test_one_configuration_is_read(tmp_path: Path) -> None:
    configuration = """
[metrics]
namespace = "omtx_hub"
[endpoints]
path = "/observability"
auth_token = "a-secret-token"
[generate]
services = ["gateway=10.0.0.5:8000", "worker=[::1]:9100/own"]
scheme = "https"
scrape_interval = "30s"
exporters = []
"""
    done = ferrometer("prometheus", "--out", "out", folder=tmp_path, configuration=configuration)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "prometheus.yml").read_text()
    assert "a-secret-token" not in text
    made = tree(tmp_path / "out" / "prometheus.yml")
    assert made["global"]["scrape_interval"] == "30s"
    jobs = {job["job_name"]: job for job in made["scrape_configs"]}
    assert jobs["gateway"]["metrics_path"] == "/observability/metrics"
    assert jobs["worker"]["metrics_path"] == "/own"
    assert jobs["gateway"]["scheme"] == "https"
    assert jobs["gateway"]["authorization"] == {"credentials_file": "/run/secrets/metrics_token"}
    assert "authorization" not in jobs["prometheus"]
    assert not [name for name in jobs if name.endswith("-exporter")]


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ("", "which namespace? --namespace NAME, or namespace in [metrics]"),
        ('[metrics]\nnamespace = "a-b"', "namespace 'a-b': names of metrics begin with it"),
        (f'[metrics]\nnamespace = "{"a" * 60}"', "is no name in Kubernetes"),
        ("[generate]\nretentoin = 1", "unknown key 'retentoin' in [generate]; did you mean 'retention'?"),
        ('[generate]\nretention = "long"', "[generate] retention: not a duration: 'long'"),
        ('[generate]\nscrape_interval = "0s"', "[generate] scrape_interval must be more than 0, not '0s'"),
        ('[generate]\nservices = ["gateway"]', "[generate] services: one is like gateway=10.0.0.5:8000"),
        ('[generate]\nservices = ["a=b:70000"]', "[generate] services: one is like gateway=10.0.0.5:8000"),
        ('[generate]\nservices = ["a=b:1", "a=c:1"]', "[generate] services: there are two called 'a'"),
        ('[generate]\nexporters = ["mysql"]', "[generate] exporters: there is no 'mysql'; there are node"),
        ('[generate]\nscheme = "ftp"', "[generate] scheme must be http or https, not 'ftp'"),
        ("[generate]\nprometheus = 1", "[generate] prometheus must be 2 or 3, not 1"),
        ("[generate]\nport = 0", "[generate] port must be from 1 to 65535, not 0"),
        ('[generate]\nimage = "gateway:latest"', "[generate] image must name a version"),
        ('[generate]\nimage = "gateway"', "[generate] image must name a version"),
        ('[generate]\nchannels = "#Alerts"', "[generate] channels: Slack's are of small letters"),
        ('[alerts]\nrules = ["none.yml"]', "[alerts] rules: there is no file 'none.yml'"),
    ],
)
def test_bad_settings_are_named(configuration: str, words: str, tmp_path: Path) -> None:
    named = () if not configuration or "[metrics]" in configuration else ("--namespace", "gateway")
    done = ferrometer("all", *named, "--out", "out", folder=tmp_path, configuration=configuration)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert not (tmp_path / "out").exists()
