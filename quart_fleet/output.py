"""What commands print, whatever encoding the terminal or the pipe has."""

import io
import os
import sys
from pathlib import Path


def open_closed_files() -> None:
    """Have the null device where a standard file is closed, as by `<&-`: no other file gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            file = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - until the end
            os.set_inheritable(file.fileno(), True)
            setattr(sys, name, file)


def escape_unprintable_text() -> None:
    r"""Have stdout write what its encoding lacks as `\u2713`, as stderr does by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def mark(symbol: str, plain: str) -> str:
    """Return a symbol, or the plain word where stdout cannot print it."""
    try:
        symbol.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return plain
    return symbol
