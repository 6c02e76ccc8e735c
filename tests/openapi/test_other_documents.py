"""What breaks clients of what other tools and hands write in a document, and the chassis does not."""

from typing import Any

import pytest

from scaffold.contracts.api import find_breaks

TEXT = {"type": "string"}
ROUTE = "POST /orders"


def document(*, path: Any = None, components: Any = None, top: Any = None, **said: Any) -> Any:
    """Return a document of one operation."""
    operation = {"responses": {"200": {"description": "Done"}}, **said}
    return {
        "openapi": "3.1.0",
        "paths": {"/orders": {"post": operation, **(path or {})}},
        "components": components or {},
        **(top or {}),
    }


def answering(**statuses: str | list[str]) -> Any:
    """Return a document of errors by their statuses: the component of one, or the names of examples."""
    responses: dict[str, Any] = {"200": {"description": "Done"}}
    shared: dict[str, Any] = {}
    for status, known in statuses.items():
        media: Any = {"examples": {name: {} for name in known}} if isinstance(known, list) else {}
        answer = {"description": "Refused", "content": {"application/json": media}}
        responses[status.strip("_")] = answer
        if isinstance(known, str):
            shared[known] = answer
            responses[status.strip("_")] = {"$ref": f"#/components/responses/{known}"}
    return document(components={"responses": shared}, responses=responses)


def asking(name: str, **scheme: Any) -> Any:
    """Return a document of which each operation needs credentials of this scheme."""
    return document(components={"securitySchemes": {name: scheme}}, top={"security": [{name: []}]})


def reading(**said: Any) -> Any:
    """Return a document of one parameter."""
    return document(parameters=[{"name": "q", "in": "query", **said}])


def bearing(schema: Any, kind: str = "application/json", named: Any = None) -> Any:
    """Return a document of a body, and a schema that it may refer to."""
    return document(
        components={"schemas": {"Named": named}},
        requestBody={"content": {kind: {"schema": schema}}},
    )


def serving(url: str, **variables: Any) -> list[Any]:
    """Return one server."""
    return [{"url": url, "variables": variables}]


def granted(*flows: str, url: str = "/token") -> Any:
    """Return a document of OAuth."""
    kinds = {flow: {"tokenUrl": url, "scopes": {}} for flow in flows}
    return asking("token", type="oauth2", flows=kinds)


OLD, NEW = {"default": "old"}, {"default": "new"}
FIELDS = {"type": "object", "properties": {"name": {"$ref": "#/components/schemas/Named"}}}

DOCUMENTS: dict[str, tuple[Any, Any, list[str]]] = {
    "an error that is known by its message": (
        answering(_409="Order_is_closed", _422="Refused"),
        answering(_422=["Refused", "Order is closed"]),
        ["Order_is_closed is 422 now, and was 409"],
    ),
    "an error of a name without a suffix": (
        answering(_409="OutOfStock", _422="Refused"),
        answering(_422=["Refused", "OutOfStock"]),
        ["OutOfStock is 422 now, and was 409"],
    ),
    "an error whose component has a number": (
        answering(_409=["OutOfStock", "OrderClosed"]),
        answering(_409="OrderClosed", _503="OutOfStock_503"),
        ["OutOfStock is 503 now, and was 409"],
    ),
    "an error without a name": (
        answering(_404=[]),
        answering(_500=[]),
        ["status 404 is 500 now"],
    ),
    "an error that has a name now": (answering(_404=[]), answering(_404="OutOfStock"), []),
    "another error": (answering(_409="OutOfStock"), answering(_429="TooMany"), []),
    "an error of a class of statuses": (
        answering(_404="OutOfStock"),
        answering(_4XX="OutOfStock"),
        [],
    ),
    "the address of an operation": (
        document(servers=serving("/old")),
        document(servers=serving("/new")),
        ["the address /old is gone"],
    ),
    "the address of a path": (
        document(path={"servers": serving("/old")}),
        document(),
        ["the address /old is gone"],
    ),
    "the value of a variable": (
        document(servers=serving("/{root}", root={**OLD, "enum": ["old", "new"]})),
        document(servers=serving("/{root}", root=NEW)),
        ["the address /old is gone"],
    ),
    "another default of a variable": (
        document(servers=serving("/{root}", root={**OLD, "enum": ["old", "new"]})),
        document(servers=serving("/{root}", root={**NEW, "enum": ["old", "new"]})),
        [],
    ),
    "another content type of a parameter": (
        reading(content={"application/json": {"schema": TEXT}}),
        reading(content={"application/xml": {"schema": TEXT}}),
        ["query q is written in another way now"],
    ),
    "a parameter that may not be empty": (
        reading(schema=TEXT, allowEmptyValue=True, allowReserved=True),
        reading(schema=TEXT),
        ["query q has no allowEmptyValue now", "query q has no allowReserved now"],
    ),
    "the default of a schema that is referred to": (
        bearing(FIELDS, named=OLD),
        bearing(FIELDS, named=NEW),
        ['body.name has the default "new" now, and had "old"'],
    ),
    "what a schema that is referred to refuses": (
        bearing({**TEXT, "not": {"$ref": "#/components/schemas/Named"}}, named={"maxLength": 2}),
        bearing({**TEXT, "not": {"$ref": "#/components/schemas/Named"}}, named={"maxLength": 3}),
        [
            'body has not {"$ref": {"maxLength": 3}} now, and had {"$ref": {"maxLength": 2}}',
        ],
    ),
    "all content types of an answer": (
        document(responses={"200": {"description": "Done", "content": {"*/*": {}}}}),
        document(responses={"200": {"description": "Done", "content": {"text/csv": {}}}}),
        [],
    ),
    "some content types of a body": (
        bearing(TEXT, "text/*"),
        bearing(TEXT, "text/csv"),
        ["the body is no text/* now"],
    ),
    "another address of tokens": (
        granted("clientCredentials"),
        granted("clientCredentials", url="/tokens"),
        ["token is given in another way now"],
    ),
    "one more flow": (granted("clientCredentials"), granted("clientCredentials", "password"), []),
    "another name of credentials": (
        asking("token", type="http", scheme="bearer"),
        asking("bearer", type="http", scheme="bearer"),
        [],
    ),
    "other credentials": (
        asking("token", type="http", scheme="bearer"),
        asking("login", type="http", scheme="basic"),
        ["token is not enough now"],
    ),
}


def test_a_path_by_a_reference_is_read() -> None:
    paths = {"paths": {"/orders": {"$ref": "#/components/pathItems/Orders"}}}
    shared: Any = {"pathItems": {"Orders": {"post": {"responses": {}}}}}

    found = find_breaks(document(components=shared, top=paths), {"openapi": "3.1.0"})

    assert [*found] == [f"{ROUTE} is gone"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_breaks_clients_of_any_document_is_found(name: str) -> None:
    old, new, said = DOCUMENTS[name]

    assert [*find_breaks(old, new)] == [f"{ROUTE}: {line}" for line in said]
    assert not find_breaks(old, old)
    assert not find_breaks(new, new)
