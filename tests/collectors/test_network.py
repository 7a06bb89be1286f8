"""Network counts against the kernel's own, with real traffic over the loopback."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from ferrometer.collectors.host.network import NetworkCollector, by_psutil, read_interfaces
from ferrometer.testing import PedanticRegistry, collect, examine, samples, value

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="compared with Linux's files")

LOOPBACK = Path("/sys/class/net/lo/statistics")


def traffic(size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(b"x" * size)
        taken, _ = server.accept()
        with taken:
            while taken.recv(1 << 16):
                pass


def test_it_keeps_the_rules(registry: PedanticRegistry) -> None:
    examine(lambda: NetworkCollector(registry=registry, devices=["lo"]), registry)


def test_bytes_sent_are_bytes_counted(registry: PedanticRegistry) -> None:
    collector = NetworkCollector(registry=registry, devices=["lo"])
    collect(collector)
    before = value(registry, "network_receive_bytes_total", device="lo")
    floor = int((LOOPBACK / "rx_bytes").read_text())
    traffic(1 << 20)
    collect(collector)
    after = value(registry, "network_receive_bytes_total", device="lo")
    assert after - before >= 1 << 20
    assert floor + (1 << 20) <= after <= int((LOOPBACK / "rx_bytes").read_text())
    for way in ("receive", "transmit"):
        for what in ("bytes", "packets", "errors", "drops"):
            kernel = int((LOOPBACK / f"{way[0]}x_{what.replace('drops', 'dropped')}").read_text())
            # The loopback is everybody's: it may have moved on meanwhile, never back.
            assert 0 <= value(registry, f"network_{way}_{what}_total", device="lo") <= kernel


def test_without_a_choice_it_is_all_but_the_loopback(registry: PedanticRegistry) -> None:
    collect(NetworkCollector(registry=registry))
    shown = {dict(labels)["device"] for _, labels in samples(registry)}
    assert shown == {path.name for path in Path("/sys/class/net").iterdir() if path.is_dir()} - {"lo"}


def test_an_interface_that_goes_takes_its_series_with_it(
    registry: PedanticRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = NetworkCollector(registry=registry)
    there = {"eth7": (1, 2, 3, 4, 5, 6, 7, 8)}
    monkeypatch.setattr("ferrometer.collectors.host.network.read_interfaces", lambda: there)
    collect(collector)
    assert value(registry, "network_transmit_drops_total", device="eth7") == 8
    there.clear()
    collect(collector)
    assert samples(registry) == {}


def test_psutil_reads_the_same() -> None:
    before, theirs, after = read_interfaces()["lo"], by_psutil()["lo"], read_interfaces()["lo"]
    assert all(low <= number <= high for low, number, high in zip(before, theirs, after, strict=True))


def test_devices_are_a_list(registry: PedanticRegistry) -> None:
    with pytest.raises(TypeError, match=r"write \['eth0'\]"):
        NetworkCollector(registry=registry, devices="eth0")
