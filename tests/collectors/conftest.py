"""What the collectors' tests share: a registry that checks names, and the fake NVML, built once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrometer.testing import PedanticRegistry
from tests.collectors.fake_gpu import build


@pytest.fixture
def registry() -> PedanticRegistry:
    """A registry that refuses names against the conventions."""
    return PedanticRegistry()


@pytest.fixture(scope="session")
def fake_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake NVML with all its functions."""
    return build(tmp_path_factory.mktemp("nvml"))
