"""Rules of redaction of the user's own, and the count of what was taken out, in all processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ferrometer import CollectorRegistry, generate_latest, get_logger, logs
from ferrometer.logs import ship
from tests.logs.programs import run
from tests.logs.written import Written

log = get_logger("own")


def test_names_and_patterns(written: Written) -> None:
    rules = {"redact_names": ["patient_id", "X-Ward"], "redact_patterns": ["email", "ssn", r"CASE-\d{4}"]}
    written = Written(**rules)
    log.info(
        "mail to ann@example.org, CASE-1234",
        patientId="p-7",
        last_patient_id=5,
        x_ward="w",
        patient="stays",
        nested={"patient_id": "p-8", "note": "078-05-1120", "password": "hunter2"},
        query="a=1&patient_id=p-9",
    )
    (line,) = written.lines()
    assert line["message"] == "mail to [redacted], [redacted]"
    assert {line[name] for name in ("patientId", "last_patient_id", "x_ward")} == {"[redacted]"}
    assert line["patient"] == "stays"
    assert line["nested"] == {"patient_id": "[redacted]", "note": "[redacted]", "password": "[redacted]"}
    assert line["query"] == "a=1&patient_id=[redacted]"


def test_without_rules_addresses_stay(written: Written) -> None:
    log.info("ann@example.org from 10.0.0.1, 078-05-1120")
    assert written.lines()[0]["message"] == "ann@example.org from 10.0.0.1, 078-05-1120"


def test_addresses_of_the_network(written: Written) -> None:
    written = Written(redact_patterns=["ip"])
    log.info("10.0.0.1 and 2001:db8::8a2e:370:7334, not 300.1.1.1 at 12:30:45")
    assert written.lines()[0]["message"] == "[redacted] and [redacted], not 300.1.1.1 at 12:30:45"


@pytest.mark.parametrize(
    ("pattern", "words"), [("(", "unclosed group"), ("a*", "empty text"), ("(a{1000}){1000}", "size")]
)
def test_a_pattern_that_is_none(written: Written, pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(pattern).replace("'", '"'))) as caught:
        logs.setup(redact_patterns=[pattern], to=os.devnull, stdlib=False)
    assert words in str(caught.value)


def told(text: str) -> dict[str, float]:
    return {
        rule: float(value) for rule, value in re.findall(r'log_redactions_total\{rule="(\w+)"\} (\S+)', text)
    }


def test_what_was_taken_out_is_counted(written: Written) -> None:
    registry = CollectorRegistry()
    ship.register(registry, "gw")
    before = told(generate_latest(registry).decode())
    log.info("card 4111111111111111", password="a", api_key="b", url="http://u:secretpassword@h/")
    log.info("nothing")
    after = told(generate_latest(registry).decode())
    changed = {rule: after[rule] - before[rule] for rule in after if after[rule] != before[rule]}
    assert changed == {"card": 1, "name": 2, "url": 1}


BODY = """
from ferrometer import REGISTRY, generate_latest, get_logger, logs
share(sys.argv[1])
ship.register(REGISTRY, "gw")
logs.setup("s", to=sys.argv[2], stdlib=False, namespace="gw")
log = get_logger("x")
log.info("a", password="p")
for end in range(3):
    pid = os.fork()
    if pid == 0:
        log.info("b", password="p", token="t")
        if end == 0: os._exit(0)
        if end == 1: os.kill(os.getpid(), signal.SIGKILL)
        assert logs.flush(30)
        os._exit(0)
    os.waitpid(pid, 0)
print(generate_latest(REGISTRY).decode(), flush=True)
os._exit(0)
"""


def test_in_all_processes_and_after_their_deaths(tmp_path: Path) -> None:
    out, _ = run(BODY, tmp_path / "d", tmp_path / "log")
    assert told(out)["name"] == 1 + 3 * 2
    # Another process, when all are dead: what the sidecar shows.
    program = f"""
import sys
from ferrometer.endpoints.own_port import serve_directory
import urllib.request
with serve_directory({str(tmp_path / "d")!r}, 0, namespace="gw") as server:
    print(urllib.request.urlopen(server.url + "/metrics", timeout=30).read().decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert told(done.stdout)["name"] == 7, done.stderr


def test_any_number_of_setups(tmp_path: Path) -> None:
    body = """
from ferrometer import get_logger, logs
log = get_logger("x")
for number in range(30):
    path = os.path.join(sys.argv[1], str(number))
    logs.setup("s", to=path)
    log.info("line", number=number)
    logs.shutdown()
    told([json.loads(text)["number"] for text in open(path)])
"""
    _, err = run(body, tmp_path)
    assert err.split("\n")[:-1] == [f"[{number}]" for number in range(30)]


def test_settings_reach_the_lines(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    import ferrometer
    from tests.logs.written import FILE

    monkeypatch.setenv("FERROMETER_LOGGING_REDACT_NAMES", "ward")
    monkeypatch.setenv("FERROMETER_LOGGING_REDACT_PATTERNS", "email")
    app = Starlette()
    feature: Any = ferrometer.Logs(service="svc", to=FILE, format="gpuproxy", stdlib=False, access=False)
    ferrometer.instrument(app, feature, registry=CollectorRegistry(), default_collectors=False)
    with TestClient(app):
        log.info("ann@example.org", ward="w")
    (line,) = written.lines()
    assert (line["message"], line["ward"]) == ("[redacted]", "[redacted]")
