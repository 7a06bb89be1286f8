"""Lines to files: rotation by size and time, files that others move, half lines of the killed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from ferrometer.logs import setup
from ferrometer.logs.sinks import File, Loki, Otlp, Sink, Stderr, Stdout, Syslog, parse
from tests.logs.programs import lines, numbers, run


def test_rotation_by_size_keeps_so_many_files_and_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(
        """
ship.start([File(sys.argv[1], max_bytes=20_000, backups=3)], service="s")
for number in range(2000):
    log(number)
    if number % 100 == 0: ship.flush(30)
assert ship.flush(30)
""",
        log,
    )
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2", "log.3"]
    assert all(file.stat().st_size <= 20_000 for file in files)
    assert all(file.stat().st_size > 19_000 for file in files[1:])
    found = [number for file in [*reversed(files[1:]), log] for number in numbers(lines(file))]
    assert found == list(range(found[0], 2000))


@pytest.mark.parametrize(("period", "seconds"), [("hourly", 3600), ("daily", 86_400)])
def test_rotation_by_time(tmp_path: Path, period: str, seconds: int) -> None:
    log = tmp_path / "log"
    log.write_text('{"number": -1}\n')
    # It was written to in the period before, and another one just now.
    os.utime(log, (log.stat().st_mtime - seconds,) * 2)
    recent = tmp_path / "recent"
    recent.write_text('{"number": -1}\n')
    run(
        """
period = sys.argv[3]
ship.start([File(sys.argv[1], rotate=period), File(sys.argv[2], rotate=period)], service="s")
log(1)
assert ship.flush(30)
log(2)
""",
        log,
        recent,
        period,
    )
    assert (numbers(lines(tmp_path / "log.1")), numbers(lines(log))) == ([-1], [1, 2])
    assert numbers(lines(recent)) == [-1, 1, 2]


@pytest.mark.parametrize("how", ["os.rename(path, path + '.old')", "os.unlink(path)"])
def test_a_file_that_somebody_moves_is_made_again(tmp_path: Path, how: str) -> None:
    log = tmp_path / "log"
    run(
        f"""
path = sys.argv[1]
ship.start([File(path)], service="s")
for number in range(100): log(number)
assert ship.flush(30)
{how}
for number in range(100, 200): log(number)
assert ship.flush(30)
""",
        log,
    )
    assert numbers(lines(log)) == list(range(100, 200))
    if "rename" in how:
        assert numbers(lines(tmp_path / "log.old")) == list(range(100))


def test_a_half_line_of_one_who_was_killed_is_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"number": 1}\n{"num')
    run("ship.start([File(sys.argv[1])], service='s')\nlog(2)\nassert ship.flush(30)", log)
    assert log.read_text().splitlines()[:2] == ['{"number": 1}', '{"num']
    assert '"number": 2' in log.read_text().splitlines()[2]


@pytest.mark.parametrize(
    ("text", "sink"),
    [
        ("stdout", Stdout()),
        ("stderr", Stderr()),
        ("syslog://logs:514", Syslog("logs:514")),
        (
            "syslog+tls://[::1]:6514?format=rfc5424&facility=daemon",
            Syslog("[::1]:6514", tls=True, format="rfc5424", facility="daemon"),
        ),
        ("loki+http://loki:3100", Loki("http://loki:3100")),
        ("otlp+https://collector:4318", Otlp("https://collector:4318")),
    ],
)
def test_short_texts_stand_for_sinks(text: str, sink: Sink) -> None:
    assert parse(text) == sink


def test_a_path_stands_for_a_file(tmp_path: Path) -> None:
    assert parse(str(tmp_path / "x.log")) == File(str(tmp_path / "x.log"))
    assert parse(f"file://{tmp_path}/x.log") == File(f"{tmp_path}/x.log")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("stdot", "no sink: 'stdot'; there are stdout, stderr"),
        ("", "no sink"),
        ("udp://x:1", "no kind of sink: 'udp'"),
        ("syslog://logs", "an address is HOST:PORT, such as 'logs.internal:514', not 'logs'"),
        ("syslog://logs:0", "an address is HOST:PORT"),
        ("syslog://logs:514?format=cef", "format must be one of json_lines, rfc5424, not 'cef'"),
        ("syslog://logs:514?tls=1", "no option of a syslog sink: 'tls'"),
        ("loki+http://", "a URL is one like"),
        ("/no/such/folder/x.log", "there is no directory /no/such/folder"),
        ("/", "it is a directory"),
    ],
)
def test_what_is_no_sink_is_told(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(").replace("+", r"\+")):
        parse(text)


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("/proc/x.log", "in /proc no file can be made (No such file or directory); choose another directory"),
        ("{there}/file/x.log", "{there}/file is no directory; choose another file"),
        ("{there}/file/below/x.log", "{there}/file/below cannot be reached (Not a directory)"),
    ],
)
def test_a_directory_that_cannot_be_written(tmp_path: Path, place: str, complaint: str) -> None:
    (tmp_path / "file").touch()
    path = place.format(there=tmp_path)
    wanted = f"logs cannot be written to {path}: {complaint.format(there=tmp_path)}"
    with pytest.raises(ValueError, match=re.escape(wanted)):
        setup("s", to=path)
    # One that takes files is left as it was.
    File(tmp_path / "new.log")
    assert os.listdir(tmp_path) == ["file"]


def test_a_user_without_permissions_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "there.log").touch(0o640)
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    out, _ = run(
        """
from ferrometer import logs
import tempfile
folder, closed = sys.argv[1:]
if os.getuid() == 0:  # whom nothing is forbidden
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
else:
    os.chmod(folder, 0o500); os.chmod(closed, 0); os.chmod(folder + "/there.log", 0o400)
for path in (folder + "/new.log", folder + "/there.log", closed + "/new.log", closed + "/in/x"):
    try: logs.setup("s", to=path)
    except ValueError as error: print(error)
""",
        folder,
        closed,
    )
    closed.chmod(0o700)
    said = out.splitlines()
    assert said == [
        f"logs cannot be written to {folder}/new.log: in {folder} no file can be made (Permission denied);"
        " choose another directory",
        f"logs cannot be written to {folder}/there.log: this user may not; choose another file",
        f"logs cannot be written to {closed}/new.log: in {closed} no file can be made (Permission denied);"
        " choose another directory",
        f"logs cannot be written to {closed}/in/x: {closed}/in cannot be reached (Permission denied);"
        " choose another file",
    ]


def test_what_the_shipper_refuses_is_told() -> None:
    from ferrometer import _core
    from ferrometer.logs import ship

    def shipping() -> tuple[object, ...] | None:
        """Where the lines of this process go: nowhere, unless another test has begun it."""
        told = json.loads(_core.record_counts())
        return None if told is None else (told["leads"], *sorted(told["sinks"]))

    before = shipping()
    with pytest.raises(ValueError, match="queue_bytes must be at least 65536, not 7"):
        ship.start([Stdout()], service="s", queue_bytes=7)
    with pytest.raises(ValueError, match='two sinks are called "stdout"; give one another name'):
        ship.start([Stdout(), Stdout()], service="s")
    with pytest.raises(ValueError, match="9 sinks, and there can be 8"):
        ship.start([Stdout(name=str(number)) for number in range(9)], service="s")
    with pytest.raises(ValueError, match=r"nothing\.pem"):
        ship.start([Syslog("x:1", tls=True, ca="/nothing.pem")], service="s")
    with pytest.raises(ValueError, match="max_bytes must be positive, not 0"):
        File("x.log", max_bytes=0)
    assert shipping() == before, "what was refused began nothing"
