"""What it takes to have it: memory for each child, time to import. Each figure is of a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from time import perf_counter

from benches.fill import KNOWN_BYTES
from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, progress

CLIENT = "prometheus_client"
MODULES = {
    OURS: "ferrometer",
    CLIENT: "prometheus_client",
    "pytheus": "pytheus.metrics",
    "opentelemetry": "opentelemetry.sdk.metrics",
}
OTEL_CHILDREN = 1500  # its SDK folds what comes after 2 000 into one


def measure_memory(kind: str, children: int, observations: int, sigma: float, effort: Effort) -> Samples:
    """Bytes of resident memory for each child."""
    if effort.quick:
        children //= 10
    libraries = [name for name, module in MODULES.items() if peer(module)] + [CONTROL]
    samples: Samples = {}
    for number, name in enumerate(libraries):
        progress(f"memory of a {kind} child", number + 1, len(libraries))
        count = min(children, OTEL_CHILDREN) if name == "opentelemetry" else children
        samples[name] = [
            float(run("-m", "benches.fill", name, kind, str(count), str(observations), str(sigma)))
        ]
    [found] = samples[CONTROL]
    assert found is not None
    assert KNOWN_BYTES <= found <= 1.1 * KNOWN_BYTES, f"{KNOWN_BYTES} bytes were measured as {found}"
    return samples


TIMED_IMPORT = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def measure_import(effort: Effort) -> Samples:
    """Seconds that `import` takes in a fresh interpreter, its bytecode already compiled."""
    modules = {name: module for name, module in MODULES.items() if peer(module)}
    samples: Samples = {name: [] for name in (*modules, CONTROL)}
    rounds = effort.rounds(25, 2)
    with tempfile.TemporaryDirectory() as nowhere:
        for number in range(rounds):
            progress("import", number + 1, rounds)
            for name, module in modules.items():
                samples[name].append(float(run("-c", TIMED_IMPORT.format(module))))
            # Without compiled bytecode it must cost more, or it is not the import that was timed.
            cold = {"PYTHONPYCACHEPREFIX": nowhere, "PYTHONDONTWRITEBYTECODE": "1"}
            samples[CONTROL].append(float(run("-c", TIMED_IMPORT.format(CLIENT), **cold)))
    return samples


def measure_start(effort: Effort) -> Samples:
    """Seconds of a whole process: the interpreter alone (the floor) and with the import."""
    programs = {FLOOR: "pass", OURS: "import ferrometer", CLIENT: f"import {CLIENT}"}
    samples: Samples = {name: [] for name in programs}
    rounds = effort.rounds(25, 2)
    for number in range(rounds):
        progress("start", number + 1, rounds)
        for name, program in programs.items():
            began = perf_counter()
            run("-c", program)
            samples[name].append(perf_counter() - began)
    return samples


def run(*arguments: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr[-2000:]}"
    return done.stdout


ROWS = (
    Row(
        "memory_histogram",
        "memory, histogram child",
        "bytes",
        partial(measure_memory, "Histogram", 2000, 1000, 0.8),
        (Aim(OURS, at_most=6 * 1024),),
        note="1 000 log-normal values in each, p50 20 ms, p99 130 ms; control: 8 192 bytes",
    ),
    Row(
        "memory_histogram_wide",
        "  a long tail",
        "bytes",
        partial(measure_memory, "Histogram", 2000, 1000, 1.5),
        note="p99 33 times p50",
    ),
    Row(
        "memory_counter",
        "memory, counter child",
        "bytes",
        partial(measure_memory, "Counter", 50_000, 1, 0.8),
        (Aim(OURS, at_most=160),),
        note="three labels, 50 000 children",
    ),
    Row(
        "import",
        "import ferrometer",
        "ms",
        measure_import,
        (Aim(OURS, CLIENT, at_most=0.3),),
        faster_than_control=CLIENT,
        note="control: prometheus_client without its bytecode",
    ),
    Row("start", "  whole process", "ms", measure_start, note="floor: python -c pass"),
)
