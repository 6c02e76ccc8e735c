"""English nouns: one, many, and the article before them."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
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


def singular(phrase: str) -> str:
    """Return one of what the phrase names; `user` and `news` stay as they are."""
    first, noun, rest = _around_the_noun(phrase)
    return f"{first}{_singular_noun(noun)}{rest}"


def plural(phrase: str) -> str:
    """Return many of what the phrase names; `users` and `news` stay as they are."""
    first, noun, rest = _around_the_noun(phrase)
    return f"{first}{_plural_noun(noun)}{rest}"


def article(phrase: str) -> str:
    """Return `a` or `an`, by sound."""
    return str(_engine().a(phrase)).partition(" ")[0]


def _around_the_noun(phrase: str) -> tuple[str, str, str]:
    """Split around the noun that counts: `order item`, but `unit of work`."""
    head, of, tail = phrase.partition(" of ")
    first, space, noun = head.rpartition(" ")
    return f"{first}{space}", noun, f"{of}{tail}"


def _singular_noun(noun: str) -> str:
    if noun in _UNCOUNTABLE or not (noun in _IRREGULAR_PLURALS or _has_a_plural_s(noun)):
        return noun
    one = str(_engine().singular_noun(noun))
    sure = len(one) > 2 and not noun.endswith("ics") and _plural_noun(one) == noun
    return one if sure else noun


def _plural_noun(noun: str) -> str:
    if noun in _UNCOUNTABLE or noun in _IRREGULAR_PLURALS or _has_a_plural_s(noun):
        return noun
    return str(_engine().plural_noun(noun))


def _has_a_plural_s(noun: str) -> bool:
    """Tell `orders` from `bus`: inflect knows `buses`, and of `orders` only makes `orderss`."""
    return noun.endswith("s") and _engine().plural_noun(noun) == noun + "s"


@cache
def _engine() -> Engine:
    with _unchecked_annotations():
        import inflect  # noqa: PLC0415 - slow; only a command that names things pays for it
    return inflect.engine()


def _unchecked_annotations() -> AbstractContextManager[object]:
    """Keep typeguard from instrumenting every function of inflect: it takes over a second."""
    if "inflect" in sys.modules or find_spec("typeguard") is None:
        return nullcontext()
    from unittest.mock import patch  # noqa: PLC0415 - typeguard imports it in any case

    return patch("typeguard.typechecked", lambda target: target)
