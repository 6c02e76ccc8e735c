"""Routes are registered as Quart does it, and those that could not be served end the start."""

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field
from quart import Response, abort, current_app, g, request, session, websocket
from werkzeug.local import LocalProxy

from quart_fleet.dto import Duration, Integer, Matching, RequestDTO, ResponseDTO, Text
from quart_fleet.errors import ConflictError, NotFoundError, UnauthorizedError
from quart_fleet.openapi import describe
from quart_fleet.openapi._examples import NoExampleError, example_of
from quart_fleet.web import Answer, Blueprint, Envelope
from tests.chassis.services import make_service
from tests.openapi.documents import ensure_valid, operations_of, resolved

current_user: Any = LocalProxy(lambda: g.user)


class SizeDTO(RequestDTO):
    """A body."""

    size: Integer


@pytest.fixture
def bp() -> Blueprint:
    return Blueprint("boxes", __name__)


async def test_one_function_answers_several_routes_each_with_its_own_declaration(
    bp: Blueprint,
) -> None:
    @bp.post("/a", raises=[ConflictError])
    @bp.post("/b")
    @bp.put("/b", raises=[NotFoundError])
    async def create(dto: SizeDTO) -> Answer[int]:
        return Envelope.success(dto.size)

    @bp.get("/c", raises=[ConflictError])
    @bp.get("/d", media_type="text/csv")
    async def get() -> Answer[int]:
        return Envelope.success(1)

    app = make_service(bp)
    client = app.test_client()
    operations = operations_of(await describe(app))

    for path in ("a", "b"):
        answer = await client.post(f"/api/v1/{path}", json={"size": 2})
        assert (await answer.get_json())["data"] == 2
    assert "409" in operations["POST /api/v1/a"]["responses"]
    assert "409" not in operations["POST /api/v1/b"]["responses"]
    assert "404" in operations["PUT /api/v1/b"]["responses"]
    assert "404" not in operations["POST /api/v1/b"]["responses"]
    assert "409" in operations["GET /api/v1/c"]["responses"]
    assert "409" not in operations["GET /api/v1/d"]["responses"]
    assert [*operations["GET /api/v1/d"]["responses"]["200"]["content"]] == ["text/csv"]


class Slotted:
    """A callable without a `__dict__`."""

    __slots__ = ()

    def __call__(self) -> Response:
        return Envelope.success("called")


async def test_what_is_no_function_is_served_and_described(bp: Blueprint) -> None:
    bp.add_url_rule("/called", "called", Slotted(), raises=[ConflictError])
    app = make_service(bp)

    answer = await app.test_client().get("/api/v1/called")
    responses = operations_of(await describe(app))["GET /api/v1/called"]["responses"]

    assert (await answer.get_json())["data"] == "called"
    assert "409" in responses


async def test_the_same_blueprint_is_mounted_twice(bp: Blueprint) -> None:
    @bp.post("", raises=[ConflictError])
    async def create(dto: SizeDTO) -> Answer[int]:
        return Envelope.success(dto.size)

    outer = Blueprint("outer", __name__)
    outer.register_blueprint(bp, url_prefix="/one")
    outer.register_blueprint(bp, url_prefix="/<int:which>/two", name="again")
    app = make_service(outer)
    operations = operations_of(await describe(app))

    assert "409" in operations["POST /api/v1/one"]["responses"]
    assert "409" in operations["POST /api/v1/{which}/two"]["responses"]


Handler = Callable[..., Awaitable[Any]]


def login_required(function: Handler) -> Handler:
    """Refuse callers that are not known."""

    @wraps(function)
    async def ask(*args: object, **values: object) -> object:
        if "Authorization" not in request.headers:
            abort(401)
        return await function(*args, **values)

    return ask


def noting(function: Handler) -> Handler:
    """Count, and give the controller the count."""

    @wraps(function)
    async def count(**values: object) -> object:
        return await function(count=1, **values)

    return count


async def test_before_request_asks_before_the_body_is_parsed(bp: Blueprint) -> None:
    @bp.before_request
    async def ask() -> None:
        if "Authorization" not in request.headers:
            raise UnauthorizedError

    @bp.post("/a", raises=[UnauthorizedError])
    async def create(dto: SizeDTO) -> Answer[int]:
        return Envelope.success(dto.size)

    app = make_service(bp)
    client, known = app.test_client(), {"Authorization": "Bearer x"}
    unknown = await client.post("/api/v1/a", json={"size": "many"})
    refused = await client.post("/api/v1/a", json={"size": "many"}, headers=known)

    assert (unknown.status_code, refused.status_code) == (401, 422)
    assert "401" in operations_of(await describe(app))["POST /api/v1/a"]["responses"]


async def test_decorators_run_before_the_body_is_parsed(bp: Blueprint) -> None:
    @bp.post("/a")
    @bp.post("/b")
    @login_required
    @noting
    async def create(dto: SizeDTO, count: int) -> Answer[int]:
        return Envelope.success(dto.size + count)

    again = Blueprint("again", __name__)
    again.post("/c")(create)
    outer = Blueprint("outer", __name__)
    outer.register_blueprint(bp)
    outer.register_blueprint(again)
    app = make_service(outer)
    client, known = app.test_client(), {"Authorization": "Bearer x"}

    for path in ("a", "b", "c"):
        unknown = await client.post(f"/api/v1/{path}", json={"size": "many"})
        refused = await client.post(f"/api/v1/{path}", json={"size": "many"}, headers=known)
        done = await client.post(f"/api/v1/{path}", json={"size": 2}, headers=known)
        assert (unknown.status_code, refused.status_code) == (401, 422)
        assert (await done.get_json())["data"] == 3
        answers = operations_of(await describe(app))[f"POST /api/v1/{path}"]["responses"]
        assert {"200", "401", "422"} <= {*answers}


async def by_union(dto: SizeDTO | None) -> Answer[None]:
    return Envelope.success(None)


async def with_a_default(dto: SizeDTO | None = None) -> Answer[None]:
    return Envelope.success(None)


async def in_a_list(dto: list[SizeDTO]) -> Answer[None]:
    return Envelope.success(None)


async def unread(dto: "Unimported") -> Answer[None]:  # type: ignore[name-defined]  # noqa: F821
    return Envelope.success(None)


async def misspelt(recordid: int) -> Answer[None]:
    return Envelope.success(None)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (by_union, "by itself"),
        (with_a_default, "by itself"),
        (login_required(by_union), "by itself"),
        (in_a_list, "by itself"),
        (unread, "import it outside of TYPE_CHECKING"),
        (misspelt, "'recordid'"),
    ],
)
def test_a_parameter_that_nothing_fills_ends_the_start(
    handler: Handler, said: str, bp: Blueprint
) -> None:
    bp.post("/boxes/<id:record_id>")(handler)

    with pytest.raises(TypeError, match=rf"/boxes/<id:record_id>: .*{said}"):
        make_service(bp)


async def test_a_type_of_the_checker_alone_hides_no_other(bp: Blueprint) -> None:
    async def create(dto: "SizeDTO") -> "Unimported":  # type: ignore[name-defined]  # noqa: F821
        return Envelope.success(dto.size)

    bp.post("/boxes")(create)
    answer = await make_service(bp).test_client().post("/api/v1/boxes", json={"size": 2})

    assert (await answer.get_json())["data"] == 2


async def test_what_a_path_or_a_default_or_a_decorator_fills_is_left_alone(bp: Blueprint) -> None:
    @bp.get("/boxes/<id:record_id>", defaults={"size": 2})
    @noting
    async def get(record_id: int, size: int, count: int, more: int = 3) -> Answer[list[int]]:
        return Envelope.success([record_id, size, count, more])

    async def every(**values: Any) -> Answer[list[str]]:
        return Envelope.success([*values])

    bp.get("/lids/<id:record_id>")(every)
    client = make_service(bp).test_client()

    found = await (await client.get("/api/v1/boxes/7")).get_json()
    assert found["data"] == [7, 2, 1, 3]
    assert (await (await client.get("/api/v1/lids/7")).get_json())["data"] == ["record_id"]


async def test_a_service_may_own_what_the_chassis_names() -> None:
    docs, health = Blueprint("docs", __name__, url_prefix="/docs"), Blueprint("health", __name__)

    @docs.get("")
    async def list_all() -> Answer[list[str]]:
        return Envelope.success(["own"])

    @docs.delete("/<id:record_id>")
    async def delete(record_id: int) -> Answer[int]:
        return Envelope.success(record_id)

    @health.get("/openapi.json")
    async def openapi() -> Answer[str]:
        return Envelope.success("own")

    @health.get("/health")  # which pods are asked for, and stays the chassis's
    async def status() -> Answer[str]:
        return Envelope.success("own")

    docs.register_blueprint(health, url_prefix="/inner")
    for settings in ({}, {"DEBUG": True}, {"DOCS": True}):
        app = make_service(docs, settings)
        client = app.test_client()
        operations = operations_of(await describe(app))

        assert (await (await client.get("/api/v1/docs")).get_json())["data"] == ["own"]
        assert (await client.get("/api/v1/docs/page.css")).status_code == 404
        assert (await client.delete("/api/v1/docs/3")).status_code == 200
        assert {"GET /api/v1/docs", "DELETE /api/v1/docs/{record_id}"} <= {*operations}

        app = make_service(health, settings)
        found = await (await app.test_client().get("/api/v1/openapi.json")).get_json()
        operation = operations_of(await describe(app))["GET /api/v1/openapi.json"]
        assert found["data"] == "own"
        assert [*operation["responses"]["200"]["content"]] == ["application/json"]
        assert "schema" in operation["responses"]["200"]["content"]["application/json"]
        found = await (await app.test_client().get("/api/v1/health")).get_json()
        described = operations_of(await describe(app))["GET /api/v1/health"]
        assert found["data"] == {"status": "healthy"}
        assert described["operationId"] == "health"


async def test_no_route_of_a_controller_is_left_out(bp: Blueprint, tmp_path: Path) -> None:
    """Files of a static folder are, which are no controller's."""

    @bp.get("/ecstatic")
    async def get_by_static() -> Answer[int]:
        return Envelope.success(1)

    @bp.get("/static")
    async def static() -> Answer[int]:
        return Envelope.success(1)

    (tmp_path / "files").mkdir()
    files = Blueprint("files", __name__, static_folder=str(tmp_path / "files"), url_prefix="/files")
    bp.register_blueprint(files)
    paths = (await describe(make_service(bp)))["paths"]

    assert {"/api/v1/ecstatic", "/api/v1/static"} <= {*paths}
    assert not any("filename" in each for each in paths)


async def test_no_object_of_a_request_is_asked_by_the_document(bp: Blueprint) -> None:
    asked = []

    class Lazy:
        @property
        def items(self) -> object:
            asked.append(self)
            raise OSError

    lazy = Lazy()

    @bp.get("/boxes")
    async def list_all() -> Answer[str]:
        wanted = request.headers.get("X-Wanted", "")
        g.user.count(current_app.config.get("SERVICE_NAME"))
        if request.args.is_wrong():  # type: ignore[attr-defined]
            raise request.errors.Wrong(session.user.id)  # type: ignore[attr-defined]
        lazy.items.append(websocket.args.get(wanted))  # type: ignore[attr-defined]
        return Envelope.success(await current_user().find())

    @bp.get("/boxes/first")
    async def get() -> Answer[str]:
        return Envelope.success(await g().find(), "First", HTTPStatus.ACCEPTED.value)  # type: ignore[operator]

    app = make_service(bp)
    outside = await describe(app)
    served = await (await app.test_client().get("/api/v1/openapi.json")).get_json()

    assert outside == served
    assert asked == []
    assert "202" in operations_of(outside)["GET /api/v1/boxes/first"]["responses"]


class WordDTO(RequestDTO):
    """A body, of Rust's patterns and the document's."""

    letters: Annotated[Text, Matching(r"\p{L}+")]
    ended: Annotated[str, Field(pattern=r"\A[a-z]+\z")]
    lasts: Duration
    part: Annotated[str, Field(pattern="d")]


async def test_patterns_in_the_syntax_of_rust_have_examples(bp: Blueprint) -> None:
    @bp.post("/words")
    async def create(dto: WordDTO) -> Answer[str]:
        return Envelope.success(dto.letters)

    client = make_service(bp).test_client()
    document = await (await client.get("/api/v1/openapi.json")).get_json()
    body = operations_of(document)["POST /api/v1/words"]["requestBody"]["content"]
    answer = await client.post("/api/v1/words", json=body["application/json"]["example"])

    assert answer.status_code == 200


def test_a_pattern_that_no_engine_reads_has_no_example() -> None:
    with pytest.raises(NoExampleError):
        example_of({"type": "string", "pattern": r"(?=\p{L})"}, {})


class Error(ResponseDTO):
    """An owner's, of a name that the document uses."""

    code: int


async def test_components_have_names_of_their_own_in_ascii(bp: Blueprint) -> None:
    @bp.get("/a")
    async def get_a() -> Answer[Error]:
        return Envelope.error("Größe fehlt", 404)

    @bp.get("/b")
    async def get_b() -> Answer[int]:
        return Envelope.error("Größe fehlt", 400)

    @bp.get("/c")
    async def get_c() -> Answer[int]:
        return Envelope.error("不行", 400)

    @bp.get("/d")
    async def get_d() -> Answer[int]:
        return Envelope.error("也不行", 400)

    document = await describe(make_service(bp))
    operations = operations_of(document)
    ensure_valid(document)

    for route, status, message in (
        ("a", "404", "Größe fehlt"),
        ("b", "400", "Größe fehlt"),
        ("c", "400", "不行"),
        ("d", "400", "也不行"),
    ):
        answer = operations[f"GET /api/v1/{route}"]["responses"][status]
        found = resolved(document, answer)["content"]["application/json"]
        assert found["example"]["message"] == message
        assert "success" in resolved(document, found["schema"])["properties"]
    for kind in document["components"].values():
        assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in kind)
    names = [each["operationId"] for each in operations.values()]
    assert len({*names}) == len(names)


async def test_operations_have_names_of_their_own(bp: Blueprint) -> None:
    @bp.get("/a")
    @bp.get("/b")
    @bp.get("/c")
    async def get() -> Answer[int]:
        return Envelope.success(1)

    operations = operations_of(await describe(make_service(bp)))

    assert len({each["operationId"] for each in operations.values()}) == len(operations)
