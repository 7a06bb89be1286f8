"""Which operation an SQL text is: its first keyword. Nothing else of the text is kept or shown."""

from __future__ import annotations

import re

_KEYWORDS = (
    "SELECT INSERT UPDATE DELETE MERGE REPLACE WITH VALUES TABLE COPY CALL DO EXECUTE PREPARE DEALLOCATE "
    "BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE SET RESET SHOW DISCARD PRAGMA "
    "CREATE ALTER DROP TRUNCATE COMMENT GRANT REVOKE LOCK EXPLAIN ANALYZE VACUUM CLUSTER REINDEX REFRESH "
    "DECLARE FETCH MOVE CLOSE LISTEN NOTIFY UNLISTEN CHECKPOINT ATTACH DETACH USE "
)
_OPERATIONS = frozenset(_KEYWORDS.split())

OTHER = "OTHER"
"""What begins with no keyword known here: the label stays bounded whatever is sent."""

PREFIX = 6
"""Characters that decide most texts at once: SELECT, INSERT, UPDATE and DELETE are that long."""

_LOOK = 4096  # characters: a comment that is longer hides the keyword

# Blanks, comments and opening parentheses, then a word. Possessive: no text makes it go back.
_FIRST = re.compile(r"(?:\s|\(|;|--[^\n]*|/\*.*?\*/)*+([A-Za-z]+)?", re.DOTALL)


def operation(sql: str) -> str | None:
    """The first keyword in capitals, ``"OTHER"`` for an unknown one, None where there is no statement."""
    match = _FIRST.match(sql[:_LOOK])
    word = match[1] if match else None
    if word is None:
        return OTHER if sql[match.end() if match else 0 :].strip() else None
    word = word.upper()
    return word if word in _OPERATIONS else OTHER


def decided_by_prefix(sql: str) -> bool:
    """Whether every text with the same first ``PREFIX`` characters is the same operation."""
    return sql[:1].isascii() and sql[:1].isalpha()


__all__ = ["OTHER", "PREFIX", "decided_by_prefix", "operation"]
