"""What the contract answers, to the byte; what only the server knows is checked, then filled in."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

Headers = Mapping[str, str]

CLOSE = timedelta(seconds=5)
"""How far a date that was just set may be from this machine's clock."""

JSON_TYPE: Headers = {"Content-Type": "application/json"}

_ANY_ORIGIN: Headers = {"Access-Control-Allow-Origin": "*"}
_NONE: Mapping[str, str] = {}
_DATE = "%a, %d %b %Y %H:%M:%S GMT"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the server chooses; `accepts` says whether it may be this one."""

    description: str
    accepts: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the headers that matter, and a JSON document (None: no body at all)."""

    status: int
    document: object = None
    headers: Headers = field(default_factory=dict)
    """A name's exact value; of `Allow`, whose order is free, the sorted names."""


def success(
    data: object = None,
    message: str = "Success",
    status: int = 200,
    *,
    headers: Headers = _NONE,
) -> Answer:
    """Expect the envelope of an answer that did what was asked."""
    document = {"data": data, "message": message, "success": True}
    return Answer(status, document, {**_ANY_ORIGIN, **JSON_TYPE, **headers})


def error(
    status: int,
    message: str,
    *,
    errors: Mapping[str, str] = _NONE,
    headers: Headers = _NONE,
) -> Answer:
    """Expect the envelope of a refusal."""
    details = {"errors": errors} if errors else {}
    document = {"message": message, "success": False, **details}
    return Answer(status, document, {**_ANY_ORIGIN, **JSON_TYPE, **headers})


def empty(status: int, headers: Headers) -> Answer:
    """Expect no body."""
    return Answer(status, None, {**_ANY_ORIGIN, **headers})


def filled(expected: object, came: object) -> object:
    """Return `expected` with the unknown values that came, or with what they should have been."""
    if isinstance(expected, Unknown):
        return came if expected.accepts(came) else f"<{expected.description}>"
    if isinstance(expected, Mapping):
        values = came if isinstance(came, Mapping) else {}
        return {name: filled(value, values.get(name)) for name, value in expected.items()}
    if isinstance(expected, list):
        items = came if isinstance(came, list) and len(came) == len(expected) else expected
        return [filled(*pair) for pair in zip(expected, items, strict=True)]
    return expected


def to_bytes(document: object) -> bytes:
    """Write JSON as the contract has it: sorted, compact, ASCII, a newline at the end."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def date_after(earlier: object) -> Unknown:
    """Expect a date of now that is later than another."""
    start = _find_date(earlier)

    def is_later(value: object) -> bool:
        date = _find_date(value)
        return start is not None and date is not None and _is_close(date) and date > start

    return Unknown(f"a date of now, later than {earlier}", is_later)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_now(value: object) -> bool:
    date = _find_date(value)
    return date is not None and _is_close(date)


def _is_close(date: datetime) -> bool:
    return abs(datetime.now(UTC) - date) <= CLOSE


def _find_date(value: object) -> datetime | None:
    """Read an HTTP date in exactly the contract's form."""
    try:
        date = datetime.strptime(str(value), _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return date if format_datetime(date, usegmt=True) == value else None


NEW_ID = Unknown("a positive integer", _is_id)
NOW = Unknown("an HTTP date in UTC of now", _is_now)
