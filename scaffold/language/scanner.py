"""Reads the text of a description from left to right; a mistake is shown where it is."""

import difflib
import re
from collections.abc import Iterable
from typing import NoReturn

from scaffold.errors import MisuseError

_WORD = re.compile(r"[A-Za-z0-9_-]*")


def listed(words: Iterable[str]) -> str:
    """Return words as a message lists them."""
    return ", ".join(words)


class Scanner:
    """A text and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def rest(self) -> str:
        """What has not been read yet."""
        return self.text[self.position :]

    def take(self, literal: str) -> bool:
        """Read `literal` if it comes next."""
        found = self.text.startswith(literal, self.position)
        self.position += len(literal) if found else 0
        return found

    def expect(self, literal: str, purpose: str) -> None:
        """Read `literal`; raises MisuseError where anything else comes."""
        if not self.take(literal):
            found = repr(self.rest[:1]) if self.rest else "the end"
            self.refuse(f"{literal!r} is missing before {found}", purpose)

    def word(self) -> str:
        """Read letters, digits, underscores and dashes: none, where anything else comes."""
        return self.until(_WORD)

    def until(self, pattern: re.Pattern[str]) -> str:
        """Read what a pattern matches here."""
        found = pattern.match(self.text, self.position)
        text = found[0] if found else ""
        self.position += len(text)
        return text

    def skip_blanks(self) -> None:
        """Read spaces."""
        while self.take(" "):
            pass

    def refuse(self, problem: str, allowed: str, at: int | None = None) -> NoReturn:
        """Raise MisuseError: the problem, the text with a caret, and what is allowed there."""
        position = self.position if at is None else at
        # What no terminal shows as one character would move the caret.
        shown = "".join(one if one.isprintable() else "?" for one in self.text)
        raise MisuseError(f"{problem}:\n  {shown}\n  {' ' * position}^\n{allowed}")

    def refuse_word(self, word: str, kind: str, words: Iterable[str], at: int) -> NoReturn:
        """Raise MisuseError for a word that is not among `words`, with the nearest that is."""
        allowed = list(words)
        nearest = difflib.get_close_matches(word, allowed, n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        found = repr(word) if word else repr(self.rest[:1]) if self.rest else "the end"
        self.refuse(f"{found} is no {kind}{hint}", f"Allowed here: {listed(allowed)}", at)
