"""Streamed lists: the bytes of a list answered at once, whatever its length."""

from collections.abc import AsyncIterator

import pytest
from quart import Quart, Response
from quart.json.provider import DefaultJSONProvider

from quart_fleet.dto import ResponseDTO
from quart_fleet.paging import CHUNK, Chunks
from quart_fleet.web._envelope import ContractJSONProvider, Envelope


class ItemDTO(ResponseDTO):
    id: int
    name: str


class NamingProvider(DefaultJSONProvider):
    """An owner's provider, as Quart documents it."""

    @staticmethod
    def default(value: object) -> str:
        return f"<{type(value).__name__}>"


class Source:
    """A source of items with the ids 1 to `length`, which counts its reads."""

    def __init__(self, length: int) -> None:
        self.items = [ItemDTO(id=number, name=f"é{number}") for number in range(1, length + 1)]
        self.reads = 0

    async def read(self, after: int, limit: int) -> list[ItemDTO]:
        self.reads += 1
        return self.items[after : after + limit]


def application(source: Source, *, debug: bool = False) -> Quart:
    app = Quart(__name__)
    app.config["DEBUG"] = debug
    app.json = ContractJSONProvider(app)

    @app.get("/items")
    async def items() -> Response:
        return await Envelope.stream(Chunks(source.read))

    @app.get("/at-once")
    async def at_once() -> Response:
        return Envelope.success(source.items)

    return app


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
async def test_a_streamed_list_has_the_bytes_of_one_at_once(length: int, debug: bool) -> None:
    client = application(Source(length), debug=debug).test_client()

    streamed = await client.get("/items")
    at_once = await client.get("/at-once")

    assert await streamed.get_data() == await at_once.get_data()
    assert streamed.headers["Content-Type"] == "application/json"


async def test_a_short_list_is_read_once_and_has_a_length() -> None:
    source = Source(3)

    response = await application(source).test_client().get("/items")

    assert source.reads == 1
    assert int(response.headers["Content-Length"]) == len(await response.get_data())


async def test_the_head_of_a_long_list_does_not_read_it() -> None:
    source = Source(10 * CHUNK)

    response = await application(source).test_client().head("/items")

    assert (response.status_code, source.reads) == (200, 1)


async def test_chunks_end_when_rows_are_deleted_on_the_way() -> None:
    source = Source(2 * CHUNK)
    seen = list[int]()

    async def chunks() -> AsyncIterator[list[ItemDTO]]:
        async for chunk in Chunks(source.read):
            yield chunk
            source.items = source.items[:CHUNK]

    async for chunk in chunks():
        seen.extend(item.id for item in chunk)

    assert seen == list(range(1, CHUNK + 1))


@pytest.mark.parametrize("length", [1, CHUNK + 1])
async def test_another_way_to_write_json_is_used_for_lists_too(length: int) -> None:
    app = application(Source(length))
    app.json = NamingProvider(app)
    client = app.test_client()

    streamed = await client.get("/items")

    assert len((await streamed.get_json())["data"]) == length
    assert b"<ItemDTO>" in await streamed.get_data()
