"""A row of the contract as data, and how an answer is compared with it, byte by byte."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Protocol, Self

JSON = {"Content-Type": "application/json"}

CLOCK_TOLERANCE = timedelta(seconds=5)
"""How far a date that was just set may be from this machine's clock."""

_ALWAYS: Mapping[str, str | None] = {
    **JSON,
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": None,
}
_DATE_FORM = "%a, %d %b %Y %H:%M:%S GMT"


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence of the contract: a request, and the answer to it.

    Args:
        title: the sentence.
        path: below the prefix; `{ada}` stands for the id of that record, `{unused}` for an id
            that no record has.
        document: the expected JSON; None stands for no body. Values may be `Chosen`, `Stored` or
            `Id`.
        body: what is sent; in its JSON `"{ada}"` stands for the id of that record, as in `path`.
        expected: headers of the answer, besides those of every answer; None stands for one that
            must be absent.
        allow: the methods of the Allow header, in alphabetical order.
        keeps: the name under which later rows find the record in the answer's data.
        delay: seconds to wait before the request.
        within: seconds in which the answer comes; None where it may take its time.
    """

    title: str
    method: str
    path: str
    status: int
    document: object = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str | None] = field(default_factory=dict)
    allow: str | None = None
    keeps: str | None = None
    delay: float = 0.0
    within: float | None = None

    def __str__(self) -> str:
        return self.title.replace(" ", "-")

    def keep_as(self, name: str) -> Self:
        """Return the row that keeps the record of its answer under this name."""
        return replace(self, keeps=name)

    @property
    def is_refused(self) -> bool:
        """Whether the request is answered with an error, and must change nothing."""
        return self.status >= 400

    @property
    def is_write(self) -> bool:
        """Whether the request changes what is stored."""
        return self.method in {"POST", "PUT", "PATCH", "DELETE"} and not self.is_refused


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value that the server chooses; `accepts` says whether it may be this one."""

    description: str
    accepts: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the service holds it, but for `changes`."""

    name: str
    changes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Id:
    """The id of a record, which may be another service's; `unused` is that of none."""

    name: str


class Answer(Protocol):
    """What came back for a row's request."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def body(self) -> bytes:
        """All of the body; empty where there is none."""

    def find(self, name: str) -> str | None:
        """Return a header's value, None where it is absent."""


@dataclass(slots=True)
class Records:
    """The records that services hold, by the names that rows have for them.

    Args:
        next_id: the id that the next record gets, None where it is not known.
    """

    by_name: dict[str, Mapping[str, object]] = field(default_factory=dict)
    next_id: int | None = None

    def path_of(self, row: Row) -> str:
        """Return the row's path with the ids of the records it names."""
        path = row.path
        for name, record_id in self._ids().items():
            path = path.replace(f"{{{name}}}", str(record_id))
        return path

    def body_of(self, row: Row) -> bytes | None:
        """Return the row's body with the ids of the records it names."""
        body = row.body
        for name, record_id in self._ids().items():
            body = body and body.replace(f'"{{{name}}}"'.encode(), str(record_id).encode())
        return body

    def _ids(self) -> dict[str, object]:
        ids = {name: record.get("id") for name, record in self.by_name.items()}
        ids["unused"] = max((each for each in ids.values() if isinstance(each, int)), default=0) + 1
        return ids

    def find_faults(self, row: Row, answer: Answer) -> list[str]:
        """Return how the answer departs from the row; keep the record that the row names."""
        try:
            came = json.loads(answer.body)
        except (ValueError, RecursionError):
            came = None
        document = self.fill(row.document, came)
        if row.keeps is not None:
            data = document.get("data") if isinstance(document, dict) else None
            self.by_name[row.keeps] = data if isinstance(data, dict) else {}
        faults = []
        if answer.status != row.status:
            faults.append(f"expected status {row.status}, got {answer.status}")
        for name, value in {**_ALWAYS, **row.expected, "Allow": row.allow}.items():
            header = answer.find(name)
            if name == "Allow" and header:
                header = ", ".join(sorted(method.strip() for method in header.split(",")))
            if header != value:
                faults.append(f"expected {name}: {value or 'none'}, got {header or 'none'}")
        body = b"" if row.document is None else to_bytes(document)
        if answer.body != body:
            faults.append(f"expected {_printable(body)}, got {_printable(answer.body)}")
        return faults

    def fill(self, expected: object, came: object) -> object:
        """Return `expected` with what the server chose, or with what it should have chosen."""
        match expected:
            case Stored(name, changes):
                stored = self.by_name.get(name, {})
                later = {
                    key: _date_after(stored.get(key))
                    for key, value in changes.items()
                    if value is LATER
                }
                return self.fill({**stored, **changes, **later}, came)
            case Id(name):
                expected = self._ids().get(name)
            case Chosen() if expected is NEW_ID and self.next_id is not None:
                return self.next_id
            case Chosen(description, accepts):
                return came if accepts(came) else f"<{description}>"
            case dict():
                values = came if isinstance(came, dict) else {}
                return {
                    name: self.fill(value, values.get(name)) for name, value in expected.items()
                }
            case list():
                items = came if isinstance(came, list) else []
                missing = [None] * (len(expected) - len(items))
                return [
                    self.fill(*pair) for pair in zip(expected, [*items, *missing], strict=False)
                ]
        return expected


def success(data: object = None, message: str = "Success") -> dict[str, object]:
    """The document of a request that did what was asked."""
    return {"data": data, "message": message, "success": True}


def error(message: str) -> dict[str, object]:
    """The document of a refusal."""
    return {"message": message, "success": False}


def invalid(**errors: str) -> dict[str, object]:
    """The document that names the values that are refused."""
    return {**error("Validation failed"), "errors": errors}


def to_bytes(document: object) -> bytes:
    """Write JSON as the contract has it: sorted, compact, ASCII, a newline at the end."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _printable(body: bytes) -> str:
    return ascii(body.decode("utf-8", errors="backslashreplace")) if body else "no body"


def _is_now(value: object) -> bool:
    date = _find_date(value)
    return date is not None and abs(datetime.now(UTC) - date) <= CLOCK_TOLERANCE


def _date_after(earlier: object) -> Chosen:
    start = _find_date(earlier)

    def is_later(value: object) -> bool:
        date = _find_date(value)
        return date is not None and start is not None and date > start and _is_now(value)

    return Chosen(f"a date of now, later than {earlier}", is_later)


def _find_date(value: object) -> datetime | None:
    """Read an HTTP date in exactly the contract's form."""
    try:
        date = datetime.strptime(str(value), _DATE_FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return date if format_datetime(date, usegmt=True) == value else None


NEW_ID = Chosen("a positive integer", lambda value: type(value) is int and value > 0)
SECONDS = Chosen("seconds", lambda value: type(value) is float and 0 < value < 60)
NOW = Chosen("an HTTP date in UTC of now", _is_now)
LATER = Chosen("a date of now, later than the one stored", _is_now)
"""Among the changes of a stored record: later than the date that it has there."""
