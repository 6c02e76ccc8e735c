"""English nouns: one, many, and the article before them; and the participles of states."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inflect import engine as Engine  # noqa: N812 - the class has a lower-case name

_UNCOUNTABLE = (
    *("cash", "content", "data", "feedback", "firmware", "hardware", "mail", "media", "metadata"),
    *("money", "music", "progress", "research", "software", "staff", "storage", "traffic"),
    "weather",
)
"""Nouns of service names that English uses for any amount, and inflect would give an s."""
_PLURALS_WITHOUT_S = ("children", "feet", "geese", "men", "mice", "people", "teeth", "women")
"""Others, such as `data` and `agenda`, are better left as they were typed."""


_PARTICIPLES = frozenset(
    {"begun", "bought", "broken", "built", "caught", "chosen", "drawn", "driven", "forgotten"}
    | {
        "found",
        "frozen",
        "given",
        "grown",
        "held",
        "hidden",
        "kept",
        "laid",
        "lent",
        "lost",
        "made",
    }
    | {"met", "paid", "rebuilt", "reset", "seen", "sent", "sold", "spent", "split", "stolen"}
    | {"taken", "taught", "thrown", "told", "torn", "undone", "withdrawn", "won", "worn", "written"}
)
"""Irregular ones, which do not end in `ed`, that are states of what people keep."""
_NO_PARTICIPLES = (
    "bed",
    "embed",
    "exceed",
    "feed",
    "indeed",
    "need",
    "proceed",
    "red",
    "seed",
    "succeed",
)
_PARTICLES = ("away", "back", "down", "in", "off", "on", "out", "over", "up")


def singular(phrase: str) -> str:
    """Return one of what the phrase names; `user` and `news` stay as they are."""
    if not _is_plural(phrase):
        return phrase
    one = str(_engine().singular_noun(phrase))
    # Of `gps` inflect makes `gp`, and of `s` nothing.
    long_enough = len(one.rpartition(" ")[2]) > 2
    sure = long_enough and not phrase.endswith("ics") and _engine().plural_noun(one) == phrase
    return one if sure else phrase


def plural(phrase: str) -> str:
    """Return many of what the phrase names; `users` and `news` stay as they are."""
    # Of a word that ends in a digit, inflect makes one that ends in a capital.
    return phrase if _is_plural(phrase) else str(_engine().plural_noun(phrase)).lower()


def article(phrase: str) -> str:
    """Return `a` or `an`, by sound."""
    return str(_engine().a(phrase)).partition(" ")[0]


def is_participle(phrase: str) -> bool:
    """Whether the phrase says what was done to a thing: `paid`, `checked in`, `partly paid`.

    Of others, as `open`, `live` and `in transit`, it says only what the thing is.
    """
    words = phrase.replace("-", " ").split()
    while len(words) > 1 and words[-1] in _PARTICLES:
        words.pop()
    *before, last = words
    is_known = last in _PARTICIPLES or (last.endswith("ed") and last not in _NO_PARTICIPLES)
    return is_known and all(word.endswith("ly") for word in before)


def _is_plural(phrase: str) -> bool:
    """Tell `orders` from `bus`: inflect knows `buses`, and of `orders` only makes `orderss`."""
    head, _, _ = phrase.partition(" of ")  # the noun that counts: a unit of work
    if head.endswith("s"):
        return bool(_engine().plural_noun(head) == f"{head}s")
    return head.split()[-1] in _PLURALS_WITHOUT_S


@cache
def _engine() -> Engine:
    from unittest.mock import patch  # noqa: PLC0415 - slow, and typeguard imports it in any case

    # Typeguard would instrument every function of inflect, which takes over a second.
    instrumented = "inflect" in sys.modules or find_spec("typeguard") is None
    with nullcontext() if instrumented else patch("typeguard.typechecked", lambda target: target):
        import inflect  # noqa: PLC0415 - slow; only a command that names things pays for it
    engine = inflect.engine()
    for noun in _UNCOUNTABLE:
        engine.defnoun(f"(|.* ){noun}", f"$1{noun}")
    return engine
