"""CPython's private dict layout is used where it is known, and the middleware does without it elsewhere."""

from __future__ import annotations

import sys

from ferrometer import _core


def test_the_layout_is_that_of_known_versions() -> None:
    """Where it fails, `middleware/dict.rs` learns the layout of the version, or excludes it."""
    assert _core.private_dict_layout() == (sys.version_info < (3, 14))


def test_it_is_turned_off_and_on(dicts: str) -> None:
    assert _core.private_dict_layout() == (dicts == "private layout" and sys.version_info < (3, 14))
