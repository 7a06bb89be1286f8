"""Stack traces as one text, without local variables: they hold what nobody expects in a log."""

from __future__ import annotations

import traceback

#: The longest trace that is told, in characters; of a longer one the middle is left out.
LONGEST = 24_000


def stack_trace(error: BaseException) -> str:
    """The trace of an exception, with its causes and the members of a group."""
    text = "".join(traceback.format_exception(error)).rstrip()
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
