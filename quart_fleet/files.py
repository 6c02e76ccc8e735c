"""The one reading of a workspace's text files: UTF-8, with or without a byte order mark.

What cannot be read is told by file and line. Imports only the standard library.
"""

import ast
import codecs
import re
import tomllib
import warnings
from pathlib import Path
from typing import Any

from quart_fleet.errors import ConfigurationError

_CONFLICT_MARK = re.compile(r"^(?:<{7}|\|{7}|>{7})(?: |$)", re.MULTILINE)
"""As git writes them; `=======` alone also underlines a heading."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class UnreadableFileError(ConfigurationError):
    """A file of the workspace that cannot be read; `line` counts from 1."""

    def __init__(self, problem: str, path: Path, line: int, remedy: str) -> None:
        super().__init__(f"{problem} in {shown(path)}: line {line}. {remedy}")
        self.path = path
        self.line = line


def shown(path: Path) -> str:
    """Return a path as messages show it: from the current folder, where it is below it."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except (OSError, ValueError):
        return str(path)


def read_text(path: Path) -> str:
    r"""Read a file, its lines ended by `\n`; raises UnreadableFileError and OSError."""
    return decode(path, path.read_bytes())


def decode(path: Path, content: bytes) -> str:
    r"""Return the text of a file's content, its lines ended by `\n`; raises UnreadableFileError."""
    text = _decode(path, content)
    _refuse_conflict(path, text)
    return text


def parse_python(path: Path) -> ast.Module:
    """Parse a module; raises UnreadableFileError and OSError."""
    content = path.read_bytes()
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes: Python tells them at import
            return ast.parse(content, path.name)
    except (SyntaxError, ValueError) as error:
        _refuse_conflict(path, _decode(path, content))  # inside of a string, marks are text
        line = getattr(error, "lineno", None) or 1
        reason = f"Python says: {getattr(error, 'msg', error)}."
        raise UnreadableFileError("Syntax error", path, line, reason) from None


def parse_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML document; raises UnreadableFileError and OSError."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        number = re.search(r"line (\d+)", place)
        line = int(number[1]) if number else text.rstrip().count("\n") + 1  # "end of document"
        raise UnreadableFileError("Syntax error", path, line, f"{reason}.") from None


def _decode(path: Path, content: bytes) -> str:
    remedy = "Save it as UTF-8."
    if content.startswith(_UTF_16):
        raise UnreadableFileError("UTF-16 instead of UTF-8", path, 1, remedy)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"The byte 0x{content[error.start]:02x}, which is not UTF-8,"
        raise UnreadableFileError(problem, path, line, remedy) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _refuse_conflict(path: Path, text: str) -> None:
    """Name the first mark of an unfinished merge; raises UnreadableFileError."""
    mark = _CONFLICT_MARK.search(text)
    if mark:
        line = text.count("\n", 0, mark.start()) + 1
        remedy = "Finish the merge: keep what is right of both sides, and delete the marks."
        raise UnreadableFileError("Conflict marks", path, line, remedy)
