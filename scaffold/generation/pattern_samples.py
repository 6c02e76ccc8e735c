"""Texts made from a pattern in the syntax of Rust's regex: guesses, which the engine itself has to judge."""

import re
import string
from collections.abc import Callable, Iterator
from random import Random

Make = Callable[[Random], str]
"""Makes one text."""

_TRIES = 400
_LETTERS = string.ascii_letters + string.digits
_POOL = _LETTERS + string.punctuation + " é"
_CLASSES = {
    "d": string.digits,
    "w": f"{_LETTERS}_",
    "s": " ",
    "D": string.ascii_letters,
    "W": "-. ",
    "S": _LETTERS,
}
_PROPERTIES = {
    **dict.fromkeys(("Lu", "Uppercase", "Uppercase_Letter", "upper"), string.ascii_uppercase),
    **dict.fromkeys(("Ll", "Lowercase", "Lowercase_Letter", "lower"), string.ascii_lowercase),
    **dict.fromkeys(("L", "Letter", "Alphabetic", "Latin", "alpha"), string.ascii_letters),
    **dict.fromkeys(("N", "Nd", "Number", "digit"), string.digits),
    **dict.fromkeys(("P", "Punctuation", "punct"), ".,;:!?-"),
    **dict.fromkeys(("alnum", "word"), _LETTERS),
    "xdigit": string.hexdigits,
    "space": " ",
}
"""Of Unicode, and of POSIX in `[[:alpha:]]`."""
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_EMPTY = "bBAz<>"
"""What matches between two characters."""
_CODE = re.compile(r"x\{([0-9A-Fa-f]+)\}|u\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")
_PROPERTY = re.compile(r"p(?:\{\^?(?:\w+=)?(\w+)\}|(\w))")
_POSIX = re.compile(r"\[:(\w+):\]")
_GROUP = re.compile(r"\?(?:P?<\w+>|[imsuU-]*:|[imsuU-]+(?=\)))")
_COUNT = re.compile(r"[*+?]|\{(\d+)(,?)(\d*)\}")


def texts_of(pattern: str, lengths: tuple[int, ...]) -> Iterator[str]:
    """Yield texts that may match; none where the pattern has more than is understood here.

    Args:
        pattern: one that the engine has compiled.
        lengths: repetitions that are tried where any number is allowed.
    """
    try:
        make = _Reader(pattern, lengths).alternatives()
    except (LookupError, ValueError):
        return
    for seed in range(_TRIES):
        yield make(Random(seed))  # noqa: S311 - the same texts each time


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str, lengths: tuple[int, ...]) -> None:
        self._text = pattern
        self._at = 0
        self._lengths = lengths

    def alternatives(self) -> Make:
        """Read up to the end of the group."""
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return lambda random: "".join(make(random) for make in random.choice(branches))

    def sequence(self) -> list[Make]:
        """Read up to the next alternative."""
        parts = list[Make]()
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self.repeated(self.atom()))
        return parts

    def repeated(self, make: Make) -> Make:
        """Read how often what was read before is there."""
        while found := _COUNT.match(self._text, self._at):
            self._at = found.end()
            self.take("?")
            least = int(found[1] or found[0] == "+")
            if found[0] in "*+" or (found[2] and not found[3]):
                counts = [least + more for more in (0, 1, 2, *self._lengths)]
            else:
                most = int(found[3] or found[1] or 1)
                counts = [*range(least, min(most, least + 3) + 1), most]
            make = _repeat(make, counts)
        return make

    def atom(self) -> Make:
        """Read a character, a class or a group."""
        letter = self._text[self._at]
        self._at += 1
        match letter:
            case "(":
                if found := _GROUP.match(self._text, self._at):
                    self._at = found.end()
                elif self.take("?"):
                    raise ValueError("another kind of group")
                inner = self.alternatives()
                self._at += 1
                return inner
            case "[":
                return _one_of(self.members())
            case ".":
                return _one_of(_LETTERS)
            case "^" | "$":
                return _one_of([""])
            case "\\":
                return _one_of(self.escape() or [""])
        return _one_of(letter)

    def escape(self) -> str:
        """Read what follows a backslash, and return the characters of which it is one."""
        if found := _CODE.match(self._text, self._at) or _PROPERTY.match(self._text, self._at):
            self._at = found.end()
            [name] = filter(None, found.groups())
            return _PROPERTIES[name] if found.re is _PROPERTY else chr(int(name, 16))
        letter = self._text[self._at]
        self._at += 1
        if letter in _EMPTY:
            return ""
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.isalnum() and letter not in _CONTROLS:
            raise ValueError("another escape")
        return _CONTROLS.get(letter, letter)

    def members(self) -> str:
        """Read a class after its bracket, and return its characters that are tried."""
        is_negated = self.take("^")
        found = ""
        while not (found and self.take("]")):
            if posix := _POSIX.match(self._text, self._at):
                self._at = posix.end()
                found += _PROPERTIES[posix[1]]
                continue
            first = self.member()
            is_range = self._text[self._at] == "-" and self._text[self._at + 1] != "]"
            if len(first) == 1 and is_range:
                self._at += 1
                last = self.member()
                found += "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 99) + 1)))
            else:
                found += first
        return "".join(each for each in _POOL if each not in found) if is_negated else found

    def member(self) -> str:
        """Read one character of a class, or an escape of several."""
        letter = self._text[self._at]
        self._at += 1
        if letter == "[" or self._text.startswith(("&&", "--", "~~"), self._at - 1):
            raise ValueError("a set of sets")
        return self.escape() if letter == "\\" else letter

    def take(self, letter: str) -> bool:
        """Read a character if it comes next."""
        is_next = self._text.startswith(letter, self._at)
        self._at += len(letter) * is_next
        return is_next


def _one_of(letters: str | list[str]) -> Make:
    return lambda random: random.choice(letters)


def _repeat(make: Make, counts: list[int]) -> Make:
    return lambda random: "".join(make(random) for _ in range(random.choice(counts)))
