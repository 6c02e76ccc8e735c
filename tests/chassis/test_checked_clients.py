"""A client's adapter and fake are held to the provider's document: what breaks them is told by name."""

import copy
import importlib.util
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quart_fleet.clients.testing import Records, check_directory, check_operation, make
from quart_fleet.errors import NotFoundError

MODULE = """
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NotRequired, TypedDict, Unpack

from quart_fleet.clients import Operation, Record
from quart_fleet.clients.testing import Records, make
from quart_fleet.dto import HTTPDate
from quart_fleet.errors import ValidationFailedError
from quart_fleet.paging import ListPage

Kind = Literal["book", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    id: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    id: int
    name: str
    price: Decimal
    kind: Kind
    sold_on: dt.date | None
    pieces: tuple[Piece, ...]
    created_at: HTTPDate


class NewPiece(TypedDict):
    label: str


class NewProduct(TypedDict):
    name: str
    price: Decimal
    kind: NotRequired[Kind]
    pieces: NotRequired[list[NewPiece]]


class ListQuery(TypedDict, total=False):
    limit: int
    after: str | None
    kind: list[Kind]


class MoveQuery(TypedDict):
    shop: int
    kind: NotRequired[Kind]


class Move(TypedDict):
    query: NotRequired[str]


GET = Operation("GET", "/products/{record_id}", Product)
LIST = Operation("GET", "/products", list[Product])
CREATE = Operation("POST", "/products", Product, raises=[ValidationFailedError])
MOVE = Operation("POST", "/products/{record_id}/move", Product)
RECORD = Operation("GET", "/products/{record_id}", Record)


class HTTPProducts:
    def __init__(self, client):
        self._client = client

    async def get_product(self, record_id: int) -> Product:
        return await self._client.call(GET, {"record_id": record_id})

    async def list_products(self, /, **query: Unpack[ListQuery]) -> ListPage[Product]:
        return await self._client.page(LIST, query={"limit": 20, **query})

    async def create_product(self, /, **body: Unpack[NewProduct]) -> Product:
        return await self._client.call(CREATE, body=body)

    async def move_product(self, record_id: int, query: MoveQuery, /, **body: Unpack[Move]) -> Product:
        return await self._client.call(MOVE, {"record_id": record_id}, query=query, body=body)


class FakeProducts:
    def __init__(self, *records):
        self.products = Records(Product, "Product", records)

    async def get_product(self, record_id):
        return self.products.get(record_id)

    async def list_products(self, /, **query):
        return self.products.page(query)

    async def create_product(self, /, **body):
        return self.products.add(body)

    async def move_product(self, record_id, query, /, **body):
        return self.products.get(record_id)


class Directory:
    def __init__(self, client):
        self._client = client

    async def missing(self, ids):
        return await self._client.missing(RECORD, ids)


class FakeDirectory:
    def __init__(self, *missing):
        self._missing = {*missing}

    async def missing(self, ids):
        return ids & self._missing
"""


def answer(data: object) -> dict[str, Any]:
    """Return the form of an answer."""
    properties = {
        "data": data,
        "message": {"type": "string"},
        "success": {"type": "boolean", "const": True},
    }
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return {"description": "", "content": {"application/json": {"schema": schema}}}


def of(required: list[str], **properties: object) -> dict[str, Any]:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties, "required": required}


PRODUCT = {"$ref": "#/components/schemas/ProductResponseDTO"}
TEXT, ID = {"type": "string"}, {"type": "integer"}
DECIMAL = {"type": "string", "format": "decimal", "pattern": r"^-?\d+(\.\d+)?$"}
KIND = {"$ref": "#/components/schemas/ProductKind"}
RECORD_ID = {"name": "record_id", "in": "path", "required": True, "schema": {**ID, "minimum": 0}}
SHOP = {"name": "shop", "in": "query", "required": True, "schema": ID}
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/api/v1/products": {
            "get": {
                "operationId": "list_products",
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {**ID, "default": 20}},
                    {"name": "after", "in": "query", "schema": TEXT},
                    {"name": "kind", "in": "query", "schema": {"type": "array", "items": KIND}},
                ],
                "responses": {"200": answer({"type": "array", "items": PRODUCT})},
            },
            "post": {
                "operationId": "create_product",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/CreateProductDTO"}
                        }
                    }
                },
                "responses": {"201": answer(PRODUCT), "422": {}},
            },
        },
        "/api/v1/products/{record_id}": {
            "get": {
                "operationId": "get_product",
                "parameters": [RECORD_ID],
                "responses": {"200": answer(PRODUCT), "404": {}},
            }
        },
        "/api/v1/products/{record_id}/move": {
            "post": {
                "operationId": "move_product",
                "parameters": [
                    RECORD_ID,
                    SHOP,
                    {"name": "kind", "in": "query", "schema": KIND},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": of([], query=TEXT)}},
                },
                "responses": {"200": answer(PRODUCT)},
            }
        },
    },
    "components": {
        "schemas": {
            "ProductKind": {"type": "string", "enum": ["book", "record"]},
            "CreateProductDTO": of(
                ["name", "price"],
                name={**TEXT, "maxLength": 80},
                price={"anyOf": [DECIMAL, {"type": "number"}]},
                kind=KIND,
                pieces={"type": "array", "items": of(["label"], label=TEXT)},
            ),
            "ProductResponseDTO": of(
                ["id", "name", "price", "kind", "sold_on", "pieces", "created_at"],
                id=ID,
                name=TEXT,
                price=DECIMAL,
                kind=KIND,
                sold_on={"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
                pieces={"type": "array", "items": of(["id", "label"], id=ID, label=TEXT)},
                created_at={"type": "string", "format": "http-date"},
            ),
        }
    },
}
OPERATIONS = ("get_product", "list_products", "create_product", "move_product")


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Any]:
    """A consumer in a workspace of its own."""
    (tmp_path / "pyproject.toml").write_text("[tool.scaffold]\n")
    (tmp_path / "services/product_service").mkdir(parents=True)
    path = tmp_path / "consumer.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("consumer", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "consumer", found)
        spec.loader.exec_module(found)
        yield found


async def check(module: Any, document: dict[str, Any], operation: str) -> None:
    """Hold one operation to a document."""
    write(module, document)
    await check_operation("product-service", operation, module.HTTPProducts, module.FakeProducts)


def write(module: Any, document: dict[str, Any]) -> None:
    """Make it the workspace's."""
    path = Path(module.__file__).parent / "services/product_service/openapi.json"
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_provider_as_it_was_passes(module: Any, operation: str) -> None:
    await check(module, DOCUMENT, operation)


ANSWER = "components.schemas.ProductResponseDTO"
BODY = "components.schemas.CreateProductDTO"
BREAKS = {
    f"{ANSWER}.properties.name": (None, "get_product", "name"),
    f"{ANSWER}.properties.price": (
        {"type": "string", "format": "uuid"},
        "get_product",
        "price",
    ),
    f"{ANSWER}.properties.id": (TEXT, "list_products", "id"),
    f"{ANSWER}.properties.name.type": (["string", "null"], "get_product", "name"),
    f"{ANSWER}.required": (["id"], "get_product", "name"),
    f"{ANSWER}.properties.created_at.format": ("date", "get_product", "created_at"),
    f"{ANSWER}.properties.pieces.items.properties.label": (None, "get_product", "label"),
    "components.schemas.ProductKind.enum": (["book", "record", "film"], "get_product", "kind"),
    f"{BODY}.properties.price": (None, "create_product", "price"),
    f"{BODY}.properties.kind": ({"const": "book"}, "create_product", "kind"),
    f"{BODY}.required": (["name", "price", "kind"], "create_product", "kind"),
    f"{BODY}.properties.name": ({"type": "integer"}, "create_product", "name"),
    f"{BODY}.properties.pieces.items.properties.label": (None, "create_product", "pieces"),
    "paths./api/v1/products.get.parameters": ([], "list_products", "limit"),
    "paths./api/v1/products.post": (None, "create_product", "no operation create_product"),
    "paths./api/v1/products/{record_id}": (None, "get_product", "no operation get_product"),
    "paths./api/v1/products.get.parameters.1.required": (True, "list_products", "requires 'after'"),
    "paths./api/v1/products.post.parameters": ([SHOP], "create_product", "requires 'shop'"),
    "paths./api/v1/products/{record_id}.get.parameters": (
        [RECORD_ID, {**SHOP, "in": "header"}],
        "get_product",
        "requires 'shop'",
    ),
    "paths./api/v1/products/{record_id}.get.requestBody": (
        {"required": True},
        "get_product",
        "requires a body",
    ),
    "paths./api/v1/products/{record_id}/move.post.parameters": (
        [RECORD_ID],
        "move_product",
        "takes no 'shop'",
    ),
    "paths./api/v1/products/{record_id}/move.post.parameters.2.required": (
        True,
        "move_product",
        "requires 'kind'",
    ),
    "paths./api/v1/products.post.responses.202": (
        answer({"type": "null"}),
        "create_product",
        "data",
    ),
}


def changed(place: str, value: object) -> dict[str, Any]:
    """Return the document with another value in a place; None takes it away."""
    document = copy.deepcopy(DOCUMENT)
    *path, last = place.split(".")
    within: Any = document
    for key in path:
        within = within[int(key) if key.isdecimal() else key]
    if value is None:
        within.pop(last)
    else:
        within[last] = value
    return document


@pytest.mark.parametrize("place", BREAKS)
async def test_a_provider_that_breaks_an_operation_is_told_by_its_name(
    module: Any, place: str
) -> None:
    value, operation, word = BREAKS[place]

    with pytest.raises(AssertionError) as told:
        await check(module, changed(place, value), operation)

    assert operation in str(told.value)
    assert "product-service" in str(told.value)
    assert word in str(told.value)


HARMLESS: dict[str, object] = {
    f"{ANSWER}.properties.colour": TEXT,
    f"{ANSWER}.properties.sold_on": {"type": "string", "format": "date"},
    f"{BODY}.properties.colour": TEXT,
    f"{BODY}.required": ["name"],
    f"{BODY}.properties.name.maxLength": 800,
    "paths./api/v1/products.get.parameters": [
        *DOCUMENT["paths"]["/api/v1/products"]["get"]["parameters"],
        {"name": "colour", "in": "query", "schema": TEXT},
    ],
    "paths./api/v1/colours": {},
}


@pytest.mark.parametrize("place", HARMLESS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_breaks_nothing_passes(module: Any, place: str, operation: str) -> None:
    await check(module, changed(place, HARMLESS[place]), operation)


async def test_a_fake_that_answers_otherwise_is_told(module: Any) -> None:
    class Fake(module.FakeProducts):  # type: ignore[misc]  # of a module without types
        async def create_product(self, **body: Any) -> Any:
            return make(module.Product, name=7)

    write(module, DOCUMENT)
    with pytest.raises(AssertionError, match=r"create_product of the product-service: the fake"):
        await check_operation("product-service", "create_product", module.HTTPProducts, Fake)


async def test_a_document_that_is_missing_is_told_with_what_makes_it(module: Any) -> None:
    with pytest.raises(AssertionError, match="openapi product-service --write"):
        await check_operation(
            "product-service", "get_product", module.HTTPProducts, module.FakeProducts
        )


async def test_a_directory_is_held_to_the_document_too(module: Any) -> None:
    for document, is_right in (
        (DOCUMENT, True),
        (changed("paths./api/v1/products/{record_id}", None), False),
        (changed(f"{ANSWER}.properties.id", TEXT), False),
    ):
        write(module, document)
        held = check_directory("product-service", module.Directory, module.FakeDirectory)
        if is_right:
            await held
        else:
            with pytest.raises(AssertionError, match=r"product-service.*products/\{record_id\}"):
                await held


def test_records_are_found_by_what_a_list_takes(module: Any) -> None:
    products = [
        make(module.Product, id=number, name=f"Cup {number}", price=Decimal(number))
        for number in (1, 2, 3)
    ]
    records = Records(module.Product, "Product", products)

    assert [one.id for one in records.page({"price_min": Decimal(2), "sort": "-price"}).items] == [
        3,
        2,
    ]
    assert [one.id for one in records.page({"q": "cup 2"}).items] == [2]
    assert [one.id for one in records.page({"name": ["Cup 3"]}).items] == [3]
    first = records.page({"limit": 2, "count": True})
    assert ([one.id for one in first.items], first.total) == ([1, 2], 3)
    assert [one.id for one in records.page({"limit": 2, "after": first.after}).items] == [3]
    assert records.add({"name": "Lid"}).id == 4
    assert records.change(4, {"name": "Cap"}).name == "Cap"
    records.delete(4)
    with pytest.raises(NotFoundError, match="Product not found"):
        records.get(4)
