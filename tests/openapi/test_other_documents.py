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
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_breaks_clients_of_any_document_is_found(name: str) -> None:
    old, new, said = DOCUMENTS[name]

    assert [*find_breaks(old, new)] == [f"{ROUTE}: {line}" for line in said]
    assert not find_breaks(old, old)
    assert not find_breaks(new, new)
