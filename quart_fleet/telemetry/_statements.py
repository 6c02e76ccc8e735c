"""Statements as they may be shown: what an author has written into the text is no value for others."""

import re
from functools import lru_cache

from quart_fleet.logs import escape

_MOST = 10_000
"""Characters of a statement."""
_LITERAL = re.compile(
    r"""
      (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    | "(?:[^"]|"")*(?:"|\Z)
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | (?<![\w$])E'(?:[^'\\]|''|\\.)*(?:'|\Z)
    | (?:(?<![\w$])(?:[BNX]|U&))?'(?:[^']|'')*(?:'|\Z)
    | (?<![\w$.])(?:0[xob][0-9a-f_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)?)
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""What a statement says of values by itself, and what must not be taken for that: a quoted name."""


@lru_cache(maxsize=1024)
def without_literals(sql: str) -> str:
    """Return a statement with `?` in the place of each literal, and without comments.

    Those of a repository have parameters; this is for the ones that are written as text. A string
    that does not end is one to its end.
    """
    text = _LITERAL.sub(
        lambda found: (
            found[0] if found[0].startswith('"') else " " if found["comment"] is not None else "?"
        ),
        sql,
    )
    return escape(" ".join(text.split()), _MOST)


_WORD = re.compile(r'[()]|(?:[\w$.]|"(?:[^"]|"")*")+')
_COMMANDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE")


@lru_cache(maxsize=1024)
def summarise(sql: str) -> str:
    """Return the command and the first table that a statement names, as `SELECT users`.

    OpenTelemetry's semantic conventions call it `db.query.summary`. What stands in parentheses
    names none.
    """
    command, before, depth, is_next = "", "", 0, False
    for word in _WORD.findall(without_literals(sql)):
        keyword = word.upper()
        if word in ("(", ")"):
            if is_next:
                break
            depth += 1 if word == "(" else -1
        elif not command or (command == "WITH" and depth == 0 and keyword in _COMMANDS):
            command, is_next = keyword, keyword == "UPDATE"
        elif depth == 0:
            if is_next and keyword not in ("LATERAL", "ONLY"):
                return f"{command} {word}"
            is_start = keyword == "INTO" or (keyword == "FROM" and before != "DISTINCT")
            is_next = is_next or (is_start and command in _COMMANDS)
        before = keyword
    return command
