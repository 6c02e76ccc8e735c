"""English nouns: one, many, and the article before them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inflect import engine as Engine  # noqa: N812 - the class has a lower-case name

_UNCOUNTABLE = frozenset(
    {"cash", "content", "data", "feedback", "firmware", "hardware", "mail", "media", "metadata"}
    | {"money", "music", "progress", "research", "software", "staff", "storage", "traffic"}
    | {"weather"}
)
"""Nouns of service names that English uses for any amount, and inflect would give an s."""

_IRREGULAR_PLURALS = frozenset(
    {"children", "feet", "geese", "men", "mice", "people", "teeth", "women"}
)
"""Plurals without an s; others (`data`, `agenda`) are better left as they were typed."""


def find_singular(noun: str) -> str | None:
    """Return what a plural noun is many of, or None where the noun is no plural."""
    if noun in _UNCOUNTABLE or not (noun in _IRREGULAR_PLURALS or _has_a_plural_s(noun)):
        return None
    singular = str(_engine().singular_noun(noun))
    sure = len(singular) > 2 and not noun.endswith("ics") and plural(singular) == noun
    return singular if sure else None


def plural(phrase: str) -> str:
    """Return many of the phrase's last noun; `news` and `data` are as many as they are."""
    *first, noun = phrase.split(" ")
    if noun in _UNCOUNTABLE or _has_a_plural_s(noun):
        return phrase
    return " ".join([*first, _engine().plural_noun(noun)])


def article(phrase: str) -> str:
    """Return `a` or `an`, by sound."""
    return str(_engine().a(phrase)).partition(" ")[0]


def _has_a_plural_s(noun: str) -> bool:
    """Tell `orders` from `bus`: inflect knows `buses`, and of `orders` only makes `orderss`."""
    return noun.endswith("s") and _engine().plural_noun(noun) == noun + "s"


@cache
def _engine() -> Engine:
    with _unchecked_annotations():
        import inflect  # noqa: PLC0415 - slow; only a command that names things pays for it
    return inflect.engine()


@contextmanager
def _unchecked_annotations() -> Iterator[None]:
    """Keep typeguard from instrumenting every function of inflect: it takes over a second."""
    try:
        import typeguard  # noqa: PLC0415 - see above
    except ImportError:  # older releases of inflect do without it
        yield
        return
    if "inflect" in sys.modules:
        yield
        return
    original = typeguard.typechecked
    typeguard.typechecked = lambda target: target  # type: ignore[assignment]  # one use of many
    try:
        yield
    finally:
        typeguard.typechecked = original
