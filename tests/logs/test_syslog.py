"""Lines to a real rsyslog: both framings, TLS, restarts; and to VictoriaLogs, where it is built."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tests.logs.programs import lines, numbers, run, settled, wait_for
from tests.real.log_receivers import Rsyslog, certify, rsyslog, victoria_logs

#: Text that breaks who takes bytes, lines or structure for granted.
ODD = 'größe 値 🎉 <34>1 - "quoted" \\ [x] \\n {"a": 1}'


def send(server: Rsyslog, options: str, *, port: int = 0, more: str = "") -> dict[str, object]:
    _, err = run(
        f"""
ship.start([Syslog("127.0.0.1:{port or server.port}", name="syslog", {options})], service="gate way")
for number in range(2000): log(number, level=number % 5, text=sys.argv[1])
log(2000, text="x" * 60_000)
{more}
assert ship.flush(30), ship.counts()
told(ship.counts())
""",
        ODD,
    )
    told: dict[str, object] = json.loads(err.splitlines()[-1])
    return told


def _has(server: Rsyslog, count: int) -> bool:
    return len(server.raw) >= count


def check_lines(rows: list[dict[str, object]]) -> None:
    assert numbers(rows) == list(range(2001))
    assert {row["text"] for row in rows[:2000]} == {ODD}
    assert len(str(rows[2000]["text"])) == 60_000


def test_bare_json_lines(tmp_path: Path) -> None:
    with rsyslog(tmp_path) as server:
        counts = send(server, 'format="json_lines"')
        wait_for(lambda: len(server.raw) == 2001, "all lines")
        check_lines([json.loads(line) for line in server.raw])
        assert settled(counts, "syslog") == 2001


def test_rfc5424_with_octet_counts(tmp_path: Path) -> None:
    with rsyslog(tmp_path) as server:
        send(server, 'format="rfc5424", facility="local3"')
        wait_for(lambda: len(server.messages) == 2001, "all messages")
        messages = server.messages
        check_lines([json.loads(message["message"]) for message in messages])
        severities = [7, 6, 4, 3, 2]
        assert [int(message["pri"]) for message in messages[:2000]] == [
            19 * 8 + severities[number % 5] for number in range(2000)
        ]
        pids = {json.loads(message["message"])["pid"] for message in messages}
        assert {message["pid"] for message in messages} == {str(pid) for pid in pids}
        assert {message["app"] for message in messages} == {"gate_way"}
        assert 'meta sequenceId="1"' in messages[0]["data"]


def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    certificates = certify(tmp_path / "certificates")
    with rsyslog(tmp_path, certificates) as server:
        send(server, f'format="rfc5424", tls=True, ca="{certificates}/ca.pem"', port=server.tls_port)
        wait_for(lambda: len(server.messages) == 2001, "all messages")
        check_lines([json.loads(message["message"]) for message in server.messages])
        # Whom nobody vouches for gets nothing, and it says why.
        _, err = run(
            f"""
ship.start([Syslog("127.0.0.1:{server.tls_port}", tls=True, name="syslog")], service="s")
log(1)
assert not ship.flush(1)
told(ship.counts())
os._exit(0)
"""
        )
        counts = json.loads(err.splitlines()[-1])
        assert "certificate" in counts["sinks"]["syslog"]["trouble"]
        assert counts["sinks"]["syslog"]["queued"] == 1
        assert len(server.messages) == 2001


def test_a_restarted_server_loses_nothing(tmp_path: Path) -> None:
    with rsyslog(tmp_path) as server:
        import subprocess

        from tests.logs.programs import finish, program

        process = program(
            f"""
ship.start([Syslog("127.0.0.1:{server.port}", name="syslog")], service="s")
for turn in sys.stdin:
    for number in range(int(turn), int(turn) + 1000): log(number)
    told(ship.flush(1 if "away" in turn else 30) if turn.strip() != "4000" else ship.flush(30))
told(ship.counts())
""",
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        for turn in range(5):
            before = turn * 1000
            if turn == 2:
                # It goes when it has everything: what it has not read is lost with its socket.
                wait_for(lambda before=before: len(server.raw) == before, "all lines")  # type: ignore[misc]
                server.stop()
            process.stdin.write(f"{before}\n")
            process.stdin.flush()
            if turn == 2:
                server.start()
            wait_for(partial(_has, server, before + 1000), "its lines")
        process.stdin.close()
        process.stdin = None
        finish(process)
        rows = [json.loads(line) for line in server.raw]
        unmarked = [row["number"] for row in rows if "repeated" not in row]
        assert len(unmarked) == len(set(unmarked))
        assert {row["number"] for row in rows} == set(range(5000))


def test_a_dead_receiver_delays_no_other(tmp_path: Path) -> None:
    _, err = run(
        """
dead, file = Syslog("127.0.0.1:1", name="dead"), File(sys.argv[1], name="file")
ship.start([dead, file], service="s", queue_bytes=1 << 20)
for number in range(50_000):
    log(number)
    if number % 1000 == 0: time.sleep(0.01)
end = time.monotonic() + 60
while ship.counts()["sinks"]["file"]["queued"]: assert time.monotonic() < end; time.sleep(0.01)
told(ship.counts())
os._exit(0)
""",
        tmp_path / "log",
    )
    counts = json.loads(err.splitlines()[-1])
    dead, file = counts["sinks"]["dead"], counts["sinks"]["file"]
    assert settled(counts, "dead") == settled(counts, "file") == 50_000
    assert file["shipped"] == len(numbers(lines(tmp_path / "log")))
    assert dead["shipped"] == 0
    assert dead["full"] > 0
    assert "refused" in dead["trouble"]
    assert file["full"] == 0


def test_victoria_logs_takes_both_framings_on_one_port(tmp_path: Path) -> None:
    with victoria_logs(tmp_path) as server:
        run(
            f"""
ship.start([Syslog("127.0.0.1:{server.syslog_port}", format="rfc5424", name="syslog")], service="gw")
for number in range(500): log(number, level=3)
assert ship.flush(30)
"""
        )
        rows = wait_for(lambda: (rows := server.query("app_name:gw")) and len(rows) == 500 and rows, "all")
        assert {row["severity"] for row in rows} == {"3"}
        found = sorted(json.loads(row["_msg"])["number"] for row in rows if row["_msg"].startswith("{"))
        assert found == list(range(500)) or {row.get("number") for row in rows} == set(map(str, range(500)))
