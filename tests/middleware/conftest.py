"""The middleware reads dicts in two ways; what depends on them is tested in both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferrometer import _core


@pytest.fixture(params=["private layout", "official functions"])
def dicts(request: pytest.FixtureRequest) -> Iterator[str]:
    """How dicts are read meanwhile."""
    before = _core.private_dict_layout()
    _core.private_dict_layout(wanted=request.param == "private layout")
    yield request.param
    _core.private_dict_layout(wanted=before)
