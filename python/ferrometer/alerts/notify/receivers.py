"""What tells people: webhooks, Slack, PagerDuty, e-mail, and whatever apprise knows.

The keys are those of Alertmanager's ``*_configs``; what is not known is refused at the start. Secrets are
read from files or the configuration, and are in no message, error or ``repr`` of this library.
"""

from __future__ import annotations

import base64
import hashlib
import json
import smtplib
import ssl
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from ferrometer._runtime.delivery import LaterError, RefusedError
from ferrometer._runtime.http_client import post
from ferrometer.alerts.notify import message
from ferrometer.alerts.notify.dispatch import Notification
from ferrometer.alerts.template import Template

#: Seconds of one attempt.
TIMEOUT = 10.0
_SLACK_COLOR = '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}'
_SEVERITIES = ("critical", "error", "warning", "info")
_JSON = {"Content-Type": "application/json"}


class Config:
    """The keys of one integration; each is asked for once, and what is left is a mistake."""

    def __init__(self, kind: str, node: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self.kind, self._left, self._defaults = kind, dict(node), defaults
        self.line = getattr(node, "line", 0)

    def text(self, key: str, default: str = "", *, inherits: str = "") -> str:
        """A text; ``inherits`` names the global one."""
        value = self._left.pop(key, None)
        if value is None and inherits:
            value = self._defaults.get(inherits)
        return default if value is None else str(value)

    def truth(self, key: str, default: bool) -> bool:
        """True or false."""
        word = self.text(key, str(default)).lower()
        if word not in ("true", "false"):
            raise ValueError(f"{key} must be true or false, not {word!r}")
        return word == "true"

    def secret(self, key: str, *, inherits: str = "", required: bool = True) -> str:
        """A secret, or the content of the file that ``key_file`` names."""
        value = self.text(key, inherits=inherits)
        file = self.text(f"{key}_file", inherits=f"{inherits}_file" if inherits else "")
        if value and file and key in self._left:
            raise ValueError(f"{key} and {key}_file: one of them")
        if not value and file:
            try:
                value = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ValueError(f"{key}_file {file!r}: {error.strerror}") from None
        if required and not value:
            raise ValueError(f"{key} or {key}_file is needed")
        return value

    def template(self, key: str, default: str) -> Template:
        """A text with templates. Raises ValueError for one that cannot be read."""
        try:
            return Template(self.text(key, default))
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None

    def node(self, key: str) -> Mapping[str, Any]:
        """A mapping."""
        found = self._left.pop(key, None) or {}
        if not isinstance(found, Mapping):
            raise ValueError(f"{key} is a mapping")
        return found

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found = self._left.pop(key, None) or []
        return [str(one) for one in (found if isinstance(found, list) else [found])]

    def end(self) -> None:
        """Raises ValueError for keys that nobody asked for."""
        if self._left:
            raise ValueError(f"{self.kind}_configs has no key {min(self._left)!r} here")


class Integration:
    """One way to tell a receiver."""

    send_resolved = True

    def send(self, told: Notification) -> None:
        """Sends it once. Raises LaterError for what may pass, RefusedError for what will not."""
        raise NotImplementedError


def _url(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # The URL itself may be the secret.
        raise ValueError("url is none: write https://host/path")
    return url


def _headers(config: Config) -> dict[str, str]:
    http, headers = dict(config.node("http_config")), dict(_JSON)
    basic, bearer = http.pop("basic_auth", None), http.pop("authorization", None)
    if basic:
        own = Config(config.kind, basic, {})
        pair = f"{own.text('username')}:{own.secret('password')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    if bearer:
        own = Config(config.kind, bearer, {})
        headers["Authorization"] = f"{own.text('type', 'Bearer')} {own.secret('credentials')}"
    if http:
        raise ValueError(f"http_config has no key {min(http)!r} here")
    return headers


class Webhook(Integration):
    """A POST of JSON, version 4."""

    def __init__(self, config: Config) -> None:
        self.send_resolved = config.truth("send_resolved", True)
        self._url, self._headers = _url(config.secret("url")), _headers(config)
        self._most = int(config.text("max_alerts", "0"))

    def send(self, told: Notification) -> None:
        """Posts it."""
        post(self._url, message.webhook(told, most=self._most), self._headers, TIMEOUT)


class Slack(Integration):
    """A message in a channel, by an incoming webhook."""

    def __init__(self, config: Config) -> None:
        self.send_resolved = config.truth("send_resolved", False)
        self._url, self._headers = _url(config.secret("api_url", inherits="slack_api_url")), _headers(config)
        self._channel, self._username = config.text("channel"), config.text("username")
        self._texts = {
            key: config.template(key, default)
            for key, default in (
                ("title", ""),
                ("title_link", ""),
                ("text", ""),
                ("fallback", ""),
                ("pretext", ""),
                ("color", _SLACK_COLOR),
            )
        }
        self._icon = {key: config.text(key) for key in ("icon_emoji", "icon_url")}

    def send(self, told: Notification) -> None:
        """Posts it; Slack says ``ok``."""
        said = {key: message.expanded(text, told) for key, text in self._texts.items()}
        said["title"] = said["title"] or message.title(told)
        said["text"] = said["text"] or message.text(told)
        said["fallback"] = said["fallback"] or said["title"]
        body = {
            "channel": self._channel,
            "username": self._username,
            **self._icon,
            "attachments": [{**said, "mrkdwn_in": ["fallback", "pretext", "text"]}],
        }
        kept = {key: value for key, value in body.items() if value}
        post(self._url, json.dumps(kept).encode(), self._headers, TIMEOUT)


class PagerDuty(Integration):
    """An event of PagerDuty's Events API v2: triggered, and resolved under the same key."""

    def __init__(self, config: Config) -> None:
        self.send_resolved = config.truth("send_resolved", True)
        self._key = config.secret("routing_key")
        default = "https://events.pagerduty.com/v2/enqueue"
        self._url = _url(config.text("url", default, inherits="pagerduty_url"))
        self._headers = _headers(config)
        self._texts = {
            key: config.template(key, default)
            for key, default in (
                ("description", ""),
                ("severity", "{{ .CommonLabels.severity }}"),
                ("client", "ferrometer"),
                ("client_url", ""),
                ("class", ""),
                ("component", ""),
                ("group", ""),
                ("source", ""),
            )
        }

    def send(self, told: Notification) -> None:
        """Posts it."""
        said = {key: message.expanded(text, told) for key, text in self._texts.items()}
        client, url, severity = said.pop("client"), said.pop("client_url"), said.pop("severity")
        summary, source = said.pop("description") or message.title(told), said.pop("source") or client
        body: dict[str, Any] = {
            "routing_key": self._key,
            "event_action": "trigger" if told.firing else "resolve",
            "dedup_key": hashlib.sha256(told.group_key.encode()).hexdigest(),
            "client": client,
            "payload": {
                "summary": summary[:1024],
                "source": source,
                # PagerDuty refuses any other word.
                "severity": severity if severity in _SEVERITIES else "error",
                **{key: value for key, value in said.items() if value},
                "custom_details": {
                    "firing": message.text(told)[:100_000],
                    "num_firing": len(told.firing),
                    "num_resolved": len(told.resolved),
                },
            },
        }
        if url:
            body["client_url"] = url
        post(self._url, json.dumps(body).encode(), self._headers, TIMEOUT)


class Email(Integration):
    """An e-mail, by SMTP with STARTTLS, or with TLS from the beginning on port 465."""

    def __init__(self, config: Config) -> None:
        self.send_resolved = config.truth("send_resolved", False)
        self._to = [one.strip() for one in config.text("to").split(",") if one.strip()]
        self._from = config.text("from", inherits="smtp_from")
        host = config.text("smarthost", inherits="smtp_smarthost")
        self._host, _, port = host.rpartition(":")
        if not self._to or not self._from or not self._host or not port.isdigit():
            raise ValueError("email_configs needs to, from and smarthost (mail.example:587)")
        self._port = int(port)
        self._user = config.text("auth_username", inherits="smtp_auth_username")
        self._password = config.secret(
            "auth_password", inherits="smtp_auth_password", required=bool(self._user)
        )
        default = str(config._defaults.get("smtp_require_tls", "true")).lower() == "true"
        self._tls = config.truth("require_tls", default)
        self._hello = config.text("hello", "localhost", inherits="smtp_hello")
        insecure = Config("email", config.node("tls_config"), {}).truth("insecure_skip_verify", False)
        self._context = ssl.create_default_context()
        if insecure:
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._headers = {
            str(key).title(): Template(str(text)) for key, text in config.node("headers").items()
        }
        self._text = config.template("text", "")

    def send(self, told: Notification) -> None:
        """Hands it to the mail server."""
        mail = EmailMessage()
        headers = {key: message.expanded(text, told) for key, text in self._headers.items()}
        headers.setdefault("Subject", message.title(told))
        for key, value in {"From": self._from, "To": ", ".join(self._to), **headers}.items():
            # A line's end in a label must not begin a header.
            mail[key] = " ".join(value.split())
        mail["Date"], mail["Message-Id"] = formatdate(), make_msgid(domain="ferrometer")
        # One group is one thread.
        thread = hashlib.sha256(told.group_key.encode()).hexdigest()[:32]
        mail["References"] = f"<{thread}@ferrometer>"
        mail.set_content(message.expanded(self._text, told) or message.text(told) or message.title(told))
        try:
            self._hand_over(mail)
        except smtplib.SMTPResponseException as error:
            # The words of the server may repeat what it was sent.
            kind = LaterError if 400 <= error.smtp_code < 500 else RefusedError
            raise kind(f"the mail server answered {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise LaterError(f"no mail server: {type(error).__name__}") from None

    def _hand_over(self, mail: EmailMessage) -> None:
        options: dict[str, Any] = {"local_hostname": self._hello, "timeout": TIMEOUT}
        if self._port == 465:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, context=self._context, **options)
        else:
            server = smtplib.SMTP(self._host, self._port, **options)
        with server:
            if self._port != 465 and self._tls:
                server.ehlo()
                if not server.has_extn("starttls"):
                    raise RefusedError("the mail server offers no STARTTLS, and require_tls is true")
                server.starttls(context=self._context)
            if self._user:
                try:
                    server.login(self._user, self._password)
                except (smtplib.SMTPAuthenticationError, smtplib.SMTPServerDisconnected):
                    # Trying again and again would lock the account.
                    raise RefusedError("the mail server refused the credentials") from None
            server.send_message(mail, self._from, self._to)


class Apprise(Integration):
    """Whatever the library apprise knows: ``apprise_configs: [{urls: ["tgram://..."]}]``, which is ours."""

    def __init__(self, config: Config) -> None:
        self.send_resolved = config.truth("send_resolved", True)
        urls = [*config.texts("urls"), *config.secret("urls", required=False).split()]
        try:
            import apprise
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                'apprise_configs need apprise: pip install "ferrometer[notify]"'
            ) from None
        self._target = apprise.Apprise()
        for number, url in enumerate(urls, 1):
            if not self._target.add(url):
                raise ValueError(f"url {number} is none that apprise knows")
        if not urls:
            raise ValueError("apprise_configs needs urls")

    def send(self, told: Notification) -> None:
        """Notifies all of them."""
        if not self._target.notify(title=message.title(told), body=message.text(told) or message.title(told)):
            raise LaterError("apprise could not notify all")


_KINDS: Mapping[str, Callable[[Config], Integration]] = {
    "webhook": Webhook,
    "slack": Slack,
    "pagerduty": PagerDuty,
    "email": Email,
    "apprise": Apprise,
}


def integration(kind: str, node: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> Integration:
    """One of a receiver. Raises ValueError that names it and the remedy."""
    if kind not in _KINDS:
        raise ValueError(
            f"{where}: no {kind}_configs here; there are {', '.join(f'{one}_configs' for one in _KINDS)}"
        )
    config = Config(kind, node, defaults)
    try:
        made = _KINDS[kind](config)
        config.end()
    except ValueError as error:
        raise ValueError(f"{where}: {kind}_configs, line {config.line}: {error}") from None
    return made


def latest(items: Sequence[Notification]) -> list[Notification]:
    """Of each group the last, with what was over in the others: what has waited is not told one by one."""
    found: dict[str, Notification] = {}
    for told in items:
        before = found.pop(told.group_key, None)
        if before is not None:
            firing = {one.labels for one in told.firing}
            over = {one.labels: one for one in (*before.resolved, *told.resolved) if one.labels not in firing}
            told = Notification(
                *(told.integration, told.receiver, told.group_key, told.group_labels, told.firing),
                tuple(over.values()),
                told.told,
            )
        found[told.group_key] = told
    return list(found.values())
