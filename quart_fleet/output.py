"""What commands print, whatever encoding the terminal or the pipe has."""

import io
import sys


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
