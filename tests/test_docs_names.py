"""Names in the documentation: identifiers exist in the code, and the glossary stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opentelemetry.sdk import environment_variables as opentelemetry_variables

from ferrometer._runtime.options import options
from tests.docs_tables import families, settings_classes

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if page.name != "CHANGELOG.md"
)
SOURCES = ("python", "rust", "tests", "benches")
#: Names of other programs that no code of ours mentions.
FOREIGN = frozenset(
    [
        "CUDA_VISIBLE_DEVICES",
        "lib_rm_version_mismatch",
        "http_request_method",
        "http_request_size_bytes",
        "http_requests_inprogress",
        "http_response_size_bytes",
        "http_response_status_code",
        "http_route",
        "http_server_active_requests",
        "http_server_request_body_size_bytes",
        "http_server_request_duration_seconds",
        "http_server_request_duration_seconds_count",
        "http_server_response_body_size_bytes",
        "starlette_request_duration_seconds",
        "starlette_requests_in_progress",
        "starlette_requests_total",
        # Of OpenTelemetry's specification: docs/otel.md says of each variable whether it is read.
        *(name for name in dir(opentelemetry_variables) if name.startswith("OTEL_")),
        *(
            "OTEL_ENTITIES",
            "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ),
        "OTEL_LOGS_EXPORTER",
        "OTEL_PROPAGATORS",
    ]
)
#: What the namespace of the examples puts before a name, and an exposition behind it.
AROUND = re.compile(
    r"^(?:gpuproxy_|omtx_hub_|ferrometer_history_|_)?(.*?)(?:_total|_created|_bucket|_sum|_count|_info)?$"
)


def identifiers(page: str) -> set[str]:
    """What a page names in backticks: words with an underscore, a capital inside, or parentheses."""
    prose = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    found = set()
    for span in re.findall(r"`([^`\n]+)`", prose):
        if match := re.fullmatch(r"@?([A-Za-z_][\w.]*)(\(.*\)|\{.*\})?", span):
            name, call = match.groups()
            for part in name.split("."):
                if (call and "(" in call) or "_" in part.strip("_") or re.search(r"[a-z][A-Z]", part):
                    found.add(part)
    return found


def _words() -> frozenset[str]:
    files = [
        file
        for folder in SOURCES
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".pyi", ".rs", ".c")
    ]
    files += [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "Cargo.toml"]
    words = {
        word for file in files if file != Path(__file__) for word in re.findall(r"\w+", file.read_text())
    }
    # Names that are put together when the program runs.
    words |= families().keys()
    for section, made in settings_classes().items():
        words |= {name for one in options(section, made) for name in one.variables}
    return frozenset(words)


WORDS = _words()


def unknown(page: str) -> set[str]:
    """Identifiers of a page that no code has."""
    return {name for name in identifiers(page) - FOREIGN if not {name, AROUND.sub(r"\1", name)} & WORDS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_identifiers_exist(page: Path) -> None:
    assert unknown(page.read_text()) == set()


def test_a_name_that_is_gone_is_noticed() -> None:
    page = "`no_such_name`, `NoSuchClass.metrics_of_no()`, `counter.inc()`, `word`\n```\n`no_fence`\n```\n"
    assert unknown(page) == {"no_such_name", "NoSuchClass", "metrics_of_no"}


def test_the_glossary_is_short_and_each_term_is_in_use() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \|$", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE
    )
    terms = [term for term in rows if term != "term"]
    assert 20 <= len(terms) <= 40
    assert terms == sorted(set(terms))
    places = [*PAGES, *(ROOT / "python").rglob("*.py")]
    text = " ".join(place.read_text().lower() for place in places if place.name != "glossary.md")
    assert [term for term in terms if not re.search(rf"\b{term}", text)] == []
