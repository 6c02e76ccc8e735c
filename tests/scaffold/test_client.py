"""`python -m scaffold client`: what a service calls of another, in fleet.toml and as files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scaffold.errors import ScaffoldError
from scaffold.generation.clients import ClientWords
from scaffold.names import ServiceName
from tests.scaffold.commands import done, picture, refused, scaffold

CONSUMER = "services/user_service"
PORT = f"{CONSUMER}/application/ports/shop_service.py"
CLIENT = ("client", "user-service", "shop-service")


def answer(data: object) -> dict[str, Any]:
    """Return the form of an answer."""
    schema = {"type": "object", "properties": {"data": data}}
    return {"200": {"content": {"application/json": {"schema": schema}}}, "404": {}}


SHOP = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["id", "name"],
}
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/api/v1/shops": {
            "get": {
                "operationId": "list_shops",
                "responses": answer(
                    {"type": "array", "items": {"$ref": "#/components/schemas/ShopResponseDTO"}}
                ),
            }
        },
        "/api/v1/shops/{record_id}": {
            method: {
                "operationId": f"{verb}_shop",
                "parameters": [{"name": "record_id", "in": "path", "schema": {"type": "integer"}}],
                "responses": answer(data),
            }
            for method, verb, data in (
                ("get", "get", {"$ref": "#/components/schemas/ShopResponseDTO"}),
                ("delete", "delete", {"type": "null"}),
            )
        },
    },
    "components": {"schemas": {"ShopResponseDTO": SHOP}},
}


@pytest.fixture(scope="module")
def kept(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a user service, and a shop service that has a document; tests only read it."""
    folder = shutil.copytree(furnished, tmp_path_factory.mktemp("clients") / "fleet")
    done(scaffold(folder, "shop-service", "8082", "name:str"))
    write(folder, DOCUMENT)
    (folder / CONSUMER / "openapi.json").unlink()
    return folder


@pytest.fixture
def fleet(kept: Path, tmp_path: Path) -> Path:
    """The same, a test's own."""
    return shutil.copytree(kept, tmp_path / "fleet")


def write(fleet: Path, document: dict[str, Any]) -> None:
    """Make it the shop service's document."""
    (fleet / "services/shop_service/openapi.json").write_text(json.dumps(document))


@pytest.mark.slow
def test_operations_are_added_and_dropped_again(fleet: Path) -> None:
    before = picture(fleet)
    described = (fleet / "fleet.toml").read_text()

    done(scaffold(fleet, *CLIENT))
    table = '\n[user-service._clients]\nshop-service = ["get_shop", "list_shops"]\n'
    assert table in (fleet / "fleet.toml").read_text()
    done(scaffold(fleet, *CLIENT, "delete_shop"))
    text = (fleet / "fleet.toml").read_text()
    assert 'shop-service = ["delete_shop", "get_shop", "list_shops"]' in text
    assert "async def delete_shop(self, record_id: int) -> None:" in (fleet / PORT).read_text()
    assert "SHOP_SERVICE_URL: http://shop-service:8082" in (
        (fleet / CONSUMER / "compose.yaml").read_text()
    )
    done(scaffold(fleet, *CLIENT, "--drop", "delete_shop"))
    assert "delete_shop" not in (fleet / PORT).read_text()
    assert table in (fleet / "fleet.toml").read_text()
    done(scaffold(fleet, *CLIENT, "--drop"))

    assert (fleet / "fleet.toml").read_text() == described
    changed = {
        path
        for path, what in picture(fleet).items()
        if what != before.get(path) and not path.startswith(".scaffold") and what[1]
    }
    assert changed <= {f"{one}/openapi.json" for one in (CONSUMER, "services/shop_service")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*CLIENT, "get_shopp"), "no operation 'get_shopp' (did you mean 'get_shop'?)"),
        ((*CLIENT, "get_shopp"), "It has: delete_shop, get_shop, list_shops"),
        (("client", "user-service", "user-service"), "does not call itself"),
        (("client", "user-service", "shopp-service"), "did you mean 'shop-service'?"),
        (("client", "shop-service", "user-service"), "user_service/openapi.json is missing"),
        ((*CLIENT, "--drop"), "user-service has no client of shop-service"),
    ],
)
def test_what_cannot_be_called_is_refused(
    kept: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = picture(kept)
    completed = scaffold(kept, *arguments)

    assert said in refused(completed, completed.returncode or -1)
    assert picture(kept) == before


BODY = {"content": {"application/json": {"schema": SHOP}}, "required": True}
REGION = {"name": "region", "in": "query", "required": True, "schema": {"type": "integer"}}
DRAFT = {"name": "draft", "in": "query", "schema": {"type": "boolean"}}


def words_of(**described: object) -> ClientWords:
    """Return what a client has of an operation that creates a shop."""
    operation = {"operationId": "create_shop", "responses": answer(SHOP), **described}
    document = {"paths": {"/api/v1/shops": {"post": operation}}}
    return ClientWords.of(ServiceName.parse("shop-service"), 8082, document, ["create_shop"])


@pytest.mark.parametrize(
    ("parameters", "signature", "query"),
    [
        ([REGION, DRAFT], "query: NewShopQuery", "query"),
        ([DRAFT], "query: NewShopQuery | None = None", "query or {}"),
    ],
)
def test_a_query_is_sent_beside_a_body(
    parameters: list[object], signature: str, query: str
) -> None:
    client = words_of(requestBody=BODY, parameters=parameters)
    [operation] = client.operations

    assert operation.parameters == f"self, {signature}, /, **body: Unpack[NewShopBody]"
    assert operation.call == (
        f"return await self._client.call(_CREATE_SHOP, body=body, query={query})"
    )
    assert {one.name for one in client.keywords} == {"NewShopBody", "NewShopQuery"}


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"parameters": [{**REGION, "in": "header"}]}, "requires the header 'region'"),
        ({"parameters": [{**REGION, "in": "cookie"}]}, "requires the cookie 'region'"),
        (
            {"requestBody": {"required": True, "content": {"text/csv": {}}}},
            "a body that is no JSON",
        ),
        (
            {"responses": {**answer({"type": "null"}), "201": answer(SHOP)["200"]}},
            "answers different data with 200 and 201",
        ),
    ],
)
def test_what_no_generated_client_can_do_is_refused(
    described: dict[str, object], said: str
) -> None:
    with pytest.raises(ScaffoldError, match=f"create_shop of shop-service.* {said}.*: write its"):
        words_of(**described)


def test_an_operation_that_answers_the_same_with_two_statuses_has_a_client() -> None:
    [operation] = words_of(responses={**answer(SHOP), "201": answer(SHOP)["200"]}).operations

    assert operation.returns == "CreateShopAnswer"


@pytest.mark.slow
def test_a_service_that_is_called_is_not_removed(fleet: Path) -> None:
    done(scaffold(fleet, *CLIENT, "get_shop"))
    before = picture(fleet)

    message = refused(scaffold(fleet, "remove", "shop-service", "--yes"))

    assert "user-service calls shop-service: nothing was removed." in message
    assert "python -m scaffold client user-service shop-service --drop" in message
    assert picture(fleet) == before


@pytest.mark.slow
def test_a_changed_document_is_merged_into_what_was_edited(fleet: Path) -> None:
    done(scaffold(fleet, *CLIENT, "get_shop"))
    port = fleet / PORT
    port.write_text(f"{port.read_text()}\n\nOURS = 1\n")
    document = json.loads(json.dumps(DOCUMENT))
    document["components"]["schemas"]["ShopResponseDTO"]["properties"]["colour"] = {
        "type": ["string", "null"]
    }
    document["components"]["schemas"]["ShopResponseDTO"]["required"].append("colour")
    write(fleet, document)

    done(scaffold(fleet, "apply"))

    assert "    colour: str | None\n" in port.read_text()
    assert "OURS = 1\n" in port.read_text()


@pytest.mark.slow
def test_a_client_is_undone_to_the_byte(fleet: Path) -> None:
    before = picture(fleet)
    del before[".scaffold/undo.json"]
    done(scaffold(fleet, *CLIENT))

    done(scaffold(fleet, "undo"))

    assert picture(fleet) == before


@pytest.mark.slow
def test_a_client_of_a_new_service_is_made_once_that_has_a_document(workspace: Path) -> None:
    (workspace / "fleet.toml").write_text(
        '[front-service]\nport = 8081\n\n[front-service._clients]\nshop-service = ["get_shop"]\n\n'
        '[shop-service]\nport = 8082\n\n[shop-service.shop]\nname = "str"\n'
    )
    first = scaffold(workspace, "apply")
    assert "front-service gets its client of shop-service by the next apply" in first.stderr
    write(workspace, DOCUMENT)

    done(scaffold(workspace, "apply"))

    port = workspace / "services/front_service/application/ports/shop_service.py"
    assert "async def get_shop(self, record_id: int) -> Shop:" in port.read_text()
