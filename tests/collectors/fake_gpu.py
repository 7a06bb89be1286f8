"""The fake NVML: built with cc, loaded by the real pynvml in a process of its own, told what to answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("fake_nvml.c")
GIB = 1 << 30

# One GPU that supports everything, in the units that NVML speaks: W/1000, J/1000, MHz, KB/s.
GPU: Mapping[str, str] = {
    "name": "Fake H100",
    "uuid": "GPU-fake-0",
    "utilization": "87 41",
    "memory": f"{80 * GIB} {1 * GIB} {30 * GIB} {49 * GIB}",
    "temperature": "64",
    "field82": "71",
    "limit0": "95",
    "limit1": "92",
    "limit2": "105",
    "limit3": "87",
    "power": "412500",
    "power_limit": "700000",
    "energy": "123456789",
    **{f"clock{n}": "1410" for n in range(4)},
    **{f"max_clock{n}": "1980" for n in range(4)},
    "reasons": "36",  # 0x4 | 0x20
    "ecc": "3 1",
    "ecc_lifetime": "30 10",
    "rows": "2 1 1 0",
    "pcie0": "1500",
    "pcie1": "2500",
    "replays": "7",
    "compute": f"2 4242 {20 * GIB} 4343 {10 * GIB}",
    "graphics": f"1 4242 {20 * GIB}",
    "mig": "0",
}


def build(folder: Path, without: Iterable[str] = ()) -> Path:
    """Compiles the library; the functions ``without`` are not to be found in it. Returns its folder."""
    folder.mkdir(exist_ok=True)
    hidden = "".join(f"{name}; " for name in without)
    script = folder / "symbols.map"
    script.write_text("{ global: nvml*; " + (f"local: {hidden}" if hidden else "local: *; ") + "};")
    subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC",
         "-Wl,-soname,libnvidia-ml.so.1", f"-Wl,--version-script={script}",
         "-o", folder / "libnvidia-ml.so.1", SOURCE],
        check=True,
    )  # fmt: skip
    return folder


def tell(values: Mapping[str, object]) -> None:
    """Have the fake answer so, from now on."""
    file = Path(os.environ["FAKE_NVML"])
    whole = file.with_suffix(".new")
    whole.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    whole.rename(file)  # never half written


def gpus(count: int = 1, **further: object) -> dict[str, object]:
    """So many GPUs; `further` sets keys of the GPU 0, and takes away those that are None."""
    values: dict[str, object] = {"count": count, "driver": "580.95.05"}
    for index in range(count):
        values |= {f"{index}.{key}": value for key, value in GPU.items()}
        values[f"{index}.uuid"] = f"GPU-fake-{index}"
    values |= {f"0.{key}": value for key, value in further.items()}
    return {key: value for key, value in values.items() if value is not None}


PRELUDE = """
import logging
from tests.collectors.fake_gpu import GIB, gpus, tell
from ferrometer.background.collector import CollectError, UnavailableError
from ferrometer.collectors.gpu import GpuCollector
from ferrometer.collectors.scheduler import CollectorScheduler
from ferrometer.testing import PedanticRegistry, collect, examine, lint, samples, value
from tests.collectors.support import until

ALLOWED = ("gpu_utilization_percent", "gpuproxy_gpu_requests_failed")
registry = PedanticRegistry(allow=ALLOWED)

lines = []

class Lines(logging.Handler):
    def emit(self, record):
        lines.append(f"{record.levelname} {record.getMessage()}")

logging.getLogger("ferrometer.collectors").addHandler(Lines())
logging.getLogger("ferrometer.collectors").setLevel(logging.INFO)

def starts():
    from pathlib import Path
    import os
    file = Path(os.environ["FAKE_NVML_STARTS"])
    return len(file.read_text().splitlines()) if file.exists() else 0

def names():
    return {name for name, _ in samples(registry) if not name.endswith("_created")}

def shown(name):
    return {labels: v for (n, labels), v in samples(registry).items() if n == name}
"""


def run(code: str, library: Path, folder: Path) -> str:
    """Runs the code in a process that finds this library; returns what it printed. Warnings are errors."""
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(library),
        "FAKE_NVML": str(folder / "nvml.txt"),
        "FAKE_NVML_STARTS": str(folder / "starts.txt"),
        "FERROMETER_DIR": str(folder),
        "FERROMETER_SHARED": "false",  # a child counts for itself
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
