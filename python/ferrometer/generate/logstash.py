"""KIND logstash: JSON lines over TCP, to Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator

from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File
from ferrometer.generate.log_fields import log_fields


def files(deployment: Deployment) -> Iterator[File]:
    """``logstash.conf``. Raises ValueError where the application sends what Logstash does not read."""
    if deployment.syslog_format != "json_lines":
        raise ValueError(
            f"[logging] syslog_format is {deployment.syslog_format!r}: Logstash reads 'json_lines';"
            " rsyslog reads both"
        )
    yield File(
        "logstash.conf",
        "logstash",
        _text(deployment),
        (
            "The application sends there with syslog_enabled, syslog_network and syslog_address in"
            " [logging].",
            "Where Elasticsearch asks who is there: add `api_key` to its output, with a key of Logstash's"
            " own keystore and not in this file.",
        ),
    )


def _reference(*steps: str) -> str:
    return "".join(f"[{step}]" for step in steps)


def _text(deployment: Deployment) -> str:
    fields, name = log_fields(deployment.log_format), deployment.log_service
    tls = _TLS if deployment.syslog_tls else ""
    time = _reference(*fields["time"])
    # Logstash reads @timestamp by itself.
    date = "" if time == "[@timestamp]" else _DATE.replace("FIELD", time)
    index = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-") or "logs"
    return (
        f"input {{\n  tcp {{\n    port => {deployment.syslog_port}\n"
        f"    codec => json_lines {{ }}\n{tls}  }}\n}}\n\n"
        f"filter {{\n{date}"
        f'  if {_reference(*fields["service"])} == "{name}" {{\n'
        f'    mutate {{ add_tag => ["{name}"] }}\n  }}\n}}\n\n'
        "output {\n  elasticsearch {\n"
        '    hosts => ["${ELASTICSEARCH_URL:http://localhost:9200}"]\n'
        f'    index => "{index}-%{{+YYYY.MM.dd}}"\n  }}\n}}\n'
    )


_DATE = """\
  date {
    match => ["FIELD", "ISO8601"]
    remove_field => ["FIELD"]
  }
"""
_TLS = """\
    ssl_enabled => true
    ssl_certificate => "/etc/logstash/tls/server.pem"
    ssl_key => "/etc/logstash/tls/server.key"
    ssl_client_authentication => "none"
"""
