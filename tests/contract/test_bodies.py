"""What is taken for a JSON object, and how everything else is refused."""

import asyncio
import codecs

import pytest

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON, Row, invalid, to_bytes
from scaffold.api.table import (
    BODY_REQUIRED,
    GRACE,
    LARGEST_BODY,
    MALFORMED,
    NOT_AN_OBJECT,
    TOO_LARGE,
    WRONG_TYPE,
    created,
)

from .people import NEXT_ID
from .row import find_deviation, nothing_written
from .wire import TIMEOUT, Answer, exchange, spell, spell_chunked

FALSY = (b"null", b"{}", b"[]", b'""', b"0", b"false", b"0.0", b"-0", b" {} ", b"\n[ ]\t")
NO_OBJECTS = (b"7", b"-1", b"0.5", b"true", b'"abc"', b'"{}"', b'["a"]', b"[[]]", b"[null]",
              b'[{"username":"g","email":"e"}]', b"1e999", b"9" * 5000)  # fmt: skip
NO_JSON = {
    "a brace": b"{",
    "a word": b"username",
    "a form": b"username=grace&email=e",
    "nothing but space": b" \r\n\t",
    "a byte order mark alone": codecs.BOM_UTF8,
    "a trailing comma": b'{"username":"g","email":"e",}',
    "a missing comma": b'{"username":"g" "email":"e"}',
    "a missing colon": b'{"username" "g"}',
    "single quotes": b"{'username':'g','email':'e'}",
    "keys without quotes": b'{username:"g",email:"e"}',
    "two objects": GRACE + GRACE,
    "something behind": GRACE + b"x",
    "a comment": b'{"username":"g","email":"e"} // grace',
    "NaN": b'{"username":"g","email":"e","age":NaN}',
    "Infinity": b'{"username":"g","email":"e","age":Infinity}',
    "minus Infinity": b'{"username":"g","email":"e","age":-Infinity}',
    "NaN alone": b"NaN",
    "None": b"None",
    "leading zeros": b'{"username":"g","email":"e","age":007}',
    "a plus sign": b'{"username":"g","email":"e","age":+7}',
    "hexadecimal": b'{"username":"g","email":"e","age":0x7}',
    "a line break in a string": b'{"username":"g\n","email":"e"}',
    "NUL in a string": b'{"username":"g\x00","email":"e"}',
    "an unknown escape": b'{"username":"\\x41","email":"e"}',
    "half an escape": b'{"username":"\\u00","email":"e"}',
    "a string without an end": b'{"username":"g',
    "invalid UTF-8": b'{"username":"\xff","email":"e"}',
    "invalid UTF-8 alone": b"\xff",
    "Latin-1": '{"username":"é","email":"e"}'.encode("latin-1"),
    "UTF-8 cut short": '{"username":"é'.encode()[:-1],
    "100000 open brackets": b"[" * 100_000,
    "100000 open objects": b'{"a":' * 100_000,
    "100000 nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "100000 levels in a key to ignore":
        b'{"username":"g","email":"e","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "gzip": b"\x1f\x8b\x08\x00",
}  # fmt: skip
JSON_TYPES = ("application/json", "APPLICATION/JSON", "Application/Json; Charset=UTF-8",
              "application/json;charset=utf-8", "application/json ; a=b; c=\"d;e\"",
              "application/json;", "application/problem+json", "application/vnd.api+JSON",
              "application/ld+json; profile=x", "application/json; charset=nonsense",
              "application/json; charset=utf-16")  # fmt: skip
OTHER_TYPES = (None, "", ";", "text/plain", "text/json", "application/xml", "application/jsonp",
               "application/json-seq", "application/x-json", "json", "*/*", "application/*",
               "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
               "text/plain; application/json", "application/json, text/plain",
               "text/html+json", "application/octet-stream")  # fmt: skip


@pytest.mark.parametrize("body", FALSY)
@pytest.mark.parametrize(("method", "path"), [("POST", "/users"), ("PUT", "/users/1")])
async def test_an_empty_value_is_no_body(method: str, path: str, body: bytes, port: int) -> None:
    row = Row("", method, path, 400, BODY_REQUIRED, body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "text/plain"}], ids=str)
@pytest.mark.parametrize("body", [None, b""])
@pytest.mark.parametrize(("method", "path"), [("POST", "/users"), ("PUT", "/users/1")])
async def test_no_body_is_required_whatever_its_type(
    method: str, path: str, body: bytes | None, headers: dict[str, str], port: int
) -> None:
    row = Row("", method, path, 400, BODY_REQUIRED, body, headers)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("body", NO_OBJECTS, ids=lambda body: repr(body[:16]))
@pytest.mark.parametrize(("method", "path"), [("POST", "/users"), ("PUT", "/users/1")])
async def test_only_an_object_will_do(method: str, path: str, body: bytes, port: int) -> None:
    row = Row("", method, path, 400, NOT_AN_OBJECT, body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
async def test_what_is_not_json_creates_no_user(body: bytes, port: int) -> None:
    row = Row("", "POST", "/users", 400, MALFORMED, body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("body", [b"{", b'{"age":NaN}', b'{"age":1,}', b"\xff", b"[" * 100_000],
                         ids=lambda body: repr(body[:16]))  # fmt: skip
async def test_what_is_not_json_updates_no_user(body: bytes, port: int) -> None:
    row = Row("", "PUT", "/users/1", 400, MALFORMED, body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("content_type", JSON_TYPES)
async def test_json_is_read_from_every_json_type(content_type: str, port: int) -> None:
    headers = {"Content-Type": content_type}
    answer = created(username="grace", email="grace@example.com")

    assert (
        await find_deviation(Row("", "POST", "/users", 201, answer, GRACE, headers), port) is None
    )


@pytest.mark.parametrize("content_type", OTHER_TYPES)
async def test_json_is_read_from_no_other_type(content_type: str | None, port: int) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    for method, path, body in (("POST", "/users", GRACE), ("PUT", "/users/1", b'{"age":1}')):
        row = Row("", method, path, 415, WRONG_TYPE, body, headers)
        assert await find_deviation(row, port) is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_json_in_another_unicode_encoding_is_read_or_refused(
    encoding: str, port: int
) -> None:
    answer = await _post('{"username":"gré😀","email":"e"}'.encode(encoding), port)

    if answer.status == 201:
        assert b'"username":"gr\\u00e9\\ud83d\\ude00"' in answer.body
    else:
        assert (answer.status, answer.body) == (400, to_bytes(MALFORMED))
        assert await nothing_written(port)


async def test_the_last_of_two_equal_keys_counts(port: int) -> None:
    body = b'{"username":"first","username":"last","email":"e"}'
    row = Row("", "POST", "/users", 201, created(username="last", email="e"), body, JSON)

    assert await find_deviation(row, port) is None


async def test_a_surrogate_pair_is_one_character(port: int) -> None:
    body = b'{"username":"\\ud83d\\ude00","email":"e"}'
    row = Row("", "POST", "/users", 201, created(username="😀", email="e"), body, JSON)

    assert await find_deviation(row, port) is None


async def test_a_key_to_ignore_may_hold_anything(port: int) -> None:
    ignored = b'"a":1e999,"b":' + b"9" * 9999 + b',"c":"\\ud800\\u0000","d":[{}],"":null'
    body = b'{"username":"g","email":"e",%s}' % ignored
    row = Row("", "POST", "/users", 201, created(username="g", email="e"), body, JSON)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff" * 100, b'{"is_active":true}'])
@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "text/plain"}], ids=str)
async def test_a_deactivation_reads_no_body(
    headers: dict[str, str], body: bytes, port: int
) -> None:
    request = spell("POST", f"{PREFIX}/users/1/deactivate", headers, body)

    answer = await exchange(port, request)

    assert answer.status == 200
    assert b'"is_active":false' in answer.body


@pytest.mark.parametrize(("method", "path"), [("GET", "/users/1"), ("DELETE", "/users/2")])
async def test_a_route_without_a_body_ignores_one(method: str, path: str, port: int) -> None:
    answer = await exchange(port, spell(method, PREFIX + path, JSON, b"{"))

    assert answer.status == 200


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_chunked_body_is_read(size: int, port: int) -> None:
    answer = await _post_chunked(GRACE, size, port)

    assert answer.status == 201
    assert b'"id":%d,' % NEXT_ID in answer.body


@pytest.mark.parametrize(("body", "status", "refusal"), [
    (b"", 400, BODY_REQUIRED),
    (b"{", 400, MALFORMED),
    (b"7", 400, NOT_AN_OBJECT),
    (b'{"username":1,"email":"e"}', 422, invalid(username="Must be a string")),
], ids=["empty", "malformed", "no-object", "wrong-value"])  # fmt: skip
async def test_a_chunked_body_is_refused_like_any_other(
    body: bytes, status: int, refusal: object, port: int
) -> None:
    answer = await _post_chunked(body, 3, port)

    assert (answer.status, answer.body) == (status, to_bytes(refusal))
    assert await nothing_written(port)


async def test_a_body_of_the_largest_size_is_read(port: int) -> None:
    body = GRACE.ljust(LARGEST_BODY)
    answer = created(username="grace", email="grace@example.com")

    assert await find_deviation(Row("", "POST", "/users", 201, answer, body, JSON), port) is None


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/users"), ("PUT", "/users/1"), ("PUT", "/users/4")]
)
async def test_a_larger_body_is_refused(method: str, path: str, port: int) -> None:
    body = GRACE.ljust(LARGEST_BODY + 1)
    headers = JSON | {"Connection": "keep-alive"}
    row = Row("", method, path, 413, TOO_LARGE, body, headers, {"Connection": "close"})

    assert await find_deviation(row, port) is None


async def test_a_larger_body_is_refused_before_it_is_sent(port: int) -> None:
    headers = JSON | {"Content-Length": str(10**15)}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(spell("POST", f"{PREFIX}/users", headers))
    async with asyncio.timeout(TIMEOUT):
        received = await reader.readuntil(to_bytes(TOO_LARGE))
    writer.close()

    assert Answer.read(received).status == 413


async def test_a_larger_chunked_body_is_refused(port: int) -> None:
    answer = await _post_chunked(GRACE.ljust(LARGEST_BODY + 1), 2**16, port)

    assert (answer.status, answer.body) == (413, to_bytes(TOO_LARGE))
    assert await nothing_written(port)


async def _post(body: bytes, port: int) -> Answer:
    return await exchange(port, spell("POST", f"{PREFIX}/users", JSON, body))


async def _post_chunked(body: bytes, size: int, port: int) -> Answer:
    request = spell_chunked("POST", f"{PREFIX}/users", JSON, body, size)
    return await exchange(port, request)
