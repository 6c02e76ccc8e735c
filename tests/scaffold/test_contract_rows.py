"""How an answer is compared with a row of the contract, where the values are the server's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from scaffold.api.row import (
    JSON,
    LATER,
    NEW_ID,
    NOW,
    Id,
    Records,
    Row,
    Stored,
    success,
    to_bytes,
)
from scaffold.api.table import post


def _now(**shift: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**shift), usegmt=True)


@pytest.mark.parametrize("shift", [0, 3, -3])
def test_a_date_that_was_just_set_is_taken_as_it_came(shift: float) -> None:
    """A few seconds either way."""
    came = _now(seconds=shift)

    assert Records().fill({"at": NOW}, {"at": came}) == {"at": came}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda date: _now(minutes=-1),
        lambda date: _now(minutes=1),
        lambda date: date.replace("GMT", "UTC"),
        lambda date: date.replace("GMT", "+0000"),
        lambda date: date.replace(",", ""),
        lambda date: date.lower(),
        lambda date: f"{date} ",
        lambda date: datetime.now(UTC).isoformat(),
        lambda date: datetime.now(UTC).timestamp(),
        lambda date: None,
    ],
    ids=["old", "young", "zone", "offset", "comma", "lower", "space", "iso", "number", "null"],
)
def test_another_date_is_replaced_by_what_was_expected(spoil: Callable[[str], object]) -> None:
    """Too old, too young, or in any other form."""
    assert Records().fill({"at": NOW}, {"at": spoil(_now())}) == {
        "at": "<an HTTP date in UTC of now>"
    }


def test_a_wrong_day_of_the_week_is_no_date() -> None:
    """Python's own parser would let it pass."""
    came = _now()
    other = "Mon" if came[:3] != "Mon" else "Tue"

    assert Records().fill(NOW, other + came[3:]) == "<an HTTP date in UTC of now>"


def test_a_later_date_is_later_by_a_second() -> None:
    """The same second does not show that anything was set."""
    before, now = _now(seconds=-1), _now()

    ada = Stored("ada", {"updated_at": LATER})

    assert Records({"ada": {"updated_at": before}}).fill(ada, {"updated_at": now}) == {
        "updated_at": now
    }
    assert Records({"ada": {"updated_at": now}}).fill(ada, {"updated_at": now}) == {
        "updated_at": f"<a date of now, later than {now}>"
    }


@pytest.mark.parametrize("came", [0, -1, "1", 1.0, True, None])
def test_an_id_is_a_positive_integer(came: object) -> None:
    """As JSON has it: neither text nor a fraction nor true."""
    assert Records().fill(NEW_ID, 7) == 7
    assert Records().fill(NEW_ID, came) == "<a positive integer>"


def test_only_unknown_values_come_from_the_answer() -> None:
    """A missing key, another key and another length all show in the bytes."""
    expected = {"id": NEW_ID, "name": "Zo\u00eb", "items": [1]}

    assert to_bytes(
        Records().fill(expected, {"id": 3, "name": "x", "more": 1, "items": [1, 2]})
    ) == (b'{"id":3,"items":[1],"name":"Zo\\u00eb"}\n')
    assert Records().fill(expected, None) == {**expected, "id": "<a positive integer>"}


def test_an_id_that_is_known_beforehand_is_that_one() -> None:
    """Where the test has set the sequence."""
    assert Records(next_id=4).fill(NEW_ID, 5) == 4


def test_a_path_has_the_ids_of_its_records() -> None:
    """And one that no record has."""
    records = Records({"ada": {"id": 7}, "bob": {"id": 30}})

    assert records.path_of(Row("", "GET", "/users/000{ada}", 200)) == "/users/0007"
    assert records.path_of(Row("", "GET", "/users/{unused}", 404)) == "/users/31"


def test_a_body_and_an_answer_have_the_ids_of_other_records() -> None:
    """Which other services may keep."""
    records = Records({"ada": {"id": 7}})
    order = post("", 201, success({"buyer_id": Id("ada")}), {"a": Id("ada"), "b": Id("unused")})

    assert records.body_of(order) == b'{"a": 7, "b": 8}'
    assert records.fill(order.document, None) == success({"buyer_id": 7})
    assert records.body_of(Row("", "GET", "/users", 200)) is None


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer with the headers of every answer, and some more."""

    status: int
    body: bytes
    headers: dict[str, str]

    def find(self, name: str) -> str | None:
        return ({"Access-Control-Allow-Origin": "*", **JSON} | self.headers).get(name)


def test_a_kept_record_is_what_later_rows_expect() -> None:
    """With the values that the server chose."""
    records = Records()
    creation = Row("", "POST", "/users", 201, success({"id": NEW_ID})).keep_as("ada")

    assert records.find_faults(creation, _Answer(201, to_bytes(success({"id": 9})), {})) == []

    reading = Row("", "GET", "/users/{ada}", 200, success(Stored("ada")))
    assert records.find_faults(reading, _Answer(200, to_bytes(success({"id": 9})), {})) == []
    assert records.find_faults(reading, _Answer(200, to_bytes(success({"id": 8})), {})) != []


@pytest.mark.parametrize(
    ("status", "body", "headers", "fault"),
    [
        (201, b"", {}, "expected status 200, got 201"),
        (200, b"{}", {}, "expected no body, got '{}'"),
        (200, b"", {"Content-Type": "text/html"}, "expected Content-Type: application/json, got"),
        (200, b"", {"Allow": "PUT"}, "expected Allow: GET, POST, got PUT"),
        (200, b"", {"Access-Control-Allow-Credentials": "true"},
         "expected Access-Control-Allow-Credentials: none, got true"),
    ],
    ids=["status", "body", "header", "allow", "forbidden"],
)  # fmt: skip
def test_each_departure_is_named(
    status: int, body: bytes, headers: dict[str, str], fault: str
) -> None:
    """With what was expected and what came."""
    row = Row("", "GET", "/users", 200, allow="GET, POST")
    answer = _Answer(status, body, {"Allow": "POST, GET", **headers})

    [found] = Records().find_faults(row, answer)

    assert found.startswith(fault)
