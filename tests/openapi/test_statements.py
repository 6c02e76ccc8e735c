"""What a controller answers is read in its source: its statuses, and what it does not declare."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import pytest
import quart
from quart import Response, abort, jsonify, make_response

from quart_fleet.dto import ResponseDTO
from quart_fleet.errors import ConflictError, ForbiddenError, NotFoundError, ServiceError
from quart_fleet.openapi._statements import find_mismatch, statements_of
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


async def known_where_it_is_used() -> Answer[BoxResponseDTO]:
    found = None
    if unknown:
        found = await use_cases().get()
    if found is None:
        return Envelope.error("No")
    return Envelope.success(found)


async def never() -> Answer[BoxResponseDTO]:
    abort(404)


async def by_a_keyword() -> Answer[BoxResponseDTO]:
    cases = use_cases()
    return Envelope.success(message="Found", data=await cases.get_large())


async def several_large() -> Answer[list[BoxResponseDTO]]:
    one = await use_cases().get_large()
    if unknown:
        return Envelope.success([BoxResponseDTO(id=each.id) for each in unknown])
    return Envelope.success([one, *unknown, unknown, LargeBoxResponseDTO(id=1, size=2)])


async def numbers() -> Answer[list[int]]:
    return Envelope.success([1, 2])


async def nothing_by_name() -> Answer[None]:
    found = None
    return Envelope.success(found)


def refuse() -> NoReturn:
    raise ForbiddenError


async def never_by_a_module() -> Answer[BoxResponseDTO]:
    quart.abort(410)


async def never_by_a_function() -> Answer[BoxResponseDTO]:
    refuse()


async def with_headers() -> Answer[BoxResponseDTO]:
    response = await make_response(Envelope.success(await use_cases().get(), "Made", 201))
    response.headers["X-Own"] = "1"
    return response  # type: ignore[return-value]


async def not_modified() -> Answer[BoxResponseDTO]:
    if unknown:
        return Response(status=304)  # type: ignore[return-value]
    return Envelope.success(await use_cases().get())


@pytest.mark.parametrize(
    "handler",
    [
        *(at_once, derived, in_stream, nothing, not_known, refused, undeclared, of_its_own),
        *(with_inner_functions, known_where_it_is_used, never, with_headers, not_modified),
        *(never_by_a_module, never_by_a_function),
        *(by_a_keyword, several_large, numbers, nothing_by_name),
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


async def other_at_once() -> Answer[BoxResponseDTO]:
    return Envelope.success(LidResponseDTO(id=1))  # type: ignore[arg-type]


async def other_with_a_type() -> Answer[BoxResponseDTO]:
    found: Any = await use_cases().get_lid()
    return Envelope.success(found)


async def in_json() -> Answer[BoxResponseDTO]:
    return jsonify({"id": 1})  # type: ignore[return-value]


async def without_the_envelope() -> Answer[BoxResponseDTO]:
    return Response("x", 418)  # type: ignore[return-value]


async def bare_by_name() -> Answer[BoxResponseDTO]:
    answer = {"id": 1}
    return answer  # type: ignore[return-value]  # noqa: RET504 - by its name


async def several() -> Answer[BoxResponseDTO]:
    return Envelope.success([one for one in unknown])  # type: ignore[arg-type]  # noqa: C416 - a comprehension


async def on_one_side() -> Answer[BoxResponseDTO]:
    return Envelope.success(await use_cases().get() if unknown else None)  # type: ignore[arg-type]


async def literal_by_a_keyword() -> Answer[BoxResponseDTO]:
    return Envelope.success(data={"id": 1})  # type: ignore[arg-type]


async def other_by_a_keyword() -> Answer[BoxResponseDTO]:
    return Envelope.success(data=await use_cases().get_lid())  # type: ignore[arg-type]


async def other_of_named_use_cases() -> Answer[BoxResponseDTO]:
    cases = use_cases()
    return Envelope.success(await cases.get_lid())  # type: ignore[arg-type]


async def literal_for_nothing() -> Answer[None]:
    return Envelope.success({"id": 1})  # type: ignore[arg-type]


async def record_for_nothing() -> Answer[None]:
    return Envelope.success(LidResponseDTO(id=1))  # type: ignore[arg-type]


async def literals_in_a_list() -> Answer[list[BoxResponseDTO]]:
    return Envelope.success([{"id": 1}])  # type: ignore[list-item]


async def others_in_a_list() -> Answer[list[BoxResponseDTO]]:
    return Envelope.success([LidResponseDTO(id=each) for each in unknown])  # type: ignore[misc]


async def literal_for_many() -> Answer[list[BoxResponseDTO]]:
    return Envelope.success({"id": 1})  # type: ignore[arg-type]


async def without_a_return() -> Answer[None]:  # type: ignore[return]
    await use_cases().delete()


@pytest.mark.parametrize(
    ("handler", "mismatch"),
    [
        (other_at_once, "its data are LidResponseDTO"),
        (other_with_a_type, "its data are LidResponseDTO"),
        (in_json, "it answers jsonify(...) without the envelope"),
        (without_the_envelope, "it answers Response(...) without the envelope"),
        (bare_by_name, "it answers a dict"),
        (several, "its data are a list"),
        (on_one_side, "its data are a constant"),
        (without_a_return, "it answers nothing"),
        (literal_by_a_keyword, "its data are a dict"),
        (other_by_a_keyword, "its data are LidResponseDTO"),
        (other_of_named_use_cases, "its data are LidResponseDTO"),
        (literal_for_nothing, "its data are a dict"),
        (record_for_nothing, "its data are LidResponseDTO"),
        (literals_in_a_list, "its data are a list with a dict"),
        (others_in_a_list, "its data are a list with LidResponseDTO"),
        (literal_for_many, "its data are a dict"),
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


class Named(Envelope):
    """An owner's, with methods of its own."""

    @classmethod
    def created(cls, data: object) -> Answer[Any]:
        return cls.success(data, "Created", 201)


MADE = 201


def made(box: object) -> Answer[Any]:
    if not box:
        raise NotFoundError("Box")
    return Envelope.success(box, "Made", MADE)


def made_with(box: object, code: int) -> Answer[Any]:
    return Envelope.success(box, "Made", code)


def again(count: int) -> Answer[Any]:
    return again(count - 1) if count else Envelope.success(None, "Done", 202)


async def by_a_function() -> Answer[None]:
    return made(None)


async def by_a_method() -> Answer[None]:
    return Named.created(None)


async def by_itself() -> Answer[None]:
    return again(2)


async def by_an_inner_function() -> Answer[None]:
    def kept() -> Answer[None]:
        return Envelope.success(None, "Kept", 202)

    return kept()


async def either() -> Answer[None]:
    return Envelope.success(None, "Kept", 201 if unknown else 200)


async def either_answer() -> Answer[None]:
    return Envelope.success(None, status=201) if unknown else Envelope.error("No", 409)


async def by_name() -> Answer[None]:
    status: int
    status = 200
    if unknown:
        status = 201
    answer = Envelope.success(None, "Kept", status)
    answer.headers["ETag"] = "1"
    return answer


@pytest.mark.parametrize(
    ("handler", "statuses"),
    [
        (by_a_function, [201]),
        (by_a_method, [201]),
        (by_itself, [202]),
        (by_an_inner_function, [202]),
        (either, [200, 201]),
        (either_answer, [201, 409]),
        (by_name, [200, 201]),
        (at_once, [200]),
        (in_stream, [200]),
        (with_headers, [201]),
        (not_modified, [200]),
    ],
)
def test_a_status_is_read_where_it_stands(
    handler: Callable[[], Awaitable[object]], statuses: list[int]
) -> None:
    found = statements_of(handler)

    assert sorted({each.status for each in found.answers}) == statuses
    assert found.unseen is None
    assert found.raised == ((NotFoundError,) if handler is by_a_function else ())


def check(box: object) -> None:
    check_lid(box)
    if not box:
        raise ForbiddenError


def check_lid(box: object) -> None:
    if unknown:
        check(box)
    abort(410)


async def wait() -> None:
    raise ConflictError("Waiting")


async def raised_by_name() -> Answer[None]:
    error = ConflictError("Box is shut")
    raise error


async def raised_by_a_condition() -> Answer[None]:
    raise (NotFoundError("Box") if unknown else ConflictError("Box is shut"))


async def raised_by_functions() -> Answer[None]:
    check(unknown)
    return Envelope.success(None)


async def raised_by_a_coroutine() -> Answer[None]:
    await wait()
    return Envelope.success(None)


async def raised_of_an_import() -> Answer[None]:
    from quart_fleet.errors import UnauthorizedError as Unknown  # noqa: PLC0415

    raise Unknown


async def raised_again() -> Answer[None]:
    last = None
    try:
        await use_cases().delete()
    except (KeyError, ValueError) as error:
        last = error
    except OSError as error:
        raise error
    except ServiceError:
        raise
    if last:
        raise last
    return Envelope.success(None)


async def aborted_by_a_keyword() -> Answer[None]:
    abort(code=410)


async def aborted_by_a_module() -> Answer[None]:
    import quart as web  # noqa: PLC0415 - a controller's own

    web.abort(410, "Gone")


@pytest.mark.parametrize(
    ("handler", "statuses", "raised"),
    [
        (raised_by_name, [], ["ConflictError"]),
        (raised_by_a_condition, [], ["NotFoundError", "ConflictError"]),
        (raised_by_functions, [200, 410], ["ForbiddenError"]),
        (raised_by_a_coroutine, [200], ["ConflictError"]),
        (raised_of_an_import, [], ["UnauthorizedError"]),
        (raised_again, [200], []),
        (aborted_by_a_keyword, [410], []),
        (aborted_by_a_module, [410], []),
    ],
)
def test_what_is_raised_is_read_through_names_and_functions_of_the_module(
    handler: Callable[[], Awaitable[object]], statuses: list[int], raised: list[str]
) -> None:
    found = statements_of(handler)

    assert [each.status for each in found.answers] == statuses
    assert [each.__name__ for each in found.raised] == raised
    assert found.unseen is None


class Order:
    status = "open"


async def with_a_status_of_something_else() -> Answer[None]:
    order = Order()
    order.status = "paid"
    return Envelope.success(None)


def test_a_status_of_a_record_is_none_of_an_answer() -> None:
    assert statements_of(with_a_status_of_something_else).unseen is None


async def status_set() -> Answer[None]:
    answer = Envelope.success(None)
    answer.status_code = 202
    return answer


async def status_set_of_a_function() -> Answer[None]:
    answer = made(None)
    answer.status = "202 Accepted"
    return answer


async def raised_by_something() -> Answer[None]:
    raise unknown.error()


async def computed() -> Answer[None]:
    return Envelope.success(None, "Kept", unknown.status)


async def counted() -> Answer[None]:
    status = 200
    status += 1
    return Envelope.success(None, "Kept", status)


async def computed_by_a_function() -> Answer[None]:
    return made_with(None, 201)


async def with_arguments(*given: Any) -> Answer[None]:
    return Envelope.success(*given)


async def with_keywords(**given: Any) -> Answer[None]:
    return Envelope.success(None, **given)


async def aborted() -> Answer[None]:
    abort(unknown.status)


async def by_something() -> Answer[None]:
    return unknown.made(None)  # type: ignore[no-any-return]


async def by_a_parameter(made: Callable[[object], Answer[None]]) -> Answer[None]:
    return made(None)


async def set_again(status: int = 201) -> Answer[None]:
    if unknown:
        status = 200
    return Envelope.success(None, "Kept", status)


@pytest.mark.parametrize(
    ("handler", "unseen"),
    [
        (computed, "the status of Envelope.success(...)"),
        (set_again, "the status of Envelope.success(...)"),
        (counted, "the status of Envelope.success(...)"),
        (computed_by_a_function, "the status of Envelope.success(...)"),
        (with_arguments, "the status of Envelope.success(...)"),
        (with_keywords, "the status of Envelope.success(...)"),
        (aborted, "the status of abort(...)"),
        (by_something, "what unknown.made(...) answers"),
        (by_a_parameter, "what made(...) answers"),
        (status_set, "the status of answer"),
        (status_set_of_a_function, "the status of answer"),
        (raised_by_something, "what unknown.error(...) is, which is raised"),
    ],
)
def test_what_the_source_does_not_show_is_told(
    handler: Callable[[], Awaitable[object]], unseen: str
) -> None:
    assert statements_of(handler).unseen == unseen
