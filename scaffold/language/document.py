"""A text in TOML and the places in it: where each table and each key is, to show and to edit it."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from scaffold.errors import ScaffoldError
from scaffold.language.scanner import DescriptionError

Path = tuple[str, ...]

_PASSED = re.compile(r"(?:[ \t]*\r?\n|[ \t]*#[^\n]*(?:\n|\Z))*(?:[ \t]*\Z)?")
"""Blank lines and comments."""
_BLANKS = re.compile(r"(?:[ \t]*\r?\n)*(?:[ \t]*\Z)?")
_COMMENT = re.compile(r"[ \t]*#[^\n]*(?:\n|\Z)")
_HEAD = re.compile(r"[ \t]*\[\[?")
_KEY = re.compile(r"""[ \t]*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_TOKEN = re.compile(
    r'"""(?:\\.|(?!""")[^\\])*"{3,5}'
    r"|'''(?:(?!''').)*'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|\#[^\n]*|[\[{]|[\]}]|\r?\n|[ \t,=.]+|[^\s\"'#\[\]{},=.]+",
    re.DOTALL,
)
_PLACE = re.compile(r"at line (\d+), column (\d+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """The head of a table, or a key with its value; numbers are offsets in the text."""

    path: Path
    is_head: bool
    start: int
    """Of its first line."""
    key: int
    """Of the last key in its path."""
    value: int
    value_end: int
    end: int
    """Of its last line, with the line's end."""


class Document:
    """A text in TOML, read; raises DescriptionError for what is none."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        """Of the file, as messages have it."""
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except ValueError as error:  # TOML's own, and of numbers too long for Python
            place = _PLACE.search(str(error))
            offset = len(text)
            if place:
                before = text.split("\n")[: int(place[1]) - 1]
                offset = sum(len(line) + 1 for line in before) + int(place[2]) - 1
            self.refuse_at(
                min(offset, len(text)),
                str(error).partition(" (at ")[0],
                "TOML, where each key and each table is there once; a field and a part share no name.",
            )

    @cached_property
    def statements(self) -> list[Statement]:
        """All heads and keys in the order of the text."""
        found = list[Statement]()
        table: Path = ()
        position = self._pass(0)
        while position < len(self.text):
            statement = self._read(position, table)
            table = statement.path if statement.is_head else table
            position = self._pass(statement.end)
            found.append(statement)
        return found

    def below(self, path: Path) -> list[Statement]:
        """Return the statements of a table, with its head and those of its tables."""
        return [one for one in self.statements if one.path[: len(path)] == path]

    def refuse_at(self, offset: int, problem: str, allowed: str, exit_code: int = 2) -> NoReturn:
        """Raise DescriptionError with the line of the file."""
        start = self.text.rfind("\n", 0, offset) + 1
        line = self.text[start:].partition("\n")[0].rstrip("\r").replace("\t", " ")
        number = self.text.count("\n", 0, offset) + 1
        place, position = f"{self.name}, line {number}", offset - start
        raise DescriptionError(f"{place}: {problem}", line, position, allowed, exit_code)

    @contextmanager
    def placing(self, path: Path) -> Iterator[None]:
        """Show what is refused inside at its place in the file: in the table of this path."""
        try:
            yield
        except DescriptionError as error:
            place = self._find(path, error)
            self.refuse_at(place, error.problem, error.allowed, error.exit_code)
        except ScaffoldError as error:
            problem, allowed = re.split("[.:] ", str(error), maxsplit=1)
            allowed = allowed[:1].upper() + allowed[1:]
            self.refuse_at(self._place(path), problem, allowed, error.exit_code)

    def start_of(self, head: Statement) -> int:
        """Return where a table begins: with the comments directly above its head."""
        start = head.start
        while start:
            line = self.text.rfind("\n", 0, start - 1) + 1
            if not self.text[line:start].lstrip().startswith("#"):
                break
            start = line
        return start

    def end_of(self, statement: Statement) -> int:
        """Return where the next table would begin: after comments and blank lines that follow."""
        following = next((one for one in self.statements if one.start >= statement.end), None)
        limit = self.start_of(following) if following else len(self.text)
        position = statement.end
        while position < limit and (found := _COMMENT.match(self.text, position)):
            position = found.end()
        blank = _BLANKS.match(self.text, position, limit)
        return blank.end() if blank else position

    def find_block(self, path: Path) -> str | None:
        """Return a table as it is written, with its comments and, of a resource, its parts.

        None where it is not written as a table, or not in one piece.
        """
        own = [one for one in self.below(path) if len(path) > 1 or len(one.path) <= len(path) + 1]
        own = [one for one in own if not (one.is_head and len(path) == 1 and one.path != path)]
        if not own or not own[0].is_head:
            return None
        first = self.statements.index(own[0])
        if self.statements[first : first + len(own)] != own:
            return None
        return self.text[self.start_of(own[0]) : self.end_of(own[-1])].rstrip() + "\n"

    def insert(self, position: int, block: str) -> str:
        """Return the text with a table at the start of a line; a blank line is around it."""
        before, after = self.text[:position], self.text[position:]
        if after:
            return f"{before}{self._lines(block)}{self._newline}{after}"
        if not before:
            return self._lines(block)
        if before.endswith("\n"):
            return f"{before}{self._newline}{self._lines(block)}"
        return f"{before}{self._newline * 2}{self._lines(block).removesuffix(self._newline)}"

    def insert_line(self, last: Statement, line: str) -> str:
        """Return the text with a line after a statement, as far from the margin."""
        margin = "" if last.is_head else self.text[last.start : last.key]
        before, after = self.text[: last.end], self.text[last.end :]
        if before.endswith("\n"):
            return f"{before}{margin}{line}{self._newline}{after}"
        return f"{before}{self._newline}{margin}{line}"

    def replace(self, start: int, end: int, value: str) -> str:
        """Return the text with another value."""
        return f"{self.text[:start]}{value}{self.text[end:]}"

    def delete(self, statement: Statement) -> str:
        """Return the text without a statement's lines."""
        before, after = self.text[: statement.start], self.text[statement.end :]
        is_last = not after and not self.text.endswith("\n")
        return before.removesuffix(self._newline) if is_last else f"{before}{after}"

    def delete_all(self, path: Path) -> str:
        """Return the text without all that is below a path, and the comments that are with it."""
        text = self.text
        for number in range(len(self.statements) - 1, -1, -1):
            one = self.statements[number]
            if one.path[: len(path)] != path:
                continue
            if not one.is_head:
                head = next((each for each in self.statements[number::-1] if each.is_head), None)
                if head is None or head.path[: len(path)] != path:
                    text = f"{text[: one.start]}{text[one.end :]}"
                continue
            last = one
            for each in self.statements[number + 1 :]:
                if each.is_head:
                    break
                last = each
            start, end = self.start_of(one), self.end_of(last)
            before, after = text[:start], text[end:]
            if not after:
                # What was added at the end had a blank line before it.
                blank = self._newline * 2
                if text.endswith("\n"):
                    before = (
                        before.removesuffix(self._newline) if before.endswith(blank) else before
                    )
                else:
                    before = before.removesuffix(blank)
            text = f"{before}{after}"
        return text

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _lines(self, block: str) -> str:
        return block.replace("\n", self._newline)

    def _place(self, path: Path) -> int:
        """Return where a table or a key is, or what is in it, or what it is in."""
        for length in range(len(path), 0, -1):
            exact = [one for one in self.statements if one.path == path[:length]]
            for statement in (*exact, *self.below(path[:length])):
                return statement.key
        return 0

    def _find(self, path: Path, error: DescriptionError) -> int:
        """Return where the text of a mistake is: a key, a field's `NAME:SPEC`, or a value."""
        spelt = r"\s*,\s*".join(map(re.escape, error.text.split(", ")))
        word = re.compile(rf"(?<![\w-]){spelt}(?![\w-])") if error.text else None
        spelt_otherwise = None
        for one in self.below(path):
            key, value = one.path[-1], self.text[one.value : one.value_end]
            if len(one.path) > len(path) + 1 and "_actions" not in one.path:
                continue
            if error.text == key:
                return one.key
            if error.text.startswith(f"{key}:"):
                position = error.position - len(key) - 1
                place = value.find(error.text[len(key) + 1 :])
                if place >= 0:
                    return one.key if position < 0 else one.value + place + position
                spelt_otherwise = one.key if position < 0 else one.value
            elif (one.path[-2:-1] == ("_actions",) or key.startswith("_")) and word:
                found = word.search(value)
                if found:
                    return one.value + found.start() + error.position
        return spelt_otherwise or self._place(path)

    def _pass(self, position: int) -> int:
        """Return where the next statement's line begins."""
        passed = _PASSED.match(self.text, position)
        return passed.end() if passed else position

    def _read(self, start: int, table: Path) -> Statement:
        """Read the statement that begins with the line at `start`."""
        head = _HEAD.match(self.text, start)
        is_head = head is not None
        position = head.end() if head else start
        path = list[str]()
        while found := _KEY.match(self.text, position):
            raw, key = found[1], found.start(1)
            path.append(raw if raw[0] not in "\"'" else tomllib.loads(f"x = {raw}")["x"])
            position = found.end()
            if self.text[position] != ".":
                break
            position += 1
        if not is_head:
            position += 1
        depth, value = 0, 0
        value_end = position
        while position < len(self.text):
            token = _TOKEN.match(self.text, position)
            assert token is not None
            position = token.end()
            if token[0].endswith("\n") and token[0][0] in "\r\n":
                if depth == 0 or is_head:
                    break
            elif token[0].strip() and token[0][0] != "#":
                value = value or token.start()
                value_end = position
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        return Statement(
            (*path,) if is_head else (*table, *path),
            is_head,
            start,
            key,
            value or value_end,
            value_end,
            position,
        )
