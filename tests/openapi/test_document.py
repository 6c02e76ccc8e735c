"""The document says what controllers declare, in the forms in which values are really read and written."""

import asyncio
import json
import threading
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from quart import Blueprint as QuartBlueprint
from quart import Quart, Response

from quart_fleet.dto import (
    LEFT_OUT,
    Date,
    DateTime,
    DateTimeText,
    Digits,
    Duration,
    DurationText,
    Email,
    Fixed,
    Float,
    Id,
    Ids,
    Initially,
    Integer,
    Json,
    Matching,
    PatchDTO,
    RequestDTO,
    ResponseDTO,
    Ruled,
    Text,
    Time,
    Url,
)
from quart_fleet.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
)
from quart_fleet.listing import Listing
from quart_fleet.openapi import describe, write
from quart_fleet.paging import ListQuery
from quart_fleet.settings import ServiceSettings
from quart_fleet.web import Answer, Blueprint, Envelope
from tests.chassis.services import make_service
from tests.openapi.documents import (
    Document,
    ensure_valid,
    find_fault,
    lacking_examples,
    operations_of,
    resolved,
)


class State(StrEnum):
    OPEN = "open"
    PAID = "paid"


class CreateBoxDTO(RequestDTO):
    """The body that creates a box."""

    label: Annotated[Text, Field(max_length=20)]
    code: Annotated[Text, Matching("[A-C]{1,3}")]
    price: Annotated[Decimal, Digits(10, 2)]
    owner: Email
    site: Url | None = None
    packed_on: Date | None = None
    at: Time | None = None
    since: DateTime | None = None
    lasts: Duration | None = None
    extra: Json | None = None
    shelf_ids: Ids = ()
    state: Annotated[State, Initially(State.OPEN)] = State.OPEN


class PatchBoxDTO(PatchDTO):
    """The body that patches a box."""

    label: Annotated[Text, Field(max_length=20)] = LEFT_OUT
    size: Integer | None = LEFT_OUT
    code: Fixed = LEFT_OUT


class UpdateBoxDTO(RequestDTO):
    """The body that updates a box."""

    size: Integer | None = None


class BoxResponseDTO(ResponseDTO):
    """A box in an answer."""

    id: int
    label: str
    price: Decimal
    packed_on: date | None
    at: time | None
    lasts: DurationText
    since: DateTimeText
    state: State
    created_at: datetime


class Days(BaseModel):
    """Query parameters of an owner's own."""

    days: int = Field(ge=1, le=31)
    unit: str = "day"


BOXES = Listing(
    {"label": Text | None, "price": Annotated[Decimal, Digits(10, 2)], "shelf_id": Id | None},
    unique=["label"],
    indexes=["shelf_id, -price"],
    search=["label"],
)
BOX = BoxResponseDTO(
    id=1, label="a", price=Decimal("1.50"), packed_on=date(2026, 11, 23), at=time(9, 24),
    lasts=timedelta(minutes=90), since=datetime(2026, 11, 23, 9, 24), state=State.OPEN,  # type: ignore[arg-type]  # noqa: DTZ001
    created_at=datetime(2026, 11, 23, 9, 24),  # noqa: DTZ001 - without an offset it is in UTC
)  # fmt: skip


class QuotaError(ServiceError):
    """An owner's own."""


bp = Blueprint("boxes", __name__)


@bp.get("/boxes")
async def list_all(query: Annotated[ListQuery | None, BOXES]) -> Answer[list[BoxResponseDTO]]:
    """Answer every box."""
    return Envelope.success([BOX] * (query.limit if query else 2))


@bp.get("/boxes/recent")
async def list_recent(query: Days) -> Answer[list[BoxResponseDTO]]:
    """Answer those of the last days."""
    return Envelope.page([BOX] * query.days, 1)


@bp.get("/boxes/<id:record_id>", raises=[NotFoundError, UnauthorizedError, ForbiddenError])
async def get(record_id: int) -> Answer[BoxResponseDTO]:
    """Answer one box.

    Its price is the present one.
    """
    if record_id == 9:
        raise NotFoundError("Box")
    return Envelope.success(BOX)


@bp.post("/boxes", raises=[AlreadyExistsError, QuotaError])
async def create(dto: CreateBoxDTO) -> Answer[BoxResponseDTO]:
    """Create a box."""
    return Envelope.success(BOX, f"{dto.label} is kept", status=201)


@bp.patch("/boxes/<id:record_id>", raises=[NotFoundError, ConflictError])
async def patch(record_id: int, dto: PatchBoxDTO) -> Answer[BoxResponseDTO]:
    """Patch a box."""
    return Envelope.success(BOX, "Box updated successfully")


@bp.put("/boxes/<id:record_id>")
async def update(record_id: int, dto: UpdateBoxDTO) -> Answer[None]:
    """Update a box."""
    if dto.size == 1:
        raise ConflictError("Box is in use")
    if dto.size == 2:
        return Envelope.error("No more room", 429)
    return Envelope.success(None, "Done", 202)


@bp.get("/boxes.csv", media_type="text/csv")
async def export() -> Response:
    """Answer all as a table."""
    return Response("1", content_type="text/csv")


@bp.get("/undeclared")
async def undeclared() -> Response:
    """Answer something."""
    return Envelope.success(1)


class Versioned(Envelope):
    """An owner's, with a key more and another one's name."""

    @classmethod
    def respond(cls, payload: dict[str, object], status: int) -> Response:
        if "data" in payload:
            payload["result"] = {"inner": payload.pop("data")}
        return super().respond(payload | {"version": 7, "at": "now"}, status)


def make(settings: Mapping[str, object] | None = None) -> Quart:
    return make_service(bp, settings, statuses={QuotaError: 429})


@pytest.fixture
async def document() -> Document:
    return await describe(make())


async def test_it_is_a_document_of_openapi_whose_examples_are_true(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    assert ensure_valid(document) > 20
    assert lacking_examples(document) == []


OTHER_SETTINGS: dict[str, object] = {
    "DATABASE_PASSWORD": "another",
    "DATABASE_URL": "postgresql://ada@elsewhere/app",
    "PROTECTED": True,
    "DB_ECHO": True,
    "DB_POOL_SIZE": 3,
    "DB_CONNECTION_LIFETIME": 60,
    "DATABASE_POOLER": "pgbouncer",
    "DEBUG": True,
    "TESTING": True,
    "DOCS": True,
    "SECRET_KEY": "another one of the tests",
    "SERVICE_NAME": "zzz",
    "SERVICE_PORT": 9999,
    "HOST": "0.0.0.0",
    "KEEP_ALIVE_TIMEOUT": 9,
    "REQUEST_TIMEOUT": 9,
    "GRACEFUL_TIMEOUT": 9,
    "MAX_CONNECTIONS": 11,
    "MAX_HEAD_SIZE": 2048,
    "MAX_HEADERS": 11,
    "HEAD_TIMEOUT": 9,
    "SEND_TIMEOUT": 9,
    "MAX_RUNNING_REQUESTS": 9,
    "MAX_BODY_MEMORY": 2**21,
    "TRUSTED_PROXIES": "10.0.0.0/8",
    "CALL_TIMEOUT": 9,
    "MAX_RUNNING_CALLS": 9,
    "MAX_ANSWER_SIZE": 9,
    "SERVICE_REGISTRY_URL": "http://registry",
    "SERVICE_REGISTRY_TOKEN": "of-the-registry",
    "SERVICE_ADDRESS": "10.0.0.7",
    "MAX_CONTENT_LENGTH": 9,
    "CORS_ORIGINS": "https://app.example.com",
    "LOG_LEVEL": "WARNING",
    "LOG_FORMAT": "json",
    "METRICS_PORT": 9998,
    "LIVE_FOLDER": "/tmp/live",
    "SERVICE_VERSION": "9",
}
"""Another value of each."""


def test_every_setting_is_varied() -> None:
    fields = {name.upper() for name in ServiceSettings.model_fields}

    assert set(OTHER_SETTINGS) == fields


@pytest.mark.parametrize("name", [*OTHER_SETTINGS, "all"])
async def test_it_is_the_same_whatever_the_settings_are(name: str) -> None:
    settings = OTHER_SETTINGS if name == "all" else {name: OTHER_SETTINGS[name]}

    assert write(await describe(make(settings))) == write(await describe(make()))


async def test_it_is_served(document: Document) -> None:
    response = await make().test_client().get("/api/v1/openapi.json")

    assert response.content_type == "application/json"
    assert await response.get_json() == document


async def test_it_is_made_once_beside_the_loop_and_known_by_its_etag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []

    async def described(app: Quart) -> Document:
        threads.append(threading.current_thread())
        return await describe(app)

    monkeypatch.setattr("quart_fleet.openapi.describe", described)
    client = make().test_client()

    first, second = await asyncio.gather(*(client.get("/api/v1/openapi.json") for _ in range(2)))
    kept = await client.get(
        "/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert await first.get_data() == await second.get_data()
    assert first.headers["ETag"] == second.headers["ETag"] == kept.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    assert (kept.status_code, await kept.get_data()) == (304, b"")
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_why_there_is_none_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Quart] = []

    async def described(app: Quart) -> Document:
        asked.append(app)
        raise RuntimeError("an owner's type without a schema")

    monkeypatch.setattr("quart_fleet.openapi.describe", described)
    client = make().test_client()

    answers = [await client.get("/api/v1/openapi.json") for _ in range(3)]

    assert [each.status_code for each in answers] == [500] * 3
    assert len(asked) == 1


async def test_an_operation_is_named_after_its_function_and_what_it_is_about(
    document: Document,
) -> None:
    names = {key: each["operationId"] for key, each in operations_of(document).items()}

    assert {key: name for key, name in names.items() if "boxes" in key or "undecl" in key} == {
        "GET /api/v1/boxes": "list_boxes",
        "GET /api/v1/boxes/recent": "list_boxes_recent",
        "GET /api/v1/boxes/{record_id}": "get_box",
        "POST /api/v1/boxes": "create_box",
        "PATCH /api/v1/boxes/{record_id}": "patch_box",
        "PUT /api/v1/boxes/{record_id}": "update_box",
        "GET /api/v1/boxes.csv": "export_box",
        "GET /api/v1/undeclared": "undeclared_box",
    }
    assert len({*names.values()}) == len(names)


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("GET /api/v1/health", "200 405 500"),
        ("GET /api/v1/health/ready", "200 405 500 503"),
        ("GET /api/v1/boxes", "200 405 414 422 500 503"),
        ("GET /api/v1/boxes/recent", "200 400 405 422 500 503"),
        ("GET /api/v1/boxes/{record_id}", "200 401 403 404 405 500 503"),
        ("POST /api/v1/boxes", "201 400 405 408 413 415 422 429 500 503"),
        ("PATCH /api/v1/boxes/{record_id}", "200 400 404 405 408 409 413 415 422 500 503"),
        ("PUT /api/v1/boxes/{record_id}", "202 400 404 405 408 409 413 415 422 429 500 503"),
        ("GET /api/v1/boxes.csv", "200 405 500 503"),
    ],
)
async def test_every_status_that_can_occur_is_there(
    operation: str, statuses: str, document: Document
) -> None:
    assert " ".join(operations_of(document)[operation]["responses"]) == statuses


async def test_answers_tell_of_their_headers(document: Document) -> None:
    operations = operations_of(document)
    page = operations["GET /api/v1/boxes/recent"]["responses"]
    refused = operations["POST /api/v1/boxes"]["responses"]

    assert list(page["200"]["headers"]) == ["Link"]
    assert list(resolved(document, page["405"])["headers"]) == ["Allow"]
    for status in ("429", "503"):
        assert list(resolved(document, refused[status])["headers"]) == ["Retry-After"]


async def test_the_document_tells_of_its_own_etag(document: Document) -> None:
    answers = operations_of(document)["GET /api/v1/openapi.json"]["responses"]

    assert list(answers) == ["200", "304", "405", "500", "503"]
    assert list(answers["200"]["headers"]) == ["ETag"]
    assert "content" not in answers["304"]


async def test_a_redirection_tells_where_it_is_now() -> None:
    routes = Blueprint("moved", __name__)

    @routes.post("/moved")
    async def create() -> Answer[None]:
        answer = Envelope.success(None, "Moved", 303)
        answer.location = "/api/v1/boxes"
        return answer

    document = await describe(make_service(routes))
    client = make_service(routes).test_client()

    [headers] = [
        answer["headers"]
        for status, answer in operations_of(document)["POST /api/v1/moved"]["responses"].items()
        if status == "303"
    ]
    assert list(headers) == ["Location"]
    assert (await client.post("/api/v1/moved")).headers["Location"] == "/api/v1/boxes"
    ensure_valid(document)


async def test_a_controller_without_a_declaration_is_marked(document: Document) -> None:
    marked = [key for key, each in operations_of(document).items() if "x-undeclared" in each]

    assert marked == ["GET /api/v1/undeclared"]


async def test_a_status_that_is_computed_is_marked() -> None:
    routes = Blueprint("sums", __name__)

    @routes.post("/sums")
    async def create() -> Answer[int]:
        return Envelope.success(1, status=201 if BOX.id else 200)

    @routes.put("/sums")
    async def update() -> Answer[int]:
        return Envelope.success(1, status=int(BOX.label))

    operations = operations_of(await describe(make_service(routes)))
    marked = {key: each["x-unseen"] for key, each in operations.items() if "x-unseen" in each}

    assert {"200", "201"} <= operations["POST /api/v1/sums"]["responses"].keys()
    assert marked == {"PUT /api/v1/sums": "the status of Envelope.success(...)"}


async def test_what_a_list_can_be_asked_for_is_named(document: Document) -> None:
    parameters = {
        each["name"]: each["schema"]
        for each in operations_of(document)["GET /api/v1/boxes"]["parameters"]
    }

    assert list(parameters) == [*BOXES.parameters]
    assert parameters["price_min"]["type"] == "string"
    assert {"id", "-id", "label", "shelf_id", "-shelf_id", "-price"} <= {
        *parameters["sort"]["enum"]
    }
    assert parameters["shelf_id"]["items"]["anyOf"][1] == {"type": "string", "const": "null"}
    assert parameters["label_null"] == {"type": "string", "const": "true"}


async def test_every_sort_of_the_document_is_one(document: Document) -> None:
    [sort] = [
        each["schema"]["enum"]
        for each in operations_of(document)["GET /api/v1/boxes"]["parameters"]
        if each["name"] == "sort"
    ]
    client = make().test_client()

    for text in sort:
        answers = [
            (await client.get("/api/v1/boxes", query_string={"sort": text} | fixed)).status_code
            for fixed in ({}, {"label": "a"}, {"shelf_id": "1"})
        ]
        assert 200 in answers, text


def test_a_list_has_no_defaults_which_generated_clients_would_send(document: Document) -> None:
    parameters = operations_of(document)["GET /api/v1/boxes"]["parameters"]

    assert "sort" in {each["name"] for each in parameters}
    assert "default" not in str(parameters)


def test_what_may_be_sorted_by_has_names(document: Document) -> None:
    [sort] = [
        each["schema"]
        for each in operations_of(document)["GET /api/v1/boxes"]["parameters"]
        if each["name"] == "sort"
    ]
    names = dict(zip(sort["enum"], sort["x-enum-varnames"], strict=True))

    assert names["-label"] == "LABEL_DESCENDING"
    assert names["shelf_id,-price"] == "SHELF_ID_THEN_PRICE_DESCENDING"
    assert len({*names.values()}) == len(names)


def test_a_merge_patch_has_no_field_that_cannot_be_changed(document: Document) -> None:
    schema = document["components"]["schemas"]["PatchBoxDTO"]
    body = operations_of(document)["PATCH /api/v1/boxes/{record_id}"]["requestBody"]

    assert list(schema["properties"]) == ["label", "size"]
    assert "default" not in str(schema)
    assert list(body["content"]) == ["application/json"]
    assert "application/merge-patch+json too" in body["description"]


GOOD: dict[str, Any] = {
    "label": "a",
    "code": "AB",
    "price": "1.50",
    "owner": "ada@example.com",
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"price": 1.5},
        {"price": 2},
        {"price": "1.505"},
        {"price": "12345678901"},
        {"price": True},
        {"code": "ABCA"},
        {"code": "xAx"},
        {"label": "x" * 21},
        {"label": None},
        {"site": None},
        {"at": "09:24:02"},
        {"at": "09:24:02Z"},
        {"lasts": "PT1H30M"},
        {"lasts": "P1Y"},
        {"extra": {"a": None}},
        {"shelf_ids": [2, 1]},
        {"shelf_ids": [1, 1]},
        {"state": "open"},
        {"state": "paid"},
        {"unknown": 1},
    ],
)
async def test_a_body_is_taken_exactly_where_its_schema_says_so(
    changes: dict[str, Any], document: Document
) -> None:
    body = {**GOOD, **changes}
    schema = document["components"]["schemas"]["CreateBoxDTO"]

    response = await make().test_client().post("/api/v1/boxes", json=body)

    fault = find_fault(body, schema, document)
    assert (fault is None) is (response.status_code == 201), fault


class RuledDTO(RequestDTO):
    """A body whose entity has rules."""

    label: Annotated[Text, Field(max_length=20), Ruled(min_length=8, pattern="[A-Ca]*")]
    size: Annotated[Integer, Ruled(ge=10)]
    rate: Annotated[Float, Ruled(gt=0, le=0.5)] | None = None
    cost: Annotated[Decimal, Digits(10, 2), Ruled(ge=100)]
    gain: Annotated[Decimal, Digits(10, 2), Ruled(gt=0)]
    loss: Annotated[Decimal, Digits(3, 3), Ruled(le=Decimal("0.25"))]
    shelf_ids: Annotated[Ids, Ruled(min_length=2)]


RULED: dict[str, Any] = {
    "label": "AAAAAAAA",
    "size": 10,
    "rate": 0.25,
    "cost": 100,
    "gain": "0.01",
    "loss": "0.25",
    "shelf_ids": [1, 2],
}


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({}, False),
        ({"rate": None, "size": 11, "gain": 0.5}, False),
        ({"label": "AAAAAAA"}, True),
        ({"label": "XXXXXXXX"}, True),
        ({"size": 9}, True),
        ({"rate": 0}, True),
        ({"rate": 0.6}, True),
        ({"cost": 99.5}, True),
        ({"cost": "-100"}, True),
        ({"gain": "0.00"}, True),
        ({"gain": "-1"}, True),
        ({"gain": 0}, True),
        ({"loss": 0.3}, True),
        ({"shelf_ids": [1]}, True),
    ],
)
async def test_the_rules_of_an_entity_are_in_the_schema_and_in_no_answer(
    changes: dict[str, Any], is_refused: bool
) -> None:
    routes = Blueprint("ruled", __name__)

    @routes.post("/ruled")
    async def create(dto: RuledDTO) -> Answer[None]:
        return Envelope.success(None)

    app = make_service(routes)
    document = await describe(app)
    schema = document["components"]["schemas"]["RuledDTO"]
    body = operations_of(document)["POST /api/v1/ruled"]["requestBody"]["content"]

    assert (find_fault({**RULED, **changes}, schema, document) is not None) is is_refused
    answer = await app.test_client().post("/api/v1/ruled", json={**RULED, **changes})
    assert answer.status_code == 200  # for the entity names all that it refuses, with its own words
    example = body["application/json"]["example"]
    assert Decimal(example["cost"]) >= 100
    assert Decimal(example["loss"]) <= Decimal("0.25")
    ensure_valid(document)


@pytest.mark.parametrize("envelope", [Envelope, Versioned])
async def test_an_answer_is_as_its_schema_says_in_an_owners_envelope_too(
    envelope: type[Envelope],
) -> None:
    routes = Blueprint("things", __name__)

    @routes.get("/things")
    async def list_all() -> Answer[list[BoxResponseDTO]]:
        return envelope.success([BOX])

    @routes.get("/things/<id:record_id>")
    async def get(record_id: int) -> Answer[BoxResponseDTO]:
        if record_id:
            raise NotFoundError("Thing")
        return envelope.success(BOX)

    @routes.put("/things")
    async def update(dto: UpdateBoxDTO) -> Answer[None]:
        return envelope.success(None)

    app = make_service(routes, envelope=envelope)
    document = await describe(app)
    ensure_valid(document)
    client = app.test_client()

    for key, path in (
        ("GET /api/v1/things", "/things"),
        ("GET /api/v1/things/{record_id}", "/things/0"),
        ("GET /api/v1/things/{record_id}", "/things/1"),
        ("PUT /api/v1/things", "/things"),
    ):
        method = key.partition(" ")[0]
        response = await client.open(f"/api/v1{path}", method=method, json={"size": "x"})
        answers = operations_of(document)[key]["responses"]
        described = resolved(document, answers[str(response.status_code)])
        schema = described["content"]["application/json"]["schema"]
        answer = await response.get_json()
        assert find_fault(answer, schema, document) is None
        assert set(answer) == set(resolved(document, schema)["properties"])
    assert ('"version"' in json.dumps(document["components"])) is (envelope is Versioned)


async def test_values_of_answers_have_the_form_in_which_they_are_written(
    document: Document,
) -> None:
    properties = document["components"]["schemas"]["BoxResponseDTO"]["properties"]
    response = await make().test_client().get("/api/v1/boxes/1")
    data = (await response.get_json())["data"]

    assert properties["created_at"]["format"] == "http-date"
    assert data["created_at"] == "Mon, 23 Nov 2026 09:24:00 GMT"
    assert properties["since"]["format"] == "date-time"
    assert properties["lasts"]["format"] == "duration"
    assert (properties["price"]["type"], data["price"]) == ("string", "1.50")
    assert find_fault(data, {"$ref": "#/components/schemas/BoxResponseDTO"}, document) is None


async def test_quarts_own_blueprint_is_served_and_marked() -> None:
    plain = QuartBlueprint("plain", __name__)

    @plain.get("/plain")
    async def get() -> Response:
        return Envelope.success(1)

    app = make_service(plain)
    response = await app.test_client().get("/api/v1/plain")

    assert response.status_code == 200
    assert operations_of(await describe(app))["GET /api/v1/plain"]["x-undeclared"]


@pytest.mark.parametrize(
    ("settings", "is_shown"),
    [
        ({}, False),
        ({"DOCS": True}, True),
        ({"DOCS": False}, False),
        ({"DEBUG": True}, True),
        ({"DEBUG": True, "DOCS": False}, False),
    ],
)
async def test_the_page_is_shown_where_it_is_asked_for(
    settings: dict[str, object], is_shown: bool
) -> None:
    client = make(settings).test_client()

    page = await client.get("/api/v1/docs")
    script = await client.get("/api/v1/docs/swagger-ui-bundle.js")
    other = await client.get("/api/v1/docs/index.html")

    assert page.status_code == script.status_code == (200 if is_shown else 404)
    assert other.status_code == 404
    if is_shown:
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "http" not in await page.get_data(as_text=True)


async def test_files_of_the_page_are_read_once_and_known_by_their_etags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = make({"DOCS": True}).test_client()
    monkeypatch.setattr(Path, "read_bytes", None)  # no request reads the disk

    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "page.js"):
        whole = await client.get(f"/api/v1/docs/{name}")
        kept = await client.get(
            f"/api/v1/docs/{name}", headers={"If-None-Match": whole.headers["ETag"]}
        )

        assert whole.status_code == 200
        assert await whole.get_data()
        assert whole.headers["Cache-Control"] == kept.headers["Cache-Control"] == "no-cache"
        assert (kept.status_code, await kept.get_data()) == (304, b"")
