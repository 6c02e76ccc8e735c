"""An owner's envelope: the form of every answer, whatever makes it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import Field
from quart import Blueprint, Quart, Response

from quart_fleet.clients import Operation, Record
from quart_fleet.dto import RequestDTO
from quart_fleet.errors import (
    ConflictError,
    DatabaseUnavailableError,
    NotFoundError,
    UnavailableError,
)
from quart_fleet.paging import CHUNK, Chunks
from quart_fleet.web import Answer, Envelope, parse_body
from tests.chassis.provider import Provider, answer, calling
from tests.chassis.services import make_service


class VersionedResponse(Envelope):
    """Another name for `data`, another key and another header in every answer."""

    @classmethod
    def respond(cls, payload: dict[str, object], status: int) -> Response:
        if "data" in payload:
            payload["result"] = payload.pop("data")
        response = super().respond(payload | {"api": [1, {"minor": []}]}, status)
        response.headers["X-Api"] = "1"
        return response

    @classmethod
    def open(cls, body: bytes) -> bytes:
        answer = json.loads(body)
        if "result" in answer:
            answer["data"] = answer.pop("result")
        return json.dumps(answer).encode()


class CountingResponse(Envelope):
    """A form that holds more than the items, which no stream can know before its end."""

    @classmethod
    def success(
        cls, data: object = None, message: str = "Success", status: int = 200
    ) -> Answer[Any]:
        if isinstance(data, list):
            data = {"count": len(data), "items": data}
        return super().success(data, message, status)


class NestingResponse(Envelope):
    """A form in which the items lie deeper."""

    @classmethod
    def success(
        cls, data: object = None, message: str = "Success", status: int = 200
    ) -> Answer[Any]:
        return super().success({"items": data, "kind": "things"}, message, status)


class HidingResponse(Envelope):
    """A form without the items."""

    @classmethod
    def success(
        cls, data: object = None, message: str = "Success", status: int = 200
    ) -> Answer[Any]:
        return super().success(None, message, status)


class AmountDTO(RequestDTO):
    amount: int = Field(ge=1)


@dataclass
class Item:
    id: int


async def read_items(after: int, limit: int) -> list[Item]:
    return [Item(number) for number in range(after + 1, min(after + limit, 2 * CHUNK + 7) + 1)]


def routes(envelope: type[Envelope]) -> Blueprint:
    bp = Blueprint("things", __name__)

    @bp.get("/success")
    async def success() -> Response:
        return envelope.success({"id": 1}, "Done", 201)

    @bp.get("/items")
    async def items() -> Response:
        return await envelope.stream(Chunks(read_items))

    @bp.post("/amounts")
    async def amounts() -> Response:
        return envelope.success((await parse_body(AmountDTO)).amount)

    @bp.get("/conflict")
    async def conflict() -> Response:
        raise ConflictError("Sold out")

    @bp.get("/unavailable")
    async def unavailable() -> Response:
        raise DatabaseUnavailableError

    @bp.get("/crash")
    async def crash() -> Response:
        raise ZeroDivisionError

    return bp


def service(envelope: type[Envelope], **settings: object) -> Quart:
    given = {"MAX_CONTENT_LENGTH": 100, **settings}
    return make_service(routes(envelope), given, envelope=envelope)


ADDED = {"api": [1, {"minor": []}]}
SUCCESS = {"message": "Success", "success": True, **ADDED}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("GET", "/health", None, 200, {"result": {"status": "healthy"}, **SUCCESS}),
        ("GET", "/success", None, 201, {"result": {"id": 1}, **SUCCESS, "message": "Done"}),
        ("POST", "/amounts", b'{"amount":2}', 200, {"result": 2, **SUCCESS}),
        ("POST", "/amounts", b"", 400, {"message": "Request body is required"}),
        ("GET", "/nowhere", None, 404, {"message": "Endpoint not found"}),
        ("DELETE", "/success", None, 405, {"message": "Method not allowed"}),
        ("GET", "/conflict", None, 409, {"message": "Sold out"}),
        ("POST", "/amounts", b" " * 101, 413, {"message": "Request body too large"}),
        (
            "POST",
            "/amounts",
            b'{"amount":0}',
            422,
            {"errors": {"amount": "Must be at least 1"}, "message": "Validation failed"},
        ),
        ("GET", "/crash", None, 500, {"message": "Internal server error"}),
        ("GET", "/unavailable", None, 503, {"message": "Database unavailable"}),
    ],
)
async def test_every_answer_has_the_owners_form(
    *,
    method: str,
    path: str,
    body: bytes | None,
    status: int,
    answer: dict[str, object],
    debug: bool,
) -> None:
    client = service(VersionedResponse, DEBUG=debug).test_client()

    send = getattr(client, method.lower())
    headers = {"Content-Type": "application/json"}
    response = await send(f"/api/v1{path}", data=body, headers=headers)

    assert response.status_code == status
    assert await response.get_json() == {"success": False, **ADDED} | answer
    assert response.headers["X-Api"] == "1"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "envelope", [VersionedResponse, CountingResponse, NestingResponse, HidingResponse]
)
async def test_a_stream_has_the_bytes_of_the_owners_success(
    envelope: type[Envelope], debug: bool
) -> None:
    app = service(envelope, DEBUG=debug)
    everything = await read_items(0, 10 * CHUNK)

    streamed = await app.test_client().get("/api/v1/items")
    async with app.test_request_context("/"):
        at_once = envelope.success(everything)

    assert await streamed.get_data() == await at_once.get_data()
    assert streamed.headers.get("X-Api") == at_once.headers.get("X-Api")


async def test_a_stream_with_the_owners_form_is_still_sent_in_parts() -> None:
    reads = 0

    async def read(after: int, limit: int) -> list[Item]:
        nonlocal reads
        reads += 1
        return await read_items(after, limit)

    app = service(VersionedResponse)
    async with app.test_request_context("/"):
        response = await VersionedResponse.stream(Chunks(read))

    assert reads == 1
    assert "Content-Length" not in response.headers


@pytest.mark.parametrize("lengths", [[], [0], [3, 0, 4], [0, CHUNK, 1], [CHUNK - 1, 2, 0, 5]])
async def test_chunks_of_any_length_are_one_list(lengths: list[int]) -> None:
    async def chunks() -> AsyncIterator[list[int]]:
        for number, length in enumerate(lengths):
            yield [number] * length

    app = service(Envelope)
    async with app.test_request_context("/"):
        response = await Envelope.stream(chunks())
        body = await response.get_data(as_text=False)

    expected = [number for number, length in enumerate(lengths) for _ in range(length)]
    assert json.loads(body)["data"] == expected


@pytest.mark.parametrize("envelope", [Envelope, VersionedResponse])
async def test_services_read_each_other_in_the_envelope_of_their_fleet(
    envelope: type[Envelope],
) -> None:
    app = Quart(__name__)
    async with app.app_context():
        bodies = [
            await envelope.success({"id": 7}).get_data(as_text=False),
            await envelope.not_found("User not found").get_data(as_text=False),
            b"<html>",
            b"[]",
        ]
    statuses = 200, 404, 200, 400
    get = Operation("GET", "/users/{user_id}", Record)
    provider = Provider(
        [answer(status, body) for status, body in zip(statuses, bodies, strict=True)]
    )
    async with provider.listening(), calling(provider.url, envelope) as client:
        assert (await client.call(get, {"user_id": 7})).id == 7
        with pytest.raises(NotFoundError, match="User not found"):
            await client.call(get, {"user_id": 7})
        for _ in range(2):
            with pytest.raises(UnavailableError, match="The user-service is unavailable"):
                await client.call(get, {"user_id": 7})
