"""Which values a field takes: its types, its limits in characters, and what is stored of it."""

import json
from collections.abc import Mapping

import pytest

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON, Row, invalid
from scaffold.api.table import created, updated

from .row import find_deviation
from .wire import exchange, spell

LIMITS = {"username": 80, "email": 120, "first_name": 50, "last_name": 50}
NAMES = ("first_name", "last_name")
INT4 = (-(2**31), 2**31 - 1)
CHARACTERS = ("x", "é", "名", "😀", "\u0301", " ")

TEXT = "Must be a string"
INTEGER = "Must be an integer"
BOOLEAN = "Must be true or false"
NUL = "Must not contain NUL characters"
UNICODE = "Must be valid Unicode text"

WRONG_TEXTS: tuple[object, ...] = (1, 0, 1.5, True, False, [], ["x"], {}, {"x": 1})
WRONG_INTEGERS: tuple[object, ...] = ("36", "", "x", True, False, 1.5, 36.0, [], [36], {})
WRONG_BOOLEANS: tuple[object, ...] = (0, 1, "true", "false", "", "yes", 1.0, [], {})
RAW_INTEGERS = ("1e2", "1E400", "-1e400", "0.1", "-0.0", "36.0")
OUTSIDE_INT4 = {
    2**31: "Must be at most 2147483647",
    2**63: "Must be at most 2147483647",
    10**100: "Must be at most 2147483647",
    -(2**31) - 1: "Must be at least -2147483648",
    -(2**63) - 1: "Must be at least -2147483648",
}

# Nothing is trimmed, folded or normalised.
KEPT = ("", " ", " ada ", "\t\n\r", "ADA", "Åda", "A\u030ada", "\u200b", "\ufeff", "'; DROP TABLE users; --",
        "%s %(x)s {0} $1 :name", "<b>&amp;</b>", "null", "\x7f\x01", "👩‍👩‍👧", "\U0010ffff", '"\\/')  # fmt: skip


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
@pytest.mark.parametrize("field", LIMITS)
async def test_a_limit_counts_characters(field: str, character: str, port: int) -> None:
    values = _user_with(field, character * LIMITS[field])

    assert await find_deviation(_creation(values, 201, created(**values)), port) is None


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
@pytest.mark.parametrize("field", LIMITS)
async def test_one_character_more_is_too_long(field: str, character: str, port: int) -> None:
    values = _user_with(field, character * (LIMITS[field] + 1))
    refusal = invalid(**{field: f"Must be at most {LIMITS[field]} characters"})

    assert await find_deviation(_creation(values, 422, refusal), port) is None


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
@pytest.mark.parametrize("field", NAMES)
async def test_an_update_has_the_limits_of_a_creation(
    field: str, character: str, port: int
) -> None:
    fitting = {field: character * LIMITS[field]}
    too_long = {field: character * (LIMITS[field] + 1)}
    refusal = invalid(**{field: f"Must be at most {LIMITS[field]} characters"})

    assert await find_deviation(_update(too_long, 422, refusal), port) is None
    assert await find_deviation(_update(fitting, 200, updated(**fitting)), port) is None


@pytest.mark.parametrize("value", WRONG_TEXTS, ids=json.dumps)
@pytest.mark.parametrize("field", LIMITS)
async def test_a_text_is_a_string(field: str, value: object, port: int) -> None:
    row = _creation(_user_with(field, value), 422, invalid(**{field: TEXT}))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("value", WRONG_TEXTS, ids=json.dumps)
@pytest.mark.parametrize("field", NAMES)
async def test_a_text_is_updated_to_a_string(field: str, value: object, port: int) -> None:
    row = _update({field: value}, 422, invalid(**{field: TEXT}))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("value", WRONG_INTEGERS, ids=json.dumps)
async def test_an_age_is_an_integer(value: object, port: int) -> None:
    refusal = invalid(age=INTEGER)

    assert await find_deviation(_creation(_user_with("age", value), 422, refusal), port) is None
    assert await find_deviation(_update({"age": value}, 422, refusal), port) is None


@pytest.mark.parametrize("number", RAW_INTEGERS)
async def test_a_number_with_a_fraction_or_an_exponent_is_no_integer(
    number: str, port: int
) -> None:
    body = b'{"username":"g","email":"e","age":%s}' % number.encode()
    row = Row("", "POST", "/users", 422, invalid(age=INTEGER), body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("age", OUTSIDE_INT4, ids=lambda age: str(age)[:12])
async def test_an_age_outside_of_int4_is_refused(age: int, port: int) -> None:
    refusal = invalid(age=OUTSIDE_INT4[age])

    assert await find_deviation(_creation(_user_with("age", age), 422, refusal), port) is None
    assert await find_deviation(_update({"age": age}, 422, refusal), port) is None


@pytest.mark.parametrize("digits", [4300, 4301, 100_000])
async def test_an_age_of_any_length_is_out_of_range(digits: int, port: int) -> None:
    for sign, reason in (("", OUTSIDE_INT4[2**31]), ("-", OUTSIDE_INT4[-(2**31) - 1])):
        body = f'{{"username":"g","email":"e","age":{sign}{"9" * digits}}}'.encode()
        row = Row("", "POST", "/users", 422, invalid(age=reason), body, JSON)
        assert await find_deviation(row, port) is None


@pytest.mark.parametrize("age", [*INT4, 0, -1, 1])
async def test_an_age_may_be_any_int4(age: int, port: int) -> None:
    values = _user_with("age", age)

    assert await find_deviation(_creation(values, 201, created(**values)), port) is None


@pytest.mark.parametrize("age", [*INT4, 0, -1])
async def test_an_age_may_become_any_int4(age: int, port: int) -> None:
    assert await find_deviation(_update({"age": age}, 200, updated(age=age)), port) is None


@pytest.mark.parametrize("value", WRONG_BOOLEANS, ids=json.dumps)
async def test_whether_a_user_is_active_is_true_or_false(value: object, port: int) -> None:
    row = _update({"is_active": value}, 422, invalid(is_active=BOOLEAN))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("text", ["\x00", "a\x00", "\x00b"], ids=ascii)
@pytest.mark.parametrize("field", LIMITS)
async def test_a_text_holds_no_nul(field: str, text: str, port: int) -> None:
    row = _creation(_user_with(field, text), 422, invalid(**{field: NUL}))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("field", NAMES)
async def test_a_text_is_updated_to_no_nul(field: str, port: int) -> None:
    assert (
        await find_deviation(_update({field: "a\x00"}, 422, invalid(**{field: NUL})), port) is None
    )


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "a\\udc00b", "\\ude00\\ud83d"])
@pytest.mark.parametrize("field", LIMITS)
async def test_a_text_holds_no_half_of_a_surrogate_pair(field: str, half: str, port: int) -> None:
    body = json.dumps(_user_with(field, "HALF")).replace("HALF", half).encode()
    row = Row("", "POST", "/users", 422, invalid(**{field: UNICODE}), body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("half", ["\\ud800", "\\ude00\\ud83d"])
@pytest.mark.parametrize("field", NAMES)
async def test_a_text_is_updated_to_no_half_of_a_pair(field: str, half: str, port: int) -> None:
    body = f'{{"{field}":"{half}"}}'.encode()
    row = Row("", "PUT", "/users/1", 422, invalid(**{field: UNICODE}), body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("field", ["username", "email"])
async def test_null_is_given_but_no_string(field: str, port: int) -> None:
    row = _creation(_user_with(field, None), 422, invalid(**{field: TEXT}))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("field", ["first_name", "last_name", "age"])
async def test_null_leaves_an_optional_field_empty(field: str, port: int) -> None:
    values = _user_with(field, None)

    assert await find_deviation(_creation(values, 201, created(**values)), port) is None


async def test_all_wrong_values_are_named_at_once(port: int) -> None:
    values = {
        "username": None,
        "email": "e\x00",
        "first_name": "x" * 51,
        "last_name": 1,
        "age": 1.5,
    }
    refusal = invalid(age=INTEGER, email=NUL, first_name="Must be at most 50 characters",
                      last_name=TEXT, username=TEXT)  # fmt: skip

    assert await find_deviation(_creation(values, 422, refusal), port) is None


async def test_all_wrong_values_of_an_update_are_named_at_once(port: int) -> None:
    values = {"is_active": "no", "first_name": [], "last_name": "x" * 51, "age": 2**31}
    refusal = invalid(age="Must be at most 2147483647", first_name=TEXT, is_active=BOOLEAN,
                      last_name="Must be at most 50 characters")  # fmt: skip

    assert await find_deviation(_update(values, 422, refusal), port) is None


@pytest.mark.parametrize("text", KEPT, ids=ascii)
async def test_a_text_is_kept_as_it_is(text: str, port: int) -> None:
    values: dict[str, object] = dict.fromkeys(LIMITS, text)

    assert await find_deviation(_creation(values, 201, created(**values)), port) is None


@pytest.mark.parametrize("text", KEPT, ids=ascii)
async def test_a_name_is_updated_as_it_is(text: str, port: int) -> None:
    values: dict[str, object] = dict.fromkeys(NAMES, text)

    assert await find_deviation(_update(values, 200, updated(**values)), port) is None


@pytest.mark.parametrize("username", ["ADA", "ada ", " ada", "ad\u0430", "ada\u200b"], ids=ascii)
async def test_a_username_that_differs_at_all_is_another(username: str, port: int) -> None:
    values = _user_with("username", username)

    assert await find_deviation(_creation(values, 201, created(**values)), port) is None


async def test_what_was_written_is_read_again(port: int) -> None:
    body = json.dumps({"username": "g", "email": "e", "first_name": "é", "age": 5}).encode()

    written = await exchange(port, spell("POST", f"{PREFIX}/users", JSON, body))
    read = await exchange(port, spell("GET", f"{PREFIX}/users/username/g"))

    assert written.body.replace(b"User created successfully", b"Success") == read.body


def _user_with(field: str, value: object) -> dict[str, object]:
    return {"username": "grace", "email": "grace@example.com"} | {field: value}


def _creation(values: Mapping[str, object], status: int, answer: object) -> Row:
    return Row("", "POST", "/users", status, answer, json.dumps(values).encode(), JSON)


def _update(values: Mapping[str, object], status: int, answer: object) -> Row:
    return Row("", "PUT", "/users/1", status, answer, json.dumps(values).encode(), JSON)
