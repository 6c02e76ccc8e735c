"""Patterns of whole texts."""

import pytest
from pydantic_core import SchemaError

from quart_fleet.patterns import Pattern


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        ("[A-Z]{3}", "ABC", True),
        ("[A-Z]{3}", "ABCD", False),
        ("[A-Z]{3}", " ABC", False),
        ("[A-Z]{3}", "ABC\n", False),
        ("a|b", "ab", False),
        ("(?m)^a$", "a\na", False),
        ("", "", True),
        (r"\p{L}+", "ĉiuĵaŭde", True),
        ("(?i)x", "X", True),
        (r"[a-z&&[^aeiou]]+", "xyz", True),
    ],
)
def test_a_text_matches_as_a_whole(pattern: str, text: str, is_match: bool) -> None:
    assert Pattern(pattern).matches(text) is is_match


@pytest.mark.parametrize("pattern", ["(", "a)(b", r"(a)\1", "(?=a)", "[b-a]", "a{9999999}"])
def test_what_is_no_pattern_is_refused_when_it_is_compiled(pattern: str) -> None:
    with pytest.raises(SchemaError):
        Pattern(pattern)


def test_a_text_that_backtracking_would_never_finish_is_matched() -> None:
    assert not Pattern("(a+)+b").matches("a" * 100_000)
