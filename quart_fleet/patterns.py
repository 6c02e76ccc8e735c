"""Patterns that whole texts match, in time that is linear in the text: by Rust's regex, in pydantic."""

from pydantic_core import SchemaValidator
from pydantic_core.core_schema import str_schema


class Pattern:
    """Compiled once, as a constant of a module; no text that a client sends makes it slow.

    Args:
        pattern: in the syntax of Rust's regex (https://docs.rs/regex/latest/regex/#syntax).

    Raises pydantic_core's SchemaError for what is none.
    """

    def __init__(self, pattern: str) -> None:
        # By itself too, for in a group `a)(b` would be well formed.
        for each in (pattern, rf"\A(?:{pattern})\z"):
            schema = str_schema(pattern=each, regex_engine="rust-regex", strict=True)
            self._validator = SchemaValidator(schema)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        return self._validator.isinstance_python(text)
