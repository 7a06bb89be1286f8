"""What holds for every sink at once: no secret leaves, and a sink's own trouble makes no lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.logs.programs import lines, run
from tests.logs.test_corpus import FORMS, KEY
from tests.logs.test_half_closed import line_server
from tests.real.log_receivers import Receiver

LOGGED = """
import logging
from ferrometer import get_logger, logs
share(sys.argv[1])
file, bare, framed, loki, otlp = json.loads(sys.argv[2])
to = [file, Syslog(bare, name="bare"), Syslog(framed, name="framed", format="rfc5424")]
to += [Loki(loki), Otlp(otlp)]
logs.setup("s", to=to, level="debug", version="1", environment="test")
log, std = get_logger("l"), logging.getLogger("std")
for text in json.loads(sys.argv[3]):
    log.info(text)
    log.info(f"before {text} after", note=text, nested={"a": [text.encode(), {"b": (text,)}]})
    log.bind(request_id=text).warning("bound", user_id=text, logger=text, trace_id=text)
    std.error("%s", text, extra={"note": text, "user_id": text})
    with logs.RequestLoggingContext(text, text): log.error("context")
    try: raise ValueError(text)
    except ValueError: std.exception("raised")
log.info("the last")
assert logs.flush(60), ship.counts()
rings = b"".join(open(os.path.join(sys.argv[1], name), "rb").read() for name in os.listdir(sys.argv[1]))
print(sys.argv[4].encode() in rings, b"the last" in rings)
"""


def arrived(folder: Path, texts: list[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes of each sink."""
    with ExitStack() as stack:
        bare, framed = (stack.enter_context(line_server()) for _ in range(2))
        loki, otlp = (stack.enter_context(Receiver()) for _ in range(2))
        addresses = [f"127.0.0.1:{server.port}" for server in (bare, framed)]
        to = [str(folder / "log"), *addresses, loki.url, otlp.url]
        out, _ = run(LOGGED, folder / "shared", json.dumps(to), json.dumps(texts), KEY)
        assert out.split() == ["False", "True"], "in the files of the shared directory"
        yield "file", (folder / "log").read_bytes()
        for name, server in (("bare", bare), ("framed", framed)):
            server.join()
            yield name, b"".join(server.connections)
        for name, receiver in (("loki", loki), ("otlp", otlp)):
            yield name, b"".join(post.body + repr(post.headers).encode() for post in receiver.posts)


def test_no_secret_is_in_the_bytes_of_any_sink(tmp_path: Path) -> None:
    texts = [form.format(KEY) for form in FORMS]
    found = dict(arrived(tmp_path, texts))
    assert set(found) == {"file", "bare", "framed", "loki", "otlp"}
    for name, received in found.items():
        assert b"the last" in received, name
        assert KEY.encode() not in received, name


@pytest.mark.parametrize("level", ["debug", "error"])
def test_the_trouble_of_a_sink_makes_no_lines(tmp_path: Path, level: str) -> None:
    _, err = run(
        """
import logging
from ferrometer import get_logger, logs
logs.setup("s", to=[sys.argv[1], "syslog://127.0.0.1:1", "loki+http://127.0.0.1:1"], level=sys.argv[2])
logging.getLogger().setLevel(logging.DEBUG)
get_logger("l").error("mine")
assert not logs.flush(1)
told(ship.counts())
os._exit(0)
""",
        tmp_path / "log",
        level,
    )
    counts = json.loads(err.splitlines()[-1])
    assert [line["message"] for line in lines(tmp_path / "log")] == ["mine"]
    assert sum(counts["lines"].values()) == 1
    assert all(counts["sinks"][name]["trouble"] for name in counts["sinks"] if not name.startswith("file"))
