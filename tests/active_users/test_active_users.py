"""Distinct users over several processes: beside sets of what was really seen."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import ferrometer
from ferrometer.active_users import ActiveUsers

WORKER = """
import json, os, random, signal, sys
import ferrometer
from ferrometer.active_users import ActiveUsers
from ferrometer.active_users.users import expose
"""


def run(program: str, *arguments: str, status: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", WORKER + textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == status, ended.stderr
    return ended.stdout


def test_users_of_several_workers_are_counted_once(tmp_path: Path) -> None:
    program = """
        ferrometer.share(sys.argv[1])
        users = ActiveUsers()
        source = random.Random(int(sys.argv[2]))
        for _ in range(30_000):
            users.seen(f"user-{source.randrange(50_000)}")
        if sys.argv[2] == "2":
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for seed in range(4):
        run(program, str(tmp_path), str(seed), status=-9 if seed == 2 else 0)
    seen = set()
    for seed in range(4):
        source = random.Random(seed)
        seen |= {source.randrange(50_000) for _ in range(30_000)}
    shown = run(
        """
        ferrometer.share(sys.argv[1])
        expose(namespace="gw")
        print(ferrometer.generate_latest().decode())
        """,
        str(tmp_path),
    )
    lines = [line for line in shown.splitlines() if line.startswith("gw_active_users{")]
    assert len(lines) == 3
    assert {line.partition("}")[0] for line in lines} == {
        f'gw_active_users{{kind="user",window="{window}"' for window in ("5m", "1h", "1d")
    }
    for line in lines:
        assert abs(float(line.rpartition(" ")[2]) / len(seen) - 1) < 0.03


def test_a_fork_and_late_sharing_count_together(tmp_path: Path) -> None:
    shown = run(
        """
        users = ActiveUsers()
        ferrometer.share(sys.argv[1])
        for child in range(3):
            if os.fork() == 0:
                for i in range(100):
                    users.seen(f"{child}-{i}")
                os._exit(0)
        for _ in range(3):
            os.wait()
        print(json.dumps(users.counts()))
        """,
        str(tmp_path),
    )
    assert all(290 <= count <= 310 for count in json.loads(shown).values())


def test_another_secret_counts_alone_and_says_so(tmp_path: Path) -> None:
    program = """
        ferrometer.share(sys.argv[1])
        users = ActiveUsers(secret=sys.argv[2])
        for i in range(int(sys.argv[3])):
            users.seen(f"user-{i}")
        print(round(users.counts()["1d"]))
    """
    assert run(program, str(tmp_path), "a secret of the application", "100").strip() in ("99", "100", "101")
    assert run(program, str(tmp_path), "a secret of the application", "100").strip() in ("99", "100", "101")
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            WORKER + textwrap.dedent(program),
            str(tmp_path),
            "another secret, longer",
            "7",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ended.stdout.strip() == "7"
    assert "give all of them the same" in ended.stderr


def test_no_subject_and_no_hash_is_in_the_file(tmp_path: Path) -> None:
    """Two sets of the same size leave files that differ in registers alone: bytes of at most 51."""
    program = """
        ferrometer.share(sys.argv[1])
        users = ActiveUsers(secret="a secret of the application")
        for i in range(1000):
            users.seen(f"somebody-{i}@example.org")
    """
    run(program, str(tmp_path))
    data = (tmp_path / "distinct-1.state").read_bytes()
    assert b"somebody" not in data
    assert b"example.org" not in data
    registers = data[-4 * 49 * 16384 :]
    assert max(registers) > 0
    assert len(data) < 4 * 1024 * 1024


def test_an_application_counts_its_users() -> None:
    registry = ferrometer.CollectorRegistry()
    feature = ferrometer.CountActiveUsers()
    app = Starlette()
    ferrometer.instrument(app, feature, namespace="gw", registry=registry)
    name = str(uuid.uuid4())
    with TestClient(app) as client:
        before = feature.counts()["5m"]
        feature.seen(name)
        feature.seen(name.encode())
        assert 0.5 < feature.counts()["5m"] - before < 1.5
        assert 'gw_active_users{kind="user",window="5m"}' in client.get("/metrics").text


def test_bad_input() -> None:
    users = ActiveUsers()
    with pytest.raises(TypeError, match=r"a subject is a str or bytes: give str\(user\.id\)"):
        users.seen(17)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="one argument"):
        users.seen("a", "b")  # type: ignore[call-arg]
    with pytest.raises(UnicodeEncodeError):
        users.seen("\ud800")
    with pytest.raises(ValueError, match="at least 16 bytes; this one has 5"):
        ActiveUsers(secret="short")  # no secret
    with pytest.raises(ValueError, match="a kind has 1 to 48 bytes, not 10240"):
        ActiveUsers("x" * 10_240)


def test_a_fifth_kind_is_refused() -> None:
    words = run("""
        for kind in ("user", "key", "team", "tenant"):
            ActiveUsers(kind).seen("a")
        try:
            ActiveUsers("one more")
        except ValueError as error:
            print(error)
    """)
    assert "room for 4 kinds of subjects, and there are user, key, team, tenant" in words
