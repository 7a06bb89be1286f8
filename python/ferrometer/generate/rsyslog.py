"""KIND rsyslog: the application's lines over TCP or TLS, into a file for each day."""

from __future__ import annotations

from collections.abc import Iterator

from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File


def files(deployment: Deployment) -> Iterator[File]:
    """``rsyslog.conf``."""
    yield File(
        "rsyslog.conf",
        "rsyslog",
        _text(deployment),
        (
            "For /etc/rsyslog.d, or alone with `rsyslogd -f`. The application sends there with"
            " syslog_enabled, syslog_network and syslog_address in [logging].",
            "Old files are logrotate's to remove.",
        ),
    )


def _text(deployment: Deployment) -> str:
    name = deployment.name
    # A line of JSON is the whole message; in RFC 5424 it is what follows the header.
    what = "msg" if deployment.syslog_format == "rfc5424" else "rawmsg"
    module = _TLS if deployment.syslog_tls else 'module(load="imptcp")\n'
    kind = "imtcp" if deployment.syslog_tls else "imptcp"
    return f"""\
# The longest line of ferrometer.logs is 64 KiB.
global(maxMessageSize="128k" workDirectory="/var/spool/rsyslog")
{module}
template(name="{name}-file" type="string" string="/var/log/{name}/{name}-%$year%-%$month%-%$day%.log")
template(name="{name}-line" type="list") {{
  property(name="{what}" droplastlf="on")
  constant(value="\\n")
}}

ruleset(name="{name}" queue.type="LinkedList" queue.size="100000") {{
  action(type="omfile" dynaFile="{name}-file" template="{name}-line"
         dirCreateMode="0750" fileCreateMode="0640")
}}

input(type="{kind}" port="{deployment.syslog_port}" ruleset="{name}")
"""


_TLS = """\
global(defaultNetstreamDriverCAFile="/etc/rsyslog.d/tls/ca.pem"
       defaultNetstreamDriverCertFile="/etc/rsyslog.d/tls/server.pem"
       defaultNetstreamDriverKeyFile="/etc/rsyslog.d/tls/server.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
"""
