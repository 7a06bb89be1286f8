"""Who may read the port, and that nobody learns why not."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ferrometer import CollectorRegistry, serve_metrics
from tests.serving.client import ask
from tests.serving.program import running

GUARDED = ["/metrics", "/metrics/", "/stats", "/polling", "/monitor"]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    ("auth", "right", "wrong", "challenge"),
    [
        (
            "s3cret",
            # As the password of Basic, too: promtool has no other way to send a token.
            ["Bearer s3cret", "bearer  s3cret ", basic("a", "s3cret")],
            ["Bearer s3cre", "s3cret", basic("s3cret", "a"), basic("a", "s3cre")],
            "Bearer",
        ),
        (["old", "new"], ["Bearer old", "Bearer new"], ["Bearer ", "Bearer oldnew"], "Bearer"),
        (
            ("ann", "pä:ss"),
            [basic("ann", "pä:ss")],
            [basic("ann", "pä"), basic("", ""), "Bearer ann"],
            "Basic realm",
        ),
    ],
)
def test_a_secret_opens(path: str, auth: Any, right: list[str], wrong: list[str], challenge: str) -> None:
    with serve_metrics(0, registry=CollectorRegistry(), auth=auth) as server:
        for credentials in right:
            assert ask(server.port, path, authorization=credentials).status == 200, credentials
        for refused in [ask(server.port, path), *(ask(server.port, path, authorization=w) for w in wrong)]:
            assert (refused.status, refused.body) == (401, b"")
            assert refused.headers["www-authenticate"].startswith(challenge)
        # The address comes before the method, and the method before the secret.
        assert ask(server.port, path, "POST").status == 405
        assert ask(server.port, "/live").status == 200


@pytest.mark.parametrize(
    ("allow", "status"),
    [("127.0.0.1", 200), (["10.0.0.0/8", "127.0.0.0/8"], 200), (["10.0.0.0/8", "::1"], 403), (["unix"], 403)],
)
def test_addresses(allow: Any, status: int) -> None:
    with serve_metrics(0, registry=CollectorRegistry(), allow=allow, auth="token") as server:
        for path in GUARDED:
            answer = ask(server.port, path, authorization="Bearer token")
            assert answer.status == status, path
            assert (ask(server.port, path, "POST").status == 405) is (status == 200)
        assert ask(server.port, "/live").status == 200


def test_ipv4_within_ipv6() -> None:
    with serve_metrics(0, "::", registry=CollectorRegistry(), allow=["127.0.0.1"]) as server:
        assert ask(server.port).status == 200
        assert ask(server.port, host="::1").status == 403
        assert server.url == f"http://[::1]:{server.port}"


def test_forwarding_headers_open_nothing() -> None:
    with serve_metrics(0, registry=CollectorRegistry(), allow="10.0.0.1") as server:
        headers = {"x_forwarded_for": "10.0.0.1", "forwarded": "for=10.0.0.1", "x_real_ip": "10.0.0.1"}
        assert ask(server.port, **headers).status == 403


def test_python_code_decides_nothing_here() -> None:
    with pytest.raises(TypeError, match="a callable is Python code"):
        serve_metrics(0, registry=CollectorRegistry(), auth=lambda _request: True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"auth": ""}, {"auth": []}, {"auth": "a b"}, {"allow": []}, {"allow": "here"}]
)
def test_what_would_open_or_close_by_accident_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"auth|allow"):
        serve_metrics(0, registry=CollectorRegistry(), **wrong)


PROGRAM = """
import logging, sys, warnings
logging.basicConfig(level=0)
warnings.simplefilter("always")
import ferrometer
server = ferrometer.serve_metrics(0, auth=["right-secret", "other-secret"])
print(server.port, flush=True)
sys.stdin.readline()
print(server, server._port, vars(server._port), server._readings, vars(server._readings), flush=True)
server.stop()
"""


def test_no_secret_is_ever_told() -> None:
    with running(PROGRAM) as program:
        port = program.number()
        answers = [
            ask(port, authorization=value)
            for value in ("Bearer wrong-secret", "Bearer right-secret", "Basic wrong-secret", "wrong-secret")
        ]
        assert [answer.status for answer in answers] == [401, 200, 401, 401]
        program.tell()
        said = program.line()
        assert program.wait() == 0
        told = said + program.errors() + "".join(str(answer) for answer in answers)
        assert "secret" not in told
