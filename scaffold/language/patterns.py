"""Patterns of texts, in the syntax of Rust's regex crate: it takes linear time, whatever the text.

pydantic-core brings that engine. It is imported where a description has a pattern, and only there.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from scaffold.language.scanner import Scanner

if TYPE_CHECKING:
    from quart_fleet.patterns import Pattern

_FORM = r"pattern(/[A-Z]{3}/): what the whole text matches, in Rust's regex syntax; \/ is a slash"
_WRITTEN = re.compile(r"(?:\\.|[^/\\])+", re.DOTALL)
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_ESCAPED_OR_SLASH = re.compile(r"(\\.)|/", re.DOTALL)


def read_pattern(scanner: Scanner) -> str:
    r"""Read `(/…/)`, where `\/` is a slash; raises DescriptionError."""
    scanner.expect("(/", _FORM)
    start = scanner.position
    written = scanner.until(_WRITTEN)
    if not written:
        scanner.refuse("The pattern is missing", _FORM)
    scanner.expect("/)", _FORM)
    pattern = _ESCAPED.sub(lambda found: found[0].replace(r"\/", "/"), written)
    try:
        _compile(pattern)
    except ValueError as error:
        scanner.refuse(f"This is no pattern ({error})", _FORM, start)
    return pattern


def write_pattern(pattern: str) -> str:
    """Return it as it stands between slashes."""
    return _ESCAPED_OR_SLASH.sub(lambda found: found[1] or r"\/", pattern)


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches."""
    return _compile(pattern).matches(text)


@cache
def _compile(pattern: str) -> "Pattern":
    """Return what tells whether a whole text matches; raises ValueError."""
    from pydantic_core import SchemaError  # noqa: PLC0415 - slow

    from quart_fleet.patterns import Pattern  # noqa: PLC0415

    try:
        return Pattern(pattern)
    except SchemaError as error:
        last = str(error).strip().splitlines()[-1]
        raise ValueError(re.sub(r"^\s*(SchemaError|error): ", "", last)) from None
