"""A request that fails two checks is refused by the first: each neighbouring pair of the order."""

import pytest

from scaffold.api.row import JSON, Row, error, invalid
from scaffold.api.table import (
    BODY_REQUIRED,
    ENDPOINT_NOT_FOUND,
    LARGEST_BODY,
    MALFORMED,
    METHOD_NOT_ALLOWED,
    NOT_AN_OBJECT,
    TOO_LARGE,
    WRONG_TYPE,
)

from .row import find_deviation

TEXT = {"Content-Type": "text/plain"}
LARGE = b"x" * (LARGEST_BODY + 1)
TAKEN = b'"username":"ada","email":"ada@example.com"'

CREATION = {
    "the path before the body": Row("", "POST", "/nowhere", 404, ENDPOINT_NOT_FOUND, b"{", TEXT),
    "the method before the body": Row(
        "", "PUT", "/users", 405, METHOD_NOT_ALLOWED, b"{", TEXT,
        allow="GET, HEAD, OPTIONS, POST"),
    "the size before the content type": Row(
        "", "POST", "/users", 413, TOO_LARGE, LARGE, TEXT),
    "the size before the form": Row(
        "", "POST", "/users", 413, TOO_LARGE, LARGE, JSON),
    "a body before its content type": Row("", "POST", "/users", 400, BODY_REQUIRED, b"", TEXT),
    "the content type before the form": Row("", "POST", "/users", 415, WRONG_TYPE, b"{", TEXT),
    "the content type before an empty value": Row(
        "", "POST", "/users", 415, WRONG_TYPE, b"null", TEXT),
    "a body before an object": Row("", "POST", "/users", 400, BODY_REQUIRED, b"[]", JSON),
    "an object before its fields": Row("", "POST", "/users", 400, NOT_AN_OBJECT, b'["email"]', JSON),
    "the username before the email": Row(
        "", "POST", "/users", 400, error("Field 'username' is required"), b'{"x":1}', JSON),
    "a missing username before an invalid email": Row(
        "", "POST", "/users", 400, error("Field 'username' is required"), b'{"email":7}', JSON),
    "a missing email before an invalid username": Row(
        "", "POST", "/users", 400, error("Field 'email' is required"), b'{"username":7}', JSON),
    "a missing email before a username of null": Row(
        "", "POST", "/users", 400, error("Field 'email' is required"), b'{"username":null}',
        JSON),
    "a missing email before an invalid age": Row(
        "", "POST", "/users", 400, error("Field 'email' is required"),
        b'{"username":"ada","age":"x"}', JSON),
    "a missing username before a taken email": Row(
        "", "POST", "/users", 400, error("Field 'username' is required"),
        b'{"email":"ada@example.com"}', JSON),
    "an invalid age before a taken username": Row(
        "", "POST", "/users", 422, invalid(age="Must be an integer"), b'{%s,"age":"x"}' % TAKEN,
        JSON),
    "an invalid email before a taken username": Row(
        "", "POST", "/users", 422, invalid(email="Must be a string"),
        b'{"username":"ada","email":null}', JSON),
    "a taken username before a taken email": Row(
        "", "POST", "/users", 400, error("Username already exists"), b"{%s}" % TAKEN, JSON),
}  # fmt: skip

UPDATE = {
    "no body": (400, BODY_REQUIRED, b"{}"),
    "no JSON": (400, MALFORMED, b"{"),
    "no object": (400, NOT_AN_OBJECT, b"7"),
    "invalid values": (422, invalid(age="Must be an integer"), b'{"age":"x"}'),
}


@pytest.mark.parametrize("row", CREATION.values(), ids=CREATION.keys())
async def test_the_first_check_that_a_creation_fails_refuses_it(row: Row, port: int) -> None:
    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("user_id", ["4", "0", str(2**64)])
@pytest.mark.parametrize(("status", "answer", "body"), UPDATE.values(), ids=UPDATE.keys())
async def test_an_update_needs_a_valid_body_before_it_needs_a_user(
    status: int, answer: object, body: bytes, user_id: str, port: int
) -> None:
    row = Row("", "PUT", f"/users/{user_id}", status, answer, body, JSON)

    assert await find_deviation(row, port) is None
