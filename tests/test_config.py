"""Settings: which source wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferrometer._runtime.settings import Settings, settings

FULL = """
[metrics]
namespace = "fromfile"
sample = 0.5
buckets = [0.1, 1]
skip_paths = ["/internal/*"]
skip_methods = ["OPTIONS"]
request_id = false
exemplars = true

[endpoints]
path = "/file"
auth_token = ["one", "two"]
allow = ["10.0.0.0/8"]
cors_origins = ["https://file.example"]
flat_health = true

[logging]
syslog_enabled = true

[database]
url = "somebody else's section"
"""
ENVIRONMENT = {
    "FERROMETER_NAMESPACE": "fromenv",
    "FERROMETER_SAMPLE": "0.01",
    "FERROMETER_BUCKETS": "0.5, 2.5,",
    "FERROMETER_SKIP_PATHS": "/a,/b",
    "FERROMETER_SKIP_METHODS": "HEAD",
    "FERROMETER_REQUEST_ID": "yes",
    "FERROMETER_EXEMPLARS": "no",
    "FERROMETER_PATH": "/env",
    "FERROMETER_AUTH_TOKEN": "a,token,with,commas",
    "FERROMETER_ALLOW": "127.0.0.1, ::1",
    "FERROMETER_CORS_ORIGINS": "*",
    "FERROMETER_FLAT_HEALTH": "off",
}
NOWHERE: dict[str, str] = {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FULL)
    return path


def test_nothing_given_is_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings({}, environ=NOWHERE) == Settings()
    assert Settings().sample == 1.0


def test_the_file(file: Path) -> None:
    assert settings({}, file=file, environ=NOWHERE) == Settings(
        namespace="fromfile",
        sample=0.5,
        buckets=(0.1, 1.0),
        skip_paths=("/internal/*",),
        skip_methods=("OPTIONS",),
        request_id=False,
        exemplars=True,
        path="/file",
        auth_token=["one", "two"],
        allow=("10.0.0.0/8",),
        cors_origins=("https://file.example",),
        flat_health=True,
    )


def test_the_environment_wins_over_the_file(file: Path) -> None:
    assert settings({}, file=file, environ=ENVIRONMENT) == Settings(
        namespace="fromenv",
        sample=0.01,
        buckets=(0.5, 2.5),
        skip_paths=("/a", "/b"),
        skip_methods=("HEAD",),
        request_id=True,
        exemplars=False,
        path="/env",
        auth_token="a,token,with,commas",
        allow=("127.0.0.1", "::1"),
        cors_origins=("*",),
        flat_health=False,
    )


def test_an_argument_wins_over_both_and_none_is_no_argument(file: Path) -> None:
    chosen = settings(
        {"sample": 1.0, "path": "", "flat_health": True, "namespace": None}, file=file, environ=ENVIRONMENT
    )
    assert (chosen.sample, chosen.path, chosen.flat_health, chosen.namespace) == (1.0, "", True, "fromenv")


def test_where_the_file_is(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings({}, environ=NOWHERE).namespace == "fromfile"
    assert settings({}, environ={"FERROMETER_CONFIG": ""}).namespace is None
    other = tmp_path / "other.toml"
    other.write_text('[metrics]\nnamespace = "other"\n')
    assert settings({}, environ={"FERROMETER_CONFIG": str(other)}).namespace == "other"
    assert settings({}, file=file, environ={"FERROMETER_CONFIG": str(other)}).namespace == "fromfile"


@pytest.mark.parametrize("environ", [NOWHERE, {"FERROMETER_CONFIG": "missing.toml"}])
def test_a_file_that_was_named_must_exist(environ: dict[str, str], tmp_path: Path) -> None:
    named = None if environ else tmp_path / "missing.toml"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing\.toml"):
        settings({}, file=named, environ=environ)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[metrics]\nsampel = 1", ValueError, "unknown key 'sampel' in [metrics]; did you mean 'sample'?"),
        ("[metrics]\nzzz = 1", ValueError, "the keys are buckets, exemplars, namespace, request_id, sample"),
        ("[endpoints]\nauth = 'x'", ValueError, "did you mean 'auth_token'?"),
        ("[endpoints]\nsample = 1", ValueError, "unknown key 'sample' in [endpoints]"),
        ("[metric]\nsample = 1", ValueError, "unknown section [metric]; did you mean [metrics]?"),
        ("[endpoint]\n", ValueError, "did you mean [endpoints]?"),
        ("metrics = 1", TypeError, "metrics must be a section, written [metrics]"),
        ("[metrics]\nsample = '1'", TypeError, "[metrics] sample: must be a number, not str"),
        ("[metrics]\nsample = true", TypeError, "must be a number, not bool"),
        ("[metrics]\nbuckets = 1", TypeError, "must be a list of numbers, not int"),
        ("[metrics]\nbuckets = ['1']", TypeError, "must be a number, not str"),
        ("[metrics]\nskip_paths = '/a'", TypeError, "must be a list of strings, not str"),
        ("[metrics]\nrequest_id = 1", TypeError, "must be true or false, not int"),
        ("[metrics]\nexemplars = 'yes'", TypeError, "must be true or false, not str"),
        ("[endpoints]\nallow = [1]", TypeError, "must be a string, not int"),
        ("[endpoints]\nauth_token = 1", TypeError, "must be a string, not int"),
        ("[metrics", ValueError, "no valid TOML"),
    ],
)
def test_a_wrong_file(text: str, error: type[Exception], words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(error) as caught:
        settings({}, file=path, environ=NOWHERE)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no valid TOML"):
        settings({}, file=path, environ=NOWHERE)


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("FERROMETER_SAMPLE", "much", "FERROMETER_SAMPLE: must be a number, not 'much'"),
        ("FERROMETER_BUCKETS", "1,x", "FERROMETER_BUCKETS: must be a number, not 'x'"),
        ("FERROMETER_REQUEST_ID", "maybe", "must be true or false, not 'maybe'"),
        ("FERROMETER_AUTH_TOKEN", "", "FERROMETER_AUTH_TOKEN is set but empty"),
        ("FERROMETER_ALLOW", "  ", "FERROMETER_ALLOW is set but empty"),
    ],
)
def test_a_wrong_environment(variable: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        settings({}, environ={variable: text, "FERROMETER_CONFIG": ""})
    assert words in str(caught.value)


def test_other_variables_are_somebody_elses() -> None:
    environ: dict[str, Any] = {"FERROMETER_BIN": "/bin", "FERROMETER_CONFIG": ""}
    assert settings({}, environ=environ) == Settings()


@pytest.mark.parametrize(
    ("given", "environ", "shared"),
    [
        (None, {}, None),
        (None, {"FERROMETER_DIR": "/dev/shm/shop"}, "/dev/shm/shop"),
        (None, {"FERROMETER_DIR": ""}, None),
        (None, {"FERROMETER_SHARED": "/dev/shm/shop"}, "/dev/shm/shop"),
        (None, {"FERROMETER_SHARED": "yes"}, True),
        (None, {"FERROMETER_SHARED": "true", "FERROMETER_DIR": "/dev/shm/shop"}, "/dev/shm/shop"),
        (None, {"FERROMETER_SHARED": "false", "FERROMETER_DIR": "/dev/shm/shop"}, False),
        (False, {"FERROMETER_DIR": "/dev/shm/shop"}, False),
        (True, {}, True),
        (Path("/dev/shm/shop"), {"FERROMETER_SHARED": "false"}, "/dev/shm/shop"),
    ],
)
def test_where_workers_share(given: Any, environ: dict[str, str], shared: object) -> None:
    assert settings({"shared": given}, environ={"FERROMETER_CONFIG": "", **environ}).shared == shared


def test_the_file_says_where_workers_share(file: Path) -> None:
    for text, shared in (('"/dev/shm/shop"', "/dev/shm/shop"), ("true", True), ("false", False)):
        file.write_text(f"[metrics]\nshared = {text}\n")
        assert settings({}, file=file, environ=NOWHERE).shared == shared
    file.write_text("[metrics]\nshared = 1\n")
    with pytest.raises(TypeError, match="shared: must be true, false or a directory"):
        settings({}, file=file, environ=NOWHERE)


def test_repr_shows_no_secret() -> None:
    assert "hunter2" not in repr(Settings(auth_token="hunter2"))
