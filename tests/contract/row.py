"""A row of the contract as data: a request, and the bytes that answer it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from .people import EVERYBODY
from .wire import Answer, exchange, spell

PREFIX = "/api/v1"
JSON = {"Content-Type": "application/json"}
NOW = b"<now>"
"""Stands in an expected body for the present, as an HTTP date."""

_HTTP_DATE = rb"([A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)"


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence of the contract.

    Args:
        law: the sentence.
        path: below /api/v1.
        answer: the expected body; `<now>` stands for the present.
        expected: headers of the answer; None stands for one that must be absent.
        allow: the methods of the Allow header, in alphabetical order.
    """

    law: str
    method: str
    path: str
    status: int
    answer: bytes
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str | None] = field(default_factory=dict)
    allow: str | None = None

    def __str__(self) -> str:
        return self.law.replace(" ", "-")


def refused(message: str) -> bytes:
    """The body of a refusal."""
    return b'{"message":"%s","success":false}\n' % message.encode()


def succeeded(data: bytes, message: str = "Success") -> bytes:
    """The body of a success."""
    return b'{"data":%s,"message":"%s","success":true}\n' % (data, message.encode())


def invalid(**errors: str) -> bytes:
    """The body that says which values are refused; the fields in alphabetical order."""
    reasons = ",".join(f'"{name}":"{reason}"' for name, reason in errors.items())
    return b'{"errors":{%s},"message":"Validation failed","success":false}\n' % reasons.encode()


async def find_deviation(row: Row, port: int) -> str | None:
    """Say how the service on this port departs from the row, None where it does not.

    The people must have moved in. What is refused must have changed none of them.
    """
    asked = datetime.now(UTC)
    request = spell(row.method, PREFIX + row.path, row.headers, row.body)
    answer = await exchange(port, request)
    deviation = _compare(row, answer, asked)
    if deviation is None and row.status >= 400 and not await nothing_written(port):
        return "the refused request changed what is stored"
    return deviation


async def nothing_written(port: int) -> bool:
    """Tell whether everybody is as they moved in."""
    return (await exchange(port, spell("GET", f"{PREFIX}/users"))).body == EVERYBODY


def _compare(row: Row, answer: Answer, asked: datetime) -> str | None:
    if answer.status != row.status:
        return f"status {answer.status} instead of {row.status}: {answer.body!r}"
    if not _matches(row.answer, answer.body, asked):
        return f"{answer.body!r}\n  instead of\n{row.answer!r}"
    for name, value in _expected_headers(row).items():
        if answer.find(name) != value:
            return f"{name}: {answer.find(name)!r} instead of {value!r}"
    allow = answer.find("Allow")
    methods = allow and ", ".join(sorted(allow.split(", ")))
    return None if methods == row.allow else f"Allow: {methods!r} instead of {row.allow!r}"


def _expected_headers(row: Row) -> dict[str, str | None]:
    always = {
        "Content-Type": "application/json",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": None,
    }
    return always | dict(row.expected)


def _matches(expected: bytes, body: bytes, asked: datetime) -> bool:
    pattern = re.escape(expected).replace(re.escape(NOW), _HTTP_DATE)
    match = re.fullmatch(pattern, body)
    return match is not None and all(_is_present(date, asked) for date in match.groups())


def _is_present(date: bytes, asked: datetime) -> bool:
    # A whole second is cut off below, and PostgreSQL's clock may be a neighbour's.
    moment = parsedate_to_datetime(date.decode())
    return asked - timedelta(seconds=2) <= moment <= datetime.now(UTC) + timedelta(seconds=1)
