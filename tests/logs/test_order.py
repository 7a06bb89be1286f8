"""Lines of one process leave in the order in which they were logged, whatever their times say."""

from __future__ import annotations

from pathlib import Path

from tests.logs.programs import lines, numbers, run

BODY = """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="file")], service="s")
from ferrometer._core import log_event
_core.set_log_level(0)
# A second ring: lines of several processes are put in the order of their times.
if os.fork() == 0:
    for number in range(10_000, 10_000 + 500):
        log_event(1, "l", "it", {"number": number}, None, (number % 7 + 1) * 1_000_000_000)
    assert ship.flush(60)
    os._exit(0)
for number in range(500):
    log_event(1, "l", "it", {"number": number}, None, (500 - number) * 1_000_000_000)
    if number % 50 == 0: time.sleep(0.01)
assert ship.flush(60)
assert os.wait()[1] == 0
"""


def test_times_that_go_back_neither_lose_nor_repeat_a_line(tmp_path: Path) -> None:
    run(BODY, tmp_path / "d", tmp_path / "log")
    found = numbers(lines(tmp_path / "log"))
    assert [number for number in found if number < 10_000] == list(range(500))
    assert [number for number in found if number >= 10_000] == list(range(10_000, 10_500))
