"""What a path may be: its case, its slashes, its ids and its escapes."""

import pytest

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON, Row, Stored, success, to_bytes
from scaffold.api.table import ALL_USERS, ENDPOINT_NOT_FOUND, USER_NOT_FOUND

from .row import find_deviation
from .wire import exchange, spell

UNUSED_IDS = ("0", "00", "4", str(2**31), str(2**32), str(2**63 - 1), str(2**63), str(2**64),
                 "9" * 100, "9" * 4300, "9" * 4301, "1" * 5000)  # fmt: skip
IDS_OF_ADA = ("1", "01", "0" * 30 + "1", "0" * 5000 + "1", "%31", "%30%31")
MOVED = b'{"message":"Moved permanently","success":false}\n'
NO_IDS = (
    "-1", "+1", "%2B1", "1.5", "1.0", "1e3", "0x1", "1_0", "abc", "a1", "1a", "%201", "1%20",
    "%D9%A1", "%EF%BC%91", "%C2%B2", "%E2%85%A0", "%00", "1%00", "%FF", "1%0A", "None", "~",
)  # fmt: skip

UNKNOWN_NAMES = {
    "another case": "ADA",
    "a space behind": "ada%20",
    "a space before": "%20ada",
    "a pattern": "%25",
    "a part": "ad",
    "NUL": "%00",
    "NUL behind": "ada%00",
    "invalid UTF-8": "%FF",
    "invalid UTF-8 behind": "ada%C3",
    "an overlong spelling": "%C1%A1da",
    "half a surrogate pair": "%ED%A0%80",
    "the replacement character": "%EF%BF%BD",
    "a lone percent sign": "%",
    "a percent sign behind": "ada%",
    "an escape that is no hexadecimal": "%zz",
    "an escape of JavaScript": "%u00e9",
    "half an escape": "%6",
    "a plus sign for a space": "%C3%89va+%F0%9F%98%80%EF%BF%BD",
    "another composition of an accent": "E%CC%81va%20%F0%9F%98%80%EF%BF%BD",
    "a quote": "'%20OR%20'1'='1",
    "more than a username can hold": "a" * 5000,
}

NOWHERE = (
    "/health/", "/users/", "/users/1/", "/users/active/", "/users/username/ada/",
    "/users/1/deactivate/", "/Users", "/USERS/1", "/users/Active", "/users/Username/ada",
    "/users/1/Deactivate", "/Health", "/users/username", "/users/username/", "/user", "/users1",
    "/users/1/2", "/users/1/activate", "/nowhere", "/.", "/users/../users", "/users%20",
    "/users;a=1", "/users/username/a%2Fb", "/users/1%2Fnothing", "/users/username/a/b",
)  # fmt: skip

OUTSIDE = ("/", "/users", "/health", "/api", "/api/", "/api/v2/users", "/API/v1/users",
           "/api/V1/health", "/favicon.ico", "/static/x", "/robots.txt", "/%FF", "/%00")  # fmt: skip


def _ids(values: tuple[str, ...]) -> list[str]:
    return [value if len(value) < 40 else f"{len(value)}-digits" for value in values]


@pytest.mark.parametrize("record_id", IDS_OF_ADA, ids=_ids(IDS_OF_ADA))
async def test_leading_zeros_and_escapes_spell_the_same_id(record_id: str, port: int) -> None:
    row = Row("", "GET", f"/users/{record_id}", 200, success(Stored("ada")))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("record_id", UNUSED_IDS, ids=_ids(UNUSED_IDS))
async def test_an_id_that_was_never_given_is_not_found(
    record_id: str, method: str, port: int
) -> None:
    row = _addressed(method, f"/users/{record_id}", USER_NOT_FOUND)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("record_id", UNUSED_IDS, ids=_ids(UNUSED_IDS))
async def test_an_id_that_was_never_given_is_not_deactivated(record_id: str, port: int) -> None:
    row = _addressed("POST", f"/users/{record_id}/deactivate", USER_NOT_FOUND)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("text", NO_IDS)
async def test_what_is_not_all_digits_is_no_id(text: str, method: str, port: int) -> None:
    row = _addressed(method, f"/users/{text}", ENDPOINT_NOT_FOUND)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("name", UNKNOWN_NAMES.values(), ids=UNKNOWN_NAMES.keys())
async def test_a_username_is_found_only_as_it_is(name: str, port: int) -> None:
    row = Row("", "GET", f"/users/username/{name}", 404, USER_NOT_FOUND)

    assert await find_deviation(row, port) is None


async def test_a_stored_replacement_character_is_not_found_by_broken_bytes(port: int) -> None:
    body = b'{"username":"\\ufffd","email":"r@example.com"}'
    post = spell("POST", f"{PREFIX}/users", JSON, body)
    assert (await exchange(port, post)).status == 201

    by_itself = await exchange(port, spell("GET", f"{PREFIX}/users/username/%EF%BF%BD"))
    by_broken_bytes = await exchange(port, spell("GET", f"{PREFIX}/users/username/%FF"))

    assert (by_itself.status, by_broken_bytes.status) == (200, 404)
    assert by_broken_bytes.body == to_bytes(USER_NOT_FOUND)


@pytest.mark.parametrize("path", NOWHERE)
async def test_a_path_is_known_only_as_it_is(path: str, port: int) -> None:
    row = Row("", "GET", path, 404, ENDPOINT_NOT_FOUND)

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("path", OUTSIDE)
async def test_nothing_is_outside_the_prefix(path: str, port: int) -> None:
    answer = await exchange(port, spell("GET", path))

    assert (answer.status, answer.body) == (404, to_bytes(ENDPOINT_NOT_FOUND))


async def test_an_encoded_slash_splits_the_path(port: int) -> None:
    row = Row("", "GET", "/users%2F1", 200, success(Stored("ada")))

    assert await find_deviation(row, port) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("query", ["", "?a=1&b=%20&a=2", "?%C3%A9=%zz&c=d+e&f", "?next=/users//1"])
async def test_the_bare_prefix_moves_to_the_root_with_its_query(
    query: str, method: str, port: int
) -> None:
    answer = await exchange(port, spell(method, PREFIX + query, {"Host": "evil.example"}))

    assert (answer.status, answer.find("Location")) == (308, f"{PREFIX}/{query}")
    assert answer.body == (b"" if method == "HEAD" else MOVED)
    assert answer.find("Content-Length") == str(len(MOVED))
    assert answer.find("Content-Type") == "application/json"
    assert answer.find("Access-Control-Allow-Origin") == "*"


@pytest.mark.parametrize(
    ("path", "location"),
    [("//api/v1", "/api/v1/"), ("/api/v1//users", "/api/v1/users"), ("/api//v1//users//1?a=//b", "/api/v1/users/1?a=//b")],
)  # fmt: skip
async def test_slashes_that_are_doubled_move_to_the_path_without_them(
    path: str, location: str, port: int
) -> None:
    answer = await exchange(port, spell("GET", path, {"Host": "evil.example"}))

    assert (answer.status, answer.find("Location"), answer.body) == (308, location, MOVED)


async def test_a_host_in_the_path_is_no_host_to_go_to(port: int) -> None:
    answer = await exchange(port, spell("GET", "//evil.example/api/v1"))

    assert (answer.status, answer.find("Location")) == (404, None)


@pytest.mark.parametrize("query", ["?%", "?%zz", "?%FF", "?%00", "?a=%u00e9", "?&&==", "?" + "x" * 5000],
                         ids=lambda query: query[:8])  # fmt: skip
async def test_no_query_troubles_a_list(query: str, port: int) -> None:
    row = Row("", "GET", f"/users{query}", 200, ALL_USERS)

    assert await find_deviation(row, port) is None


def _addressed(method: str, path: str, answer: object) -> Row:
    if method == "PUT":
        return Row("", method, path, 404, answer, b'{"age":1}', JSON)
    return Row("", method, path, 404, answer)
