"""`make gpu`: what it says without a GPU, and what it finds where NVML, nvidia-smi and CUDA are fakes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.collectors.fake_gpu import GIB, ROOT, gpus

CUDA = """
typedef unsigned long long ull;
int cuInit(unsigned a) { (void)a; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)1; (void)d; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { (void)d; return 0; }
int cuCtxSetCurrent(void *c) { (void)c; return 0; }
int cuCtxSynchronize(void) { return 0; }
int cuMemAlloc_v2(ull *m, ull n) { *m = n; return 0; }
int cuMemFree_v2(ull m) { (void)m; return 0; }
int cuMemsetD32_v2(ull m, unsigned v, ull n) { (void)m; (void)v; (void)n; return 0; }
"""

#: As a driver of the 580 series writes it, as far as it is read.
SMI = """#!/bin/sh
if [ "$1" = -L ]; then echo "GPU 0: Fake H100 (UUID: GPU-fake-0)"; exit; fi
cat <<'XML'
<?xml version="1.0" ?>
<nvidia_smi_log>
  <driver_version>580.95.05</driver_version>
  <gpu id="00000000:01:00.0">
    <product_name>Fake H100</product_name>
    <uuid>GPU-fake-0</uuid>
    <mig_mode><current_mig>Disabled</current_mig></mig_mode>
    <mig_devices>None</mig_devices>
    <pci><replay_counter>7</replay_counter><tx_util>1600 KB/s</tx_util><rx_util>2400 KB/s</rx_util></pci>
    <fb_memory_usage>
      <total>81920 MiB</total><reserved>1024 MiB</reserved><used>50176 MiB</used><free>30720 MiB</free>
    </fb_memory_usage>
    <utilization><gpu_util>87 %</gpu_util><memory_util>41 %</memory_util></utilization>
    <ecc_errors>
      <volatile>
        <sram_correctable>2</sram_correctable><sram_uncorrectable_parity>1</sram_uncorrectable_parity>
        <sram_uncorrectable_secded>0</sram_uncorrectable_secded>
        <dram_correctable>1</dram_correctable><dram_uncorrectable>0</dram_uncorrectable>
      </volatile>
      <aggregate>
        <sram_correctable>20</sram_correctable><sram_uncorrectable_parity>10</sram_uncorrectable_parity>
        <dram_correctable>10</dram_correctable><dram_uncorrectable>0</dram_uncorrectable>
      </aggregate>
    </ecc_errors>
    <remapped_rows>
      <remapped_row_corr>2</remapped_row_corr><remapped_row_unc>1</remapped_row_unc>
      <remapped_row_pending>Yes</remapped_row_pending><remapped_row_failure>No</remapped_row_failure>
    </remapped_rows>
    <temperature>
      <gpu_temp>64 C</gpu_temp><gpu_temp_max_threshold>95 C</gpu_temp_max_threshold>
      <gpu_temp_slow_threshold>92 C</gpu_temp_slow_threshold>
      <gpu_temp_max_gpu_threshold>87 C</gpu_temp_max_gpu_threshold>
      <memory_temp>71 C</memory_temp><gpu_temp_max_mem_threshold>N/A</gpu_temp_max_mem_threshold>
    </temperature>
    <gpu_power_readings>
      <average_power_draw>N/A</average_power_draw><instant_power_draw>412.50 W</instant_power_draw>
      <current_power_limit>700.00 W</current_power_limit>
    </gpu_power_readings>
    <clocks>
      <graphics_clock>1410 MHz</graphics_clock><sm_clock>1410 MHz</sm_clock>
      <mem_clock>1410 MHz</mem_clock><video_clock>1410 MHz</video_clock>
    </clocks>
    <max_clocks>
      <graphics_clock>1980 MHz</graphics_clock><sm_clock>1980 MHz</sm_clock>
      <mem_clock>1980 MHz</mem_clock><video_clock>1980 MHz</video_clock>
    </max_clocks>
    <clocks_event_reasons>
      <clocks_event_reason_gpu_idle>Not Active</clocks_event_reason_gpu_idle>
      <clocks_event_reason_sw_power_cap>Active</clocks_event_reason_sw_power_cap>
      <clocks_event_reason_sw_thermal_slowdown>Active</clocks_event_reason_sw_thermal_slowdown>
      <clocks_event_reason_hw_slowdown>Not Active</clocks_event_reason_hw_slowdown>
    </clocks_event_reasons>
    <processes>
      <process_info><pid>4242</pid><type>C+G</type><used_memory>20480 MiB</used_memory></process_info>
      <process_info><pid>4343</pid><type>C</type><used_memory>10240 MiB</used_memory></process_info>
    </processes>
  </gpu>
</nvidia_smi_log>
XML
"""


def tool(tmp_path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    page = tmp_path / "gpu.md"
    page.write_text("head\n<!-- transcript of make gpu -->\nold\n<!-- end of the transcript -->\ntail\n")
    return subprocess.run(
        [sys.executable, "tools/gpu.py", "--transcript", str(page), "--load-seconds", "0.1"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("required", ["", "1"])
def test_without_a_gpu_it_says_so_and_what_it_would_run(tmp_path: Path, required: str) -> None:
    done = tool(tmp_path, {"PATH": str(tmp_path), "REQUIRE_REAL": required})
    assert done.returncode == (1 if required else 0), done.stderr
    assert (
        "there is no NVIDIA GPU on this machine (nvidia-smi is not here): nothing was compared" in done.stdout
    )
    page = (ROOT / "docs" / "gpu.md").read_text()
    families = set(re.findall(r"^\| `(gpu_\w+)` \|", page, flags=re.MULTILINE))
    assert len(families) == 30
    assert {name for name in families if name not in done.stdout} == set()  # every family of the page
    assert "old" in (tmp_path / "gpu.md").read_text()


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
@pytest.mark.parametrize("differs", [False, True])
def test_what_differs_is_found(fake_library: Path, tmp_path: Path, differs: bool) -> None:
    (tmp_path / "cuda.c").write_text(CUDA)
    made = ["cc", "-shared", "-fPIC", "-o", f"{tmp_path}/libcuda.so.1", f"{tmp_path}/cuda.c"]
    subprocess.run(made, check=True)
    smi = tmp_path / "nvidia-smi"
    smi.write_text(SMI.replace("<gpu_temp>64 C", "<gpu_temp>40 C") if differs else SMI)
    smi.chmod(0o755)
    told = gpus(limit2=None, energy="!3", memory=f"{80 * GIB} {GIB} {30 * GIB} {49 * GIB}")
    (tmp_path / "nvml.txt").write_text("".join(f"{key}={value}\n" for key, value in told.items()))
    done = tool(
        tmp_path,
        {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": f"{fake_library}:{tmp_path}",
            "FAKE_NVML": str(tmp_path / "nvml.txt"),
            "FAKE_NVML_STARTS": str(tmp_path / "starts.txt"),
        },
    )
    page = (tmp_path / "gpu.md").read_text()
    assert page.startswith("head\n"), done.stderr
    assert page.endswith("tail\n")
    assert "old" not in page, done.stderr
    assert '| `gpu_power_watts{gpu_id="0"}` | 412.5 | 412.5 |' in page
    assert '| `gpu_ecc_lifetime_errors_total{gpu_id="0",kind="corrected"}` | 30 | 30 |' in page
    assert '| `gpu_process_memory_used_bytes{gpu_id="0",pid="4343"}` | 1.07374e+10 | 1.07374e+10 |' in page
    assert '| `gpu_temperature_limit_celsius{gpu_id="0",limit="memory"}` | absent | says nothing |' in page
    assert ("64 | 40 **differs** |" in page) == differs
    assert done.returncode == differs, done.stdout[-2000:] + done.stderr
    if differs:
        assert 'make gpu: 2 series differ: gpu_temperature_celsius{gpu_id="0"}' in done.stdout
