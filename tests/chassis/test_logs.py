"""What strangers send never looks like a line of the log, nor reaches a terminal."""

import logging
from pathlib import Path

import pytest

from quart_fleet.logs import EscapingFilter, EscapingFormatter, escape

FORGED = "/x\n2026-01-01 00:00:00 ERROR root: forged"
UNSAFE = [
    *("\n", "\r", "\x1b", "\x00", "\x07", "\x08", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"),
    *("\u202e", "\u202a", "\u2066", "\u2069", "\u200e", "\u200f", "\u061c", "\u200b", "\ufeff"),
    *("\u2060", "\xad", "\ud800", "\U000e0041"),
]


@pytest.mark.parametrize("character", UNSAFE, ids=ascii)
def test_what_a_terminal_would_obey_is_written_out(character: str) -> None:
    shown = escape(f"a{character}b")

    assert shown.startswith("a\\")
    assert shown.isprintable()


def test_what_can_be_printed_is_as_it_was() -> None:
    text = "GET /api/v1/users/username/Éva 山田 שלום مرحبا 🙂 \\n"

    assert escape(text) == text


def test_a_long_text_is_cut() -> None:
    shown = escape("x" * 20_000, 200)

    assert shown == "x" * 200 + "... (20000 characters)"


def formatted(record: logging.LogRecord) -> str:
    return EscapingFormatter(logging.Formatter("%(levelname)s %(message)s")).format(record)


def record_of(
    message: str, *arguments: object, error: Exception | None = None
) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("tests", logging.INFO, "", 0, message, arguments, info)


def test_a_message_is_one_line() -> None:
    assert formatted(record_of("no %s", FORGED)) == (
        "INFO no /x\\n2026-01-01 00:00:00 ERROR root: forged"
    )


def test_no_line_of_a_traceback_begins_as_one_of_the_log() -> None:
    lines = formatted(record_of("failed", error=ValueError(FORGED + "\x1b[2J"))).splitlines()

    assert lines == [
        "INFO failed", "  ValueError: /x", "  2026-01-01 00:00:00 ERROR root: forged\\x1b[2J"
    ]  # fmt: skip


def test_an_access_line_is_escaped_as_its_server_formats_it() -> None:
    """uvicorn's formatter takes five arguments apart; hypercorn's are a mapping."""
    of_uvicorn = record_of('%s - "%s %s HTTP/%s" %d', "1.2.3.4", "GET", FORGED, "1.1", 200)
    of_hypercorn = record_of("%(r)s %(s)s", {"r": f"GET {FORGED}", "s": "200"})

    for record in (of_uvicorn, of_hypercorn):
        EscapingFilter().filter(record)
        assert "\n" not in record.getMessage()
    assert isinstance(of_uvicorn.args, tuple)
    assert len(of_uvicorn.args) == 5


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_service_has_its_own_lines_and_its_server_s_escaped(server: str, tmp_path: Path) -> None:
    from quart import Quart  # noqa: PLC0415 - what `start` gives

    from quart_fleet.logs import escape_logs  # noqa: PLC0415

    log = tmp_path / "log"
    handler = logging.FileHandler(log)
    logger = logging.getLogger(f"{server}.access")
    logger.addHandler(handler)
    try:
        escape_logs(Quart(__name__).logger)
        logger.warning('"%s"', FORGED)
    finally:
        logger.removeHandler(handler)
        handler.close()

    assert log.read_text().count("\n") == 1
