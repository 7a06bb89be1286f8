"""The generated files for log lines, with the lines that `ferrometer.logs` really writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ferrometer.logs.pipeline import FORMATS
from tests.generate.generated import check, ferrometer, generate, tree
from tests.logs.written import Written
from tests.real.component import CACHE, LEDGER, RSYSLOG, RSYSLOG_TLS
from tests.real.log_receivers import certify
from tests.real.process import Process
from tests.real.prometheus import free_port


def line_of(log_format: str) -> dict[str, Any]:
    """A line with all that a collector asks for."""
    from ferrometer import logs

    written = Written(service="gateway", version="1", environment="prod", format=log_format)
    try:
        logs.set_trace_context("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
        with logs.RequestLoggingContext("request-1", "user-1"):
            logs.get_logger("app.routes").error("served", tokens=17)
        (line,) = written.lines()
    finally:
        written.end()
    return dict(line)


@pytest.mark.parametrize("log_format", FORMATS)
def test_promtails_expressions_find_what_a_line_has(log_format: str, tmp_path: Path) -> None:
    """Promtail is not here; its expressions are JMESPath, and the library of that name reads them."""
    jmespath = import_module("jmespath")
    out = generate("promtail", tmp_path, f'[logging]\nformat = "{log_format}"\nservice = "gateway"\n')
    (job,) = tree(out / "promtail.yml")["scrape_configs"]
    stages = {name: told for stage in job["pipeline_stages"] for name, told in stage.items()}
    line = line_of(log_format)
    found = {name: jmespath.search(text, line) for name, text in stages["json"]["expressions"].items()}
    assert found == {
        "time": found["time"],
        "level": "error" if log_format in ("staging", "ecs") else "ERROR",
        "logger": "app.routes",
        "service": "gateway",
        "request_id": "request-1",
        "user_id": "user-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
    }
    assert stages["timestamp"] == {"source": "time", "format": "RFC3339Nano", "action_on_failure": "skip"}
    assert abs(datetime.fromisoformat(found["time"]).timestamp() - time.time()) < 600
    labels, metadata = set(stages["labels"]), set(stages["structured_metadata"])
    assert labels | metadata | {"time"} == set(found)
    # What has many values is no label.
    assert labels == {"level", "logger", "service"}
    text = (out / "promtail.yml").read_text()
    assert "end of its life" in text
    assert "Alloy" in text


def test_promtail_and_loki_fit_together_and_keep_logs_as_long_as_metrics(tmp_path: Path) -> None:
    """Loki is not here: this test knows what the seven lines of its retention must say together."""
    generate("promtail", tmp_path)
    out = generate("loki", tmp_path)
    loki, promtail = tree(out / "loki.yml"), tree(out / "promtail.yml")
    assert promtail["clients"] == [
        {"url": f"http://loki:{loki['server']['http_listen_port']}/loki/api/v1/push"}
    ]
    assert loki["limits_config"]["retention_period"] == "2160h"
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["compactor"]["delete_request_store"] == loki["schema_config"]["configs"][0]["object_store"]
    # Structured metadata and OTLP need both.
    assert (loki["schema_config"]["configs"][0]["schema"], loki["schema_config"]["configs"][0]["store"]) == (
        "v13",
        "tsdb",
    )
    assert loki["limits_config"]["allow_structured_metadata"] is True
    done = ferrometer(
        *("loki", "--namespace", "a", "--out", "b"),
        folder=tmp_path,
        configuration='[generate]\nretention = "1h"\n',
    )
    assert (done.returncode, "Loki keeps a day at least, not '1h'" in done.stderr) == (2, True)


@pytest.mark.parametrize("log_format", FORMATS)
def test_logstash_asks_for_fields_that_a_line_has(log_format: str, tmp_path: Path) -> None:
    """Logstash is not to be had: its references are looked up as it does, and its braces counted."""
    configuration = f'[logging]\nformat = "{log_format}"\nservice = "gateway"\nsyslog_address = "logs:5044"\n'
    text = (generate("logstash", tmp_path, configuration) / "logstash.conf").read_text()
    assert text.count("{") == text.count("}")
    assert "port => 5044" in text
    assert "codec => json_lines" in text
    line = line_of(log_format)
    condition = re.search(r'^ *if (\S+) == "gateway"', text, re.MULTILINE)
    assert condition
    assert reference(condition[1], line) == "gateway"
    date = re.search(r'match => \["([^"]+)", "ISO8601"\]', text)
    # Its own field of that name it reads by itself.
    assert (date is None) == ("@timestamp" in line)
    if date is not None:
        assert reference(date[1], line).endswith("Z")
    assert 'index => "gateway-%{+YYYY.MM.dd}"' in text


def reference(text: str, line: Mapping[str, Any]) -> Any:
    """What Logstash means by `[a][b]`."""
    found: Any = line
    for step in re.findall(r"\[([^\]]+)\]", text):
        found = found[step]
    return found


def test_logstash_is_not_given_what_it_cannot_read(tmp_path: Path) -> None:
    configuration = '[logging]\nsyslog_format = "rfc5424"\n'
    words = ("--namespace", "gateway", "--out", "out")
    done = ferrometer("logstash", *words, folder=tmp_path, configuration=configuration)
    assert done.returncode == 2
    assert (
        "[logging] syslog_format is 'rfc5424': Logstash reads 'json_lines'; rsyslog reads both" in done.stderr
    )
    done = ferrometer("all", *words, folder=tmp_path, configuration=configuration)
    assert (done.returncode, (tmp_path / "out" / "logstash.conf").exists()) == (0, False)
    assert (tmp_path / "out" / "rsyslog.conf").exists()


def modules(configuration: Path) -> list[str | Path]:
    """The command that reads a configuration."""
    command: list[str | Path] = [RSYSLOG.require(), "-f", configuration]
    if RSYSLOG.require().is_relative_to(CACHE):
        command += ["-M", ":".join(map(str, CACHE.glob("usr/lib/*-linux-*/rsyslog")))]
    return command


@pytest.mark.parametrize("network", ["tcp", "tls"])
@pytest.mark.parametrize("syslog_format", ["json_lines", "rfc5424"])
def test_rsyslog_reads_it(network: str, syslog_format: str, tmp_path: Path) -> None:
    if network == "tls":
        RSYSLOG_TLS.require()
    configuration = f'[logging]\nsyslog_network = "{network}"\nsyslog_format = "{syslog_format}"\n'
    out = generate("rsyslog", tmp_path, configuration)
    # It looks whether its folder is there, which the package's installation makes.
    text = (out / "rsyslog.conf").read_text()
    assert "/var/spool/rsyslog" in text
    (out / "rsyslog.conf").write_text(text.replace("/var/spool/rsyslog", str(out)))
    if network == "tls":  # it looks whether they are there
        folder = certify(tmp_path / "tls")
        text = (out / "rsyslog.conf").read_text().replace("/etc/rsyslog.d/tls", str(folder))
        (out / "rsyslog.conf").write_text(text)
    check(*modules(out / "rsyslog.conf"), "-N1", folder=out, env=RSYSLOG.environment())
    broken = out / "broken.conf"
    broken.write_text((out / "rsyslog.conf").read_text().replace("ruleset(name", "rulezet(name"))
    assert subprocess.run(
        [*modules(broken), "-N1"], env=RSYSLOG.environment(), capture_output=True
    ).returncode


APP = """
import sys, ferrometer
from starlette.applications import Starlette
from starlette.testclient import TestClient
app = Starlette()
logs = ferrometer.Logs(to="app.log", access=False, stdlib=False)
ferrometer.instrument(app, logs, registry=ferrometer.CollectorRegistry())
with TestClient(app):
    for number in range(100):
        ferrometer.get_logger("app").info("line", number=number, text="ü\\nsecond")
"""


@pytest.mark.parametrize("syslog_format", ["json_lines", "rfc5424"])
def test_lines_of_the_application_reach_rsyslogs_file(syslog_format: str, short_folder: Path) -> None:
    """One configuration for both: the application's own."""
    port = free_port()
    configuration = f"""
[metrics]
namespace = "gateway"
[logging]
service = "gateway"
syslog_enabled = true
syslog_address = "127.0.0.1:{port}"
syslog_format = "{syslog_format}"
"""
    out = generate("rsyslog", short_folder, configuration, "gateway")
    text = (out / "rsyslog.conf").read_text()
    text = text.replace("/var/spool/rsyslog", str(out)).replace("/var/log/gateway", str(out / "logs"))
    (out / "here.conf").write_text(text)
    with Process(
        [*modules(out / "here.conf"), "-n", "-i", out / "pid"], folder=out, env=RSYSLOG.environment()
    ) as process:
        process.wait_until(lambda: connects(port))
        done = subprocess.run([sys.executable, "-c", APP], cwd=short_folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

        def lines() -> list[str]:
            return [
                line
                for file in (out / "logs").glob("gateway-*.log")
                for line in file.read_text().splitlines()
            ]

        process.wait_until(lambda: len(lines()) >= 100, seconds=30, what="given the lines")
        LEDGER.exercised["rsyslogd"] = "generated files"
        assert [json.loads(line) for line in lines()] == [
            json.loads(line) for line in (short_folder / "app.log").read_text().splitlines()
        ]


def connects(port: int) -> bool:
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
