"""Calls of another service: what is sent, what its answers become, and what is never repeated."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel
from quart.testing.app import LifespanError

from quart_fleet.asgi._application import LeanApplication
from quart_fleet.bounds import BOUND, Bound
from quart_fleet.clients import Clients, Operation, Record
from quart_fleet.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    ValidationFailedError,
)
from quart_fleet.observation import REQUEST, ObservedRequest
from quart_fleet.settings import ServiceSettings, ServiceURL
from tests.chassis.provider import CUT, Provider, answer, calling, refusal, success


class User(BaseModel):
    id: int
    username: str
    seen: datetime | None = None


class NewUser(BaseModel):
    username: str
    age: int | None = None


GET = Operation("GET", "/users/{user_id}", User)
LIST = Operation("GET", "/users", list[User])
BY_NAME = Operation("GET", "/users/username/{username}", User)
POST = Operation("POST", "/users", User)
PUT = Operation("PUT", "/users/{user_id}", User)
PUT_AGAIN = Operation("PUT", "/users/{user_id}", User, attempts=2)
DELETE = Operation("DELETE", "/users/{user_id}", NoneType)
GET_OR_KNOW = Operation("GET", "/users/{user_id}", User, raises=[ServiceError])
ADA = success(b'{"id":7,"username":"ada","is_active":true}')


@contextmanager
def within_request(seconds: float, *headers: tuple[bytes, bytes]) -> Iterator[Bound]:
    """Be in a request that has as much time left."""
    now = asyncio.get_running_loop().time()
    scope = cast("Any", {"headers": headers})
    bound = Bound(asyncio.current_task(), SimpleNamespace(scope=scope), now, now + seconds)
    token = BOUND.set(bound)
    observed = REQUEST.set(ObservedRequest(scope))
    try:
        yield bound
    finally:
        REQUEST.reset(observed)
        BOUND.reset(token)


async def test_data_are_opened_into_values() -> None:
    provider = Provider([ADA, success(b'[{"id":7,"username":"ada"}]'), ADA, success(b"null")])
    async with provider.listening(), calling(f"{provider.url}/") as client:
        user = await client.call(GET, {"user_id": 7})
        users = await client.call(LIST, query={"limit": 2, "name": "a b"})
        created = await client.call(POST, body=NewUser(username="ada"))
        await client.call(DELETE, {"user_id": 7})

    assert user == created == users[0] == User(id=7, username="ada")
    assert [(each.method, each.path, each.body) for each in provider.received] == [
        ("GET", "/api/v1/users/7", b""),
        ("GET", "/api/v1/users?limit=2&name=a+b", b""),
        ("POST", "/api/v1/users", b'{"username":"ada"}'),
        ("DELETE", "/api/v1/users/7", b""),
    ]
    assert provider.received[2].headers["content-type"] == "application/json"
    assert provider.received[0].headers["user-agent"] == "order-service"
    assert provider.connections == 1


async def test_text_in_a_path_stays_one_part_of_it() -> None:
    provider = Provider([ADA])
    async with provider.listening(), calling(provider.url) as client:
        await client.call(BY_NAME, {"username": "a/b?c=%20ä"})

    assert provider.received[0].path == "/api/v1/users/username/a%2Fb%3Fc%3D%2520%C3%A4"


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/users/username/{name}", {"name": ""}),
        ("/users/username/{name}", {"name": "."}),
        ("/users/username/{name}", {"name": ".."}),
        ("/users/{name}/orders/{number}", {"name": "..", "number": 7}),
        ("/users/{name}{number}", {"name": ".", "number": "."}),
        ("/users/.{name}", {"name": "."}),
    ],
)
async def test_no_value_leads_to_another_path(path: str, values: dict[str, object]) -> None:
    provider = Provider([ADA])
    async with provider.listening(), calling(provider.url) as client:
        with (
            within_request(5) as bound,
            pytest.raises(InvalidRequestError, match="must not be empty or dots alone"),
        ):
            await client.call(Operation("GET", path, User), values)
        await client.call(Operation("GET", "/users/", User))
        await client.call(BY_NAME, {"username": "..."})

    assert not bound.waits
    assert [each.path for each in provider.received] == [
        "/api/v1/users/",
        "/api/v1/users/username/...",
    ]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (refusal(400, "Request body is required"), InvalidRequestError("Request body is required")),
        (refusal(400, "Email already exists"), AlreadyExistsError("email")),
        (refusal(400, "Brand and model already exists"), AlreadyExistsError("brand_and_model")),
        (refusal(400, "First name and age already exist"), AlreadyExistsError("first_name", "age")),
        (refusal(400, "A, b and c d already exist"), AlreadyExistsError("a", "b", "c_d")),
        (refusal(401, "Unauthorized"), UnauthorizedError()),
        (refusal(403, "Not yours"), ForbiddenError("Not yours")),
        (refusal(404, "User not found"), NotFoundError("User")),
        (refusal(409, "Booked already"), ConflictError("Booked already")),
        (refusal(422, "Validation failed", errors='{"age":"x"}'), ValidationFailedError({"age": "x"})),
    ],
)  # fmt: skip
async def test_a_refusal_is_raised_as_it_was_there(sent: bytes, expected: ServiceError) -> None:
    provider = Provider([sent])
    async with provider.listening(), calling(provider.url) as client:
        with pytest.raises(ServiceError) as refused:
            await client.call(GET_OR_KNOW, {"user_id": 7})

        assert client.instances[0].breaker.state == "closed"
    assert type(refused.value) is type(expected)
    assert vars(refused.value) == vars(expected)
    assert len(provider.received) == 1


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (refusal(400, "Limit must be a number"),
         "'Limit must be a number', and raises no InvalidRequestError"),
        (refusal(400, "Email already exists"),
         "'Email already exists', and raises no AlreadyExistsError"),
        (refusal(401, "Unauthorized"), "'Unauthorized', and raises no UnauthorizedError"),
        (refusal(403, "Not yours"), "'Not yours', and raises no ForbiddenError"),
        (refusal(422, "Validation failed", errors='{"age":"Is 7"}'),
         "'Validation failed', of 'age', and raises no ValidationFailedError"),
        (refusal(418, "Teapot"), "'Teapot'"),
    ],
)  # fmt: skip
async def test_a_refusal_of_this_service_is_none_of_its_client(
    sent: bytes, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Credentials and bodies are this service's own: its client gets 503, and the log says why."""
    status = sent[9:12].decode()
    provider = Provider([sent])
    async with provider.listening(), calling(provider.url) as client:
        with pytest.raises(UnavailableError, match="The user-service is unavailable"):
            await client.call(GET, {"user_id": 7})

    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("ERROR", f"user-service: GET /api/v1/users/{{user_id}} was answered {status}: {line}")
    ]
    assert len(provider.received) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        answer(200, b"<html>"),
        answer(200, b""),
        answer(200, b'{"id":7,"username":"ada"}'),
        answer(200, b'{"data":{"id":7,"username":"ada"},"success":false}'),
        success(b'{"id":"7","username":"ada"}'),
        success(b'{"id":7}'),
        success(b"null"),
        success(b'{"id":7,"username":"%s"}' % (b"a" * 20_000)),
        answer(301, b"", "Location: /api/v1/users/8"),
        refusal(404, "Endpoint not found"),
        answer(404, b"<html>"),
        refusal(405, "Method not allowed"),
        refusal(500, "Internal server error"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
    ],
    ids=range(15),
)
async def test_an_answer_that_cannot_be_read_is_unavailable(sent: bytes) -> None:
    provider = Provider([sent])
    async with provider.listening(), calling(provider.url, MAX_ANSWER_SIZE=10_000) as client:
        with pytest.raises(UnavailableError, match="The user-service is unavailable") as failed:
            await client.call(PUT, {"user_id": 7})

    assert "/api/v1/users/{user_id}" in str(failed.value.__cause__)
    assert [each.path for each in provider.received] == ["/api/v1/users/7"]


@pytest.mark.parametrize(
    "header",
    [
        'Link: <http://[bad>; rel="next"',
        'Link: <http://users:99999999/api/v1/users?after=7>; rel="next"',
        f"X-Total-Count: {'9' * 5000}",
    ],
    ids=["address", "port", "count"],
)
async def test_a_page_whose_headers_cannot_be_read_is_unavailable(header: str) -> None:
    provider = Provider([answer(200, b'{"data":[],"success":true}', header)])
    async with provider.listening(), calling(provider.url) as client:
        for _ in range(5):
            with pytest.raises(UnavailableError, match="The user-service is unavailable"):
                await client.page(LIST)

        assert client.instances[0].breaker.state == "open"
        assert client.outcomes["unexpected"] == 5


async def test_an_empty_text_is_asked_for_as_such_and_none_as_null() -> None:
    provider = Provider([success(b"[]")])
    async with provider.listening(), calling(provider.url) as client:
        await client.call(LIST, query={"code": ["", None, "x"], "q": "", "limit": None})

    assert provider.received[0].path == "/api/v1/users?code=&code=null&code=x&q="


async def test_a_get_is_sent_again_where_its_answer_was_lost() -> None:
    provider = Provider([CUT, CUT, ADA])
    async with provider.listening(), calling(provider.url) as client:
        assert (await client.call(GET, {"user_id": 7})).id == 7

    assert len(provider.received) == 3


@pytest.mark.parametrize("operation", [POST, PUT, DELETE])
async def test_what_is_not_safe_is_never_sent_again(operation: Operation[object]) -> None:
    """Neither on a new connection nor on one that was in use before."""
    provider = Provider([ADA, CUT, ADA, refusal(503, "Busy"), ADA])
    async with provider.listening(), calling(provider.url) as client:
        await client.call(GET, {"user_id": 7})
        with pytest.raises(UnavailableError):
            await client.call(operation, {"user_id": 7})
        await client.call(GET, {"user_id": 7})
        with pytest.raises(UnavailableError):
            await client.call(operation, {"user_id": 7})

    assert len(provider.received) == 4


async def test_a_put_is_sent_again_where_its_operation_says_so() -> None:
    provider = Provider([CUT, ADA])
    async with provider.listening(), calling(provider.url) as client:
        await client.call(PUT_AGAIN, {"user_id": 7})

    assert len(provider.received) == 2
    with pytest.raises(ValueError, match="POST /users is sent once: it is not idempotent"):
        Operation("POST", "/users", User, attempts=2)


async def test_what_could_not_be_sent_is_sent_when_the_service_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = asyncio.Event()

    def pause(_: float, longest: float) -> float:
        refused.set()
        return longest

    monkeypatch.setattr("random.uniform", pause)
    provider = Provider([ADA])
    async with provider.listening():
        pass
    async with calling(provider.url) as client:
        creating = asyncio.create_task(client.call(POST, body=NewUser(username="ada")))
        await refused.wait()
        async with provider.listening():
            assert (await creating).id == 7
    async with calling(provider.url) as client:
        with pytest.raises(UnavailableError) as failed:
            await client.call(POST)

    assert "was not sent" in str(failed.value.__cause__)
    assert len(provider.received) == 1


async def test_a_service_that_is_busy_is_asked_when_it_says() -> None:
    provider = Provider(
        [refusal(503, "Busy", "Retry-After: 1"), ADA, refusal(503, "Busy", "Retry-After: 30")]
    )
    async with provider.listening(), calling(provider.url) as client:
        begun = asyncio.get_running_loop().time()
        await client.call(GET, {"user_id": 7})
        took = asyncio.get_running_loop().time() - begun
        with pytest.raises(UnavailableError) as failed:
            await client.call(GET, {"user_id": 7})

    assert took >= 1
    assert failed.value.retry_after == 30
    assert len(provider.received) == 3


async def test_a_call_ends_before_the_request_that_makes_it() -> None:
    async def never() -> bytes:
        await asyncio.sleep(60)
        return CUT

    provider = Provider([ADA, never])
    async with provider.listening(), calling(provider.url, CALL_TIMEOUT=60) as client:
        with within_request(30):
            await client.call(GET, {"user_id": 7})
        for seconds in (0.2, 0.01):
            with within_request(seconds), pytest.raises(UnavailableError):
                await client.call(GET, {"user_id": 7})

    first, second = (int(each.headers["connect-timeout-ms"]) for each in provider.received)
    assert 10_000 < first <= 29_980
    assert second <= 180


async def test_a_request_is_not_ended_in_the_midst_of_what_is_written() -> None:
    """Its client may leave while it only reads."""
    provider = Provider([ADA])
    async with provider.listening(), calling(provider.url) as client:
        with within_request(5) as reading:
            task = asyncio.create_task(client.call(GET, {"user_id": 7}))
            await asyncio.sleep(0)
            assert reading.waits
            await task
        with within_request(5) as writing:
            await client.call(PUT, {"user_id": 7})

    assert (reading.waits, reading.has_written) == (set(), False)
    assert writing.has_written


async def test_a_request_waits_until_the_last_of_its_calls_has_ended() -> None:
    answered = asyncio.Event()

    async def hold() -> bytes:
        await answered.wait()
        return ADA

    provider = Provider([ADA, hold])
    async with provider.listening(), calling(provider.url) as client:
        with within_request(5) as bound:
            calls = [asyncio.create_task(client.call(GET, {"user_id": 7})) for _ in range(2)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            while_one_is_left = len(bound.waits)
            answered.set()
            await asyncio.gather(*calls)

    assert (while_one_is_left, bound.waits) == (1, set())


async def test_a_request_says_in_its_calls_where_it_belongs() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    provider = Provider([ADA])
    async with provider.listening(), calling(provider.url) as client:
        with within_request(
            5, (b"x-request-id", b"abc"), (b"traceparent", trace), (b"cookie", b"secret")
        ):
            await client.call(GET, {"user_id": 7})
        with within_request(5, (b"x-request-id", b"a b"), (b"traceparent", b"00-x")):
            await client.call(GET, {"user_id": 7})

    first, second = (each.headers for each in provider.received)
    assert (first["x-request-id"], first["traceparent"]) == ("abc", trace.decode())
    assert "cookie" not in first
    assert "traceparent" not in second
    assert second["x-request-id"] not in ("", "abc", "a b")


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    provider = Provider([ADA])
    async with provider.listening(), calling(provider.url) as client:
        assert (await client.call(GET, {"user_id": 7})).id == 7


async def test_calls_in_progress_are_limited() -> None:
    running, most = 0, 0

    async def count() -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return ADA

    provider = Provider([count])
    async with provider.listening(), calling(provider.url, MAX_RUNNING_CALLS=3) as client:
        await asyncio.gather(*(client.call(GET, {"user_id": 7}) for _ in range(20)))

    assert most == 3
    assert provider.connections == 3


async def test_a_service_that_fails_is_left_alone_until_one_call_finds_it_working(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "quart_fleet.clients")
    provider = Provider([*[CUT] * 5, ADA])
    async with provider.listening(), calling(provider.url) as client:
        for _ in range(20):
            with pytest.raises(UnavailableError) as failed:
                await client.call(PUT, {"user_id": 7})
        sent = len(provider.received)
        state = client.instances[0].breaker.state
        client.instances[0].breaker._until = 0  # the pause is over
        users = await asyncio.gather(
            *(client.call(GET, {"user_id": 7}) for _ in range(5)), return_exceptions=True
        )
        await client.call(GET, {"user_id": 7})

    assert (sent, state) == (5, "open")
    assert failed.value.retry_after == 5
    assert [isinstance(each, User) for each in users] == [True, *[False] * 4]
    assert client.instances[0].breaker.state == "closed"
    assert caplog.messages == [
        "user-service: the circuit is open for 5 s, since 5 calls in a row have failed",
        "user-service: the circuit is closed, it works again",
    ]


async def test_a_call_counts_once_however_often_it_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 0)
    provider = Provider([CUT])
    async with provider.listening(), calling(provider.url) as client:
        for sent, expected in [(3, "closed"), (6, "closed"), (9, "closed"), (12, "closed"), (15, "open")]:  # fmt: skip
            with pytest.raises(UnavailableError):
                await client.call(GET, {"user_id": 7})
            assert (len(provider.received), client.instances[0].breaker.state) == (sent, expected)

        client.instances[
            0
        ].breaker._until = 0  # the pause is over: one call tries it, as often as any other
        with pytest.raises(UnavailableError):
            await client.call(GET, {"user_id": 7})

    assert len(provider.received) == 18
    assert client.instances[0].breaker.state == "open"


async def test_a_call_is_not_sent_again_once_others_have_opened_the_circuit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 0)

    async def open_circuit() -> bytes:
        for _ in range(5):
            client.instances[0].breaker.record(client.instances[0].breaker.acquire(), outcome=False)
        return CUT

    provider = Provider([open_circuit])
    async with provider.listening(), calling(provider.url) as client:
        with pytest.raises(UnavailableError):
            await client.call(GET, {"user_id": 7})

    assert len(provider.received) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (408, "closed"),
        (425, "closed"),
        (429, "closed"),
        (502, "open"),
        (503, "open"),
        (504, "open"),
    ],
)
async def test_a_service_that_has_this_caller_wait_works(status: int, expected: str) -> None:
    provider = Provider([refusal(status, "Later", "Retry-After: 60")])
    async with provider.listening(), calling(provider.url) as client:
        for _ in range(6):
            with pytest.raises(UnavailableError):
                await client.call(GET, {"user_id": 7})

        assert client.instances[0].breaker.state == expected


async def test_callers_without_time_do_not_open_the_circuit() -> None:
    async def never() -> bytes:
        await asyncio.sleep(60)
        return CUT

    provider = Provider([never])
    async with provider.listening(), calling(provider.url, CALL_TIMEOUT=0.1) as client:
        for _ in range(10):
            with within_request(0.06), pytest.raises(UnavailableError):
                await client.call(GET, {"user_id": 7})
        before = client.instances[0].breaker.state
        for _ in range(5):
            with pytest.raises(UnavailableError):
                await client.call(GET, {"user_id": 7})

    assert (before, client.instances[0].breaker.state) == ("closed", "open")


async def test_a_service_is_called_only_while_the_application_serves() -> None:
    async with calling("http://127.0.0.1:1") as client:
        pass

    with pytest.raises(RuntimeError, match="only while the application serves"):
        await client.call(GET, {"user_id": 7})


async def test_ids_that_a_service_does_not_know_are_missing() -> None:
    """All are asked for at once; what is not answered for is not missing."""

    async def look() -> bytes:
        record_id = int(provider.received[-1].path.rpartition("/")[2])
        if record_id == 13:
            return refusal(404, "Endpoint not found")
        return ADA if record_id == 7 else refusal(404, "User not found")

    get = Operation("GET", "/users/{record_id}", Record)
    provider = Provider([look])
    async with provider.listening(), calling(provider.url) as client:
        assert await client.missing(get, {7, 8, 9, 0, -1}) == {8, 9, 0, -1}
        assert len(provider.received) == 3
        with pytest.raises(UnavailableError) as failed:
            await client.missing(get, {7, 13})

    assert "Endpoint not found" in str(failed.value.__cause__)


@pytest.mark.parametrize("debug", ["DEBUG", "TESTING"])
async def test_a_service_is_by_itself_at_its_port_of_the_workspace(
    debug: str, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.scaffold]\n")
    (tmp_path / "fleet.toml").write_text("[user-service]\nport = 8091\n")
    app = LeanApplication(__name__, root_path=str(tmp_path), static_folder=None)
    clients = Clients(app, ServiceSettings.model_validate({debug: True}))
    client = clients.of("user-service", None)
    given = clients.of("user-service", "https://users.example.com/")
    async with app.test_app():
        assert client.instances[0].url == "http://127.0.0.1:8091"
        assert given.instances[0].url == "https://users.example.com"


async def test_a_service_that_the_workspace_does_not_know_wants_an_address(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.scaffold]\n")
    app = LeanApplication(__name__, root_path=str(tmp_path), static_folder=None)
    Clients(app, ServiceSettings.model_validate({"DEBUG": True})).of("product-service", None)

    with pytest.raises(LifespanError):
        await app.test_app().__aenter__()

    assert str(app.start_error).startswith("PRODUCT_SERVICE_URL: set it to the address of the")


async def test_outside_of_development_an_address_is_wanted() -> None:
    app = LeanApplication(__name__, static_folder=None)
    wanted = {"SECRET_KEY": "of the tests", "DATABASE_URL": "postgresql://localhost/any"}
    Clients(app, ServiceSettings.model_validate(wanted)).of("user-service", None)

    with pytest.raises(LifespanError):
        await app.test_app().__aenter__()

    assert app.start_error == (
        "USER_SERVICE_URL: set it to the address of the user-service, as http://user-service:8081"
    )


class Settings(ServiceSettings):
    user_service_url: ServiceURL | None = None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "user-service:8081",
            "ftp://users",
            "http://",
            "http://a:b@users",
            "http://users?a=b",
            "/api",
        ),
        *(
            "http://users:80a",
            "http://users:0",
            "http://users:65536",
            "http://[users",
            "http://a b",
        ),
        *("http://users/?", "http://users/#", "http://users\n", "http://@users", "http://us\ners"),
        *("http://a..b", "http://" + "a" * 64, "http://[::::]", "http://999.1.1.1", "http://127.1"),
        *("http://ü.example", "http://[fe80::1%25eth0]", "http://[::1]x", "http://0x7f.1"),
    ],
)
def test_what_is_no_address_is_refused_by_its_variable(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTING", "True")
    monkeypatch.setenv("USER_SERVICE_URL", url)
    monkeypatch.setenv("SERVICE_REGISTRY_URL", url)

    with pytest.raises(ConfigurationError) as refused:
        Settings.load()

    assert str(refused.value).splitlines() == [
        "SERVICE_REGISTRY_URL: write the address as http://127.0.0.1:8500",
        "USER_SERVICE_URL: write the address as http://user-service:8081, without /api/v1",
        "Set it in the environment.",
    ]


@pytest.mark.parametrize(
    "url",
    [
        *("https://users.example.com./base", "http://user_service:8081", "http://10.0.0.7:1"),
        *("http://[::1]:8081/", "http://[::ffff:10.0.0.7]", "HTTP://Users", "http://1a"),
    ],
)
def test_what_is_an_address_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTING", "True")
    monkeypatch.setenv("USER_SERVICE_URL", url)

    assert Settings.load().user_service_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SERVICE_REGISTRY_TOKEN", "of a\nline", "write the token alone, in one line of ASCII"),
        ("SERVICE_REGISTRY_TOKEN", "größe", "write the token alone, in one line of ASCII"),
        ("SERVICE_ADDRESS", "http://users", "write a name or an address alone, as 10.0.0.7"),
        ("SERVICE_ADDRESS", "[::1]", "write a name or an address alone, as 10.0.0.7"),
        ("SERVICE_ADDRESS", "users:8081", "write a name or an address alone, as 10.0.0.7"),
        ("SERVICE_ADDRESS", "users/a", "write a name or an address alone, as 10.0.0.7"),
    ],
)
def test_what_no_registry_takes_is_refused_and_not_shown(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTING", "True")
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as refused:
        Settings.load()

    assert str(refused.value) == f"{variable}: {expected}\nSet it in the environment."
