"""A small segment file, and its hexdump for `docs/segment-format.md`: `python -m tests.segment_example`."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "segment-format.md"

PROGRAM = """
import os, sys
from ferrometer import Counter, Histogram, share

share(sys.argv[1])
Counter("jobs", "Jobs done", ["queue"]).labels("mail").inc(3, {"trace_id": "4bf92f35"})
latency = Histogram("latency_seconds", "How long", buckets=(0.1, 1))
for seconds in (0.05, 0.5, 2):
    latency.observe(seconds)
os._exit(0)
"""


def make(directory: Path) -> Path:
    """The segment that the program leaves behind."""
    subprocess.run([sys.executable, "-c", PROGRAM, str(directory)], check=True, timeout=60)
    (segment,) = directory.glob("*.seg")
    return segment


def calm(data: bytes, times: list[int]) -> bytes:
    """The bytes with what differs each time replaced: the header's, and `f64` times at these offsets."""
    calmed = bytearray(data)
    calmed[16:32] = bytes(range(16))
    struct.pack_into("<QQQ16sd", calmed, 32, 4242, 123456, 4026531836, bytes(range(16, 32)), 1.7e9)
    struct.pack_into("<I", calmed, 84, zlib.crc32(calmed[:84]))
    for at in times:
        struct.pack_into("<d", calmed, at, 1.7e9)
    return bytes(calmed)


def dump(data: bytes) -> Iterator[tuple[str, str]]:
    """The offset and the rest of each line that is not all zeros."""
    for at in range(0, len(data), 16):
        line = data[at : at + 16]
        if any(line):
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
            yield f"{at:06x}", f"{line[:8].hex(' ')}  {line[8:].hex(' ')}  {shown}"
