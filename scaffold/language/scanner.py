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


def hint(word: str, words: Iterable[str]) -> str:
    """Return the nearest of some words as a message asks for it; empty where none is near."""
    nearest = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


class DescriptionError(MisuseError):
    """A mistake in a description: the problem, the text with a caret, and what is allowed there."""

    def __init__(
        self, problem: str, text: str, position: int, allowed: str, exit_code: int = 2
    ) -> None:
        # What no terminal shows as one character would move the caret.
        shown = "".join(one if one.isprintable() else "?" for one in text)
        super().__init__(f"{problem}:\n  {shown}\n  {' ' * position}^\n{allowed}")
        self.problem, self.text, self.position, self.allowed = problem, text, position, allowed
        self.exit_code = exit_code


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
        """Read `literal`; raises DescriptionError where anything else comes."""
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
        """Raise DescriptionError; `at` is where the mistake is, if not here."""
        position = self.position if at is None else at
        raise DescriptionError(problem, self.text, position, allowed)

    def refuse_word(self, word: str, kind: str, words: Iterable[str], at: int) -> NoReturn:
        """Raise DescriptionError for a word that is not among `words`, with the nearest that is."""
        allowed = list(words)
        found = repr(word) if word else repr(self.rest[:1]) if self.rest else "the end"
        remedy = f"Allowed here: {listed(allowed)}" if allowed else f"There is no {kind} here."
        self.refuse(f"{found} is no {kind}{hint(word, allowed)}", remedy, at)
