"""Settings: which source wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferrometer._runtime.settings import Sources
from ferrometer.endpoints.protection import EndpointsSettings
from ferrometer.http.feature import Http, HttpSettings

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


def read(file: Path | None = None, environ: dict[str, str] | None = None, **given: Any) -> HttpSettings:
    return Sources(file, environ).read("metrics", HttpSettings, given)


def endpoints(
    file: Path | None = None, environ: dict[str, str] | None = None, **given: Any
) -> EndpointsSettings:
    return Sources(file, environ).read("endpoints", EndpointsSettings, given)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FULL)
    return path


def test_nothing_given_is_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(environ=NOWHERE) == HttpSettings()
    assert endpoints(environ=NOWHERE) == EndpointsSettings()
    assert HttpSettings().sample == 1.0


FROM_FILE = (
    HttpSettings(
        namespace="fromfile",
        sample=0.5,
        buckets=(0.1, 1.0),
        skip_paths=("/internal/*",),
        skip_methods=("OPTIONS",),
        request_id=False,
        exemplars=True,
    ),
    EndpointsSettings(
        path="/file",
        auth_token=["one", "two"],
        allow=("10.0.0.0/8",),
        cors_origins=("https://file.example",),
        flat_health=True,
    ),
)
FROM_ENVIRONMENT = (
    HttpSettings(
        namespace="fromenv",
        sample=0.01,
        buckets=(0.5, 2.5),
        skip_paths=("/a", "/b"),
        skip_methods=("HEAD",),
        request_id=True,
        exemplars=False,
    ),
    EndpointsSettings(
        path="/env",
        auth_token="a,token,with,commas",
        allow=("127.0.0.1", "::1"),
        cors_origins=("*",),
        flat_health=False,
    ),
)


def test_the_file(file: Path) -> None:
    assert (read(file, NOWHERE), endpoints(file, NOWHERE)) == FROM_FILE


def test_the_environment_wins_over_the_file(file: Path) -> None:
    assert (read(file, ENVIRONMENT), endpoints(file, ENVIRONMENT)) == FROM_ENVIRONMENT


def test_variables_have_the_name_of_their_section(file: Path) -> None:
    """Those without one are aliases: where both are set, the full name wins."""
    sections = {
        **dict.fromkeys(("NAMESPACE", "SAMPLE", "BUCKETS", "SKIP_PATHS", "SKIP_METHODS"), "METRICS"),
        **dict.fromkeys(("REQUEST_ID", "EXEMPLARS"), "METRICS"),
    }
    full = {
        f"FERROMETER_{sections.get(name, 'ENDPOINTS')}_{name}": text
        for name, text in ((key.removeprefix("FERROMETER_"), text) for key, text in ENVIRONMENT.items())
    }
    assert (read(file, full), endpoints(file, full)) == FROM_ENVIRONMENT
    assert read(environ={"FERROMETER_SAMPLE": "0.5", "FERROMETER_METRICS_SAMPLE": "0.25"}).sample == 0.25


def test_an_argument_wins_over_both_and_none_is_no_argument(file: Path) -> None:
    chosen = read(file, ENVIRONMENT, sample=1.0, namespace=None)
    assert (chosen.sample, chosen.namespace) == (1.0, "fromenv")
    assert endpoints(file, ENVIRONMENT, path="", flat_health=True).path == ""


def test_where_the_file_is(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(environ=NOWHERE).namespace == "fromfile"
    assert read(environ={"FERROMETER_CONFIG": ""}).namespace is None
    other = tmp_path / "other.toml"
    other.write_text('[metrics]\nnamespace = "other"\n')
    assert read(environ={"FERROMETER_CONFIG": str(other)}).namespace == "other"
    assert read(file, {"FERROMETER_CONFIG": str(other)}).namespace == "fromfile"
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n")
    assert read(environ=NOWHERE).namespace == "fromfile", "a project without our table is passed over"
    project.write_text("[tool.ferrometer.metrics]\nnamespace = 'project'\n")
    assert read(environ=NOWHERE).namespace == "project"
    (tmp_path / "ferrometer.toml").write_text("[metrics]\nnamespace = 'own'\n")
    assert read(environ=NOWHERE).namespace == "own"


@pytest.mark.parametrize("environ", [NOWHERE, {"FERROMETER_CONFIG": "missing.toml"}])
def test_a_file_that_was_named_must_exist(environ: dict[str, str], tmp_path: Path) -> None:
    named = None if environ else tmp_path / "missing.toml"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing\.toml"):
        Sources(named, environ)


UNKNOWN = [
    ("[metrics]\nsampel = 1", "unknown key 'sampel' in [metrics]; did you mean 'sample'?"),
    ("[metrics]\nzzz = 1", "the keys are buckets, exemplars, namespace, request_id, sample"),
    ("[metric]\nsample = 1", "unknown section [metric]; did you mean [metrics]?"),
    ("[endpoint]\n", "did you mean [endpoints]?"),
]


@pytest.mark.parametrize(("text", "words"), UNKNOWN)
def test_what_is_unknown_in_an_applications_file_is_a_warning(
    text: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert read(path, NOWHERE) == HttpSettings()
    [record] = caplog.records
    assert (record.name, record.levelname) == ("ferrometer", "WARNING")
    assert words in record.getMessage()
    assert str(path) in record.getMessage()


@pytest.mark.parametrize(
    ("text", "words"), [*UNKNOWN, ("[database]\nurl = 1", "unknown section [database]; the sections are ")]
)
@pytest.mark.parametrize("name", ["ferrometer.toml", "pyproject.toml"])
def test_what_is_unknown_in_our_own_file_is_an_error(
    text: str, words: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text if name == "ferrometer.toml" else text.replace("[", "[tool.ferrometer.", 1))
    with pytest.raises(ValueError, match=r".") as caught:
        read(path, NOWHERE)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[endpoints]\nauth = 'x'", ValueError, "did you mean 'auth_token'?"),
        ("[endpoints]\nsample = 1", ValueError, "unknown key 'sample' in [endpoints]"),
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
        read(path, NOWHERE), endpoints(path, NOWHERE)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no valid TOML"):
        Sources(path, NOWHERE)


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("FERROMETER_SAMPLE", "much", "FERROMETER_SAMPLE: must be a number, not 'much'"),
        ("FERROMETER_METRICS_SAMPLE", "much", "FERROMETER_METRICS_SAMPLE: must be a number, not 'much'"),
        ("FERROMETER_BUCKETS", "1,x", "FERROMETER_BUCKETS: must be a number, not 'x'"),
        ("FERROMETER_REQUEST_ID", "maybe", "must be true or false, not 'maybe'"),
        ("FERROMETER_AUTH_TOKEN", "", "FERROMETER_AUTH_TOKEN is set but empty"),
        ("FERROMETER_ALLOW", "  ", "FERROMETER_ALLOW is set but empty"),
        ("FERROMETER_SHARED", "", "FERROMETER_SHARED is set but empty"),
    ],
)
def test_a_wrong_environment(variable: str, text: str, words: str) -> None:
    environ = {variable: text, "FERROMETER_CONFIG": ""}
    with pytest.raises(ValueError, match=r".") as caught:
        read(environ=environ), endpoints(environ=environ)
    assert words in str(caught.value)


def test_an_unknown_variable_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "FERROMETER_CONFIG": "",
        "FERROMETER_SAMPEL": "1",
        "FERROMETER_QQQQQQQ": "",
        "PATH": "/bin",
    }
    assert read(environ=environ) == HttpSettings()
    variable = "the environment variable FERROMETER_"
    assert [record.getMessage() for record in caplog.records] == [
        f"{variable}SAMPEL means nothing to ferrometer; did you mean FERROMETER_SAMPLE?",
        f"{variable}QQQQQQQ means nothing to ferrometer",
    ]


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
        (None, {"FERROMETER_METRICS_SHARED": "false", "FERROMETER_DIR": "/dev/shm/shop"}, False),
        (False, {"FERROMETER_DIR": "/dev/shm/shop"}, False),
        (True, {}, True),
        (Path("/dev/shm/shop"), {"FERROMETER_SHARED": "false"}, "/dev/shm/shop"),
    ],
)
def test_where_workers_share(given: Any, environ: dict[str, str], shared: object) -> None:
    explicit = Http(shared=given).given
    assert read(environ={"FERROMETER_CONFIG": "", **environ}, **explicit).shared == shared


def test_the_file_says_where_workers_share(file: Path) -> None:
    for text, shared in (('"/dev/shm/shop"', "/dev/shm/shop"), ("true", True), ("false", False)):
        file.write_text(f"[metrics]\nshared = {text}\n")
        assert read(file, NOWHERE).shared == shared
    file.write_text("[metrics]\nshared = 1\n")
    with pytest.raises(TypeError, match="shared: must be true, false or a directory"):
        read(file, NOWHERE)


def test_repr_shows_no_secret() -> None:
    assert "hunter2" not in repr(EndpointsSettings(auth_token="hunter2"))
