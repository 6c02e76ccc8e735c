"""A controller that answers something else than it declares is found in its source."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from quart import Response, jsonify

from quart_fleet.dto import ResponseDTO
from quart_fleet.openapi._statements import find_mismatch
from quart_fleet.paging import Page
from quart_fleet.web import Answer, Dependency, Envelope


class BoxResponseDTO(ResponseDTO):
    id: int


class LargeBoxResponseDTO(BoxResponseDTO):
    size: int


class LidResponseDTO(ResponseDTO):
    id: int


class BoxUseCases:
    async def get(self) -> BoxResponseDTO:
        return BoxResponseDTO(id=1)

    async def get_large(self) -> LargeBoxResponseDTO:
        return LargeBoxResponseDTO(id=1, size=2)

    async def get_lid(self) -> LidResponseDTO:
        return LidResponseDTO(id=1)

    def list_all(self) -> AsyncIterator[list[BoxResponseDTO]]:
        raise NotImplementedError

    def list_lids(self) -> AsyncIterator[list[LidResponseDTO]]:
        raise NotImplementedError

    async def list_by(self) -> Page[LidResponseDTO]:
        raise NotImplementedError

    async def delete(self) -> None: ...


use_cases = Dependency[BoxUseCases]()
unknown: Any = None


async def at_once() -> Answer[BoxResponseDTO]:
    return Envelope.success(await use_cases().get())


async def derived() -> Answer[BoxResponseDTO]:
    found = await use_cases().get_large()
    return Envelope.success(found, "Found")


async def in_stream() -> Answer[list[BoxResponseDTO]]:
    return await Envelope.stream(use_cases().list_all())


async def nothing() -> Answer[None]:
    await use_cases().delete()
    return Envelope.success(None, "Deleted")


async def not_known() -> Answer[BoxResponseDTO]:
    return Envelope.success(unknown)


async def refused() -> Answer[BoxResponseDTO]:
    return Envelope.error("No", 409)


async def undeclared() -> Response:
    return jsonify({"id": 1})


async def of_its_own() -> Answer[dict[str, int]]:
    return Envelope.success({"id": 1})


async def with_inner_functions() -> Answer[BoxResponseDTO]:
    def key(one: BoxResponseDTO) -> tuple[int, int]:
        return (one.id, 1)

    async def lid() -> Answer[LidResponseDTO]:
        found = {"id": 1}
        return Envelope.success(found)  # type: ignore[arg-type]

    class Named:
        def name(self) -> str:
            return "name"

    found = await use_cases().get()
    if unknown:
        return unknown(sorted([found], key=key), Named, lid, lambda: Envelope.success({"id": 1}))  # type: ignore[no-any-return]
    return Envelope.success(found)


@pytest.mark.parametrize(
    "handler",
    [
        *(at_once, derived, in_stream, nothing, not_known, refused, undeclared, of_its_own),
        with_inner_functions,
    ],
)
def test_what_answers_as_it_declares_is_left_alone(
    handler: Callable[[], Awaitable[object]],
) -> None:
    assert find_mismatch(handler) is None


async def other() -> Answer[BoxResponseDTO]:
    return Envelope.success(await use_cases().get_lid())  # type: ignore[arg-type]


async def other_by_name() -> Answer[BoxResponseDTO]:
    found = await use_cases().get_lid()
    return Envelope.success(found, "Found")  # type: ignore[arg-type]


async def wider() -> Answer[LargeBoxResponseDTO]:
    return Envelope.success(await use_cases().get())  # type: ignore[arg-type]


async def other_stream() -> Answer[list[BoxResponseDTO]]:
    return await Envelope.stream(use_cases().list_lids())  # type: ignore[arg-type]


async def other_page() -> Answer[list[BoxResponseDTO]]:
    return Envelope.listing(await use_cases().list_by(), unknown)  # type: ignore[arg-type]


async def literal() -> Answer[BoxResponseDTO]:
    return Envelope.success({"id": 1})  # type: ignore[arg-type]


async def bare() -> Answer[BoxResponseDTO]:
    return {"id": 1}  # type: ignore[return-value]


async def one_for_many() -> Answer[list[BoxResponseDTO]]:
    return Envelope.success(await use_cases().get())  # type: ignore[arg-type]


async def something_for_nothing() -> Answer[None]:
    return Envelope.success(await use_cases().get())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("handler", "mismatch"),
    [
        (other, "its data are LidResponseDTO"),
        (other_by_name, "its data are LidResponseDTO"),
        (wider, "its data are BoxResponseDTO"),
        (other_stream, "its data are list[LidResponseDTO]"),
        (other_page, "its data are list[LidResponseDTO]"),
        (literal, "its data are a dict"),
        (bare, "it answers a dict"),
        (one_for_many, "its data are BoxResponseDTO"),
        (something_for_nothing, "its data are BoxResponseDTO"),
    ],
)
def test_what_answers_something_else_is_found(
    handler: Callable[[], Awaitable[object]], mismatch: str
) -> None:
    found = find_mismatch(handler)

    assert found is not None
    assert found.replace(f"{__name__}.", "") == mismatch
