"""Changes of a document of a service: those that break its clients, with what is said, and harmless ones.

The document is the order service's of `FLEET`, as it is generated. A place is its keys, between `>`.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.openapi.documents import Document

FLEET = """\
[order-service]
port = 8083

[order-service.order]
code = "str(20):lookup:fixed"
buyer = "ref(user-service.user)"
status = "enum(open, paid, cancelled):index=open"
total = "decimal(10,2):min(0)"
priority = "int:min(1):max(9)=5"
note = "str(200)?:search:length(2)"
placed_on = "date?:index"
lines = "items(line)"
_actions = { pay = "status: open -> paid" }

[order-service.order.line]
product = "str(40)"
quantity = "int:positive"

[user-service]
port = 8081

[user-service.user]
username = "str(80):lookup:fixed"
email = "str(120):unique:fixed"
first_name = "str(50)?"
last_name = "str(50)?"
age = "int?"
_routes = "contract"
"""

Change = Callable[[Document], None]

LIST = "paths > /api/v1/orders > get"
CREATE = "paths > /api/v1/orders > post"
GET = "paths > /api/v1/orders/{record_id} > get"
PATCH = "paths > /api/v1/orders/{record_id} > patch"
PAY = "paths > /api/v1/orders/{record_id}/pay > post"
JSON = "content > application/json"
NEW = "components > schemas > CreateOrderDTO"
SHOWN = "components > schemas > OrderResponseDTO"
BUYER = {"type": "integer", "minimum": 1}


def find(document: Document, place: str) -> tuple[Any, Any]:
    """Return what holds a place, and the last of its keys; numbers count in lists."""
    *path, last = place.split(" > ")
    found: Any = document
    for key in path:
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found, int(last) if isinstance(found, list) else last


def put(place: str, value: Any) -> Change:
    """Set what is at a place, which may be new."""

    def change(document: Document) -> None:
        holder, key = find(document, place)
        holder[key] = deepcopy(value)

    return change


def drop(place: str) -> Change:
    """Take away what is at a place."""

    def change(document: Document) -> None:
        holder, key = find(document, place)
        del holder[key]

    return change


def move(place: str, name: str) -> Change:
    """Give what is at a place another key."""

    def change(document: Document) -> None:
        holder, key = find(document, place)
        holder[name] = holder.pop(key)

    return change


def errors(place: str, *names: str) -> Change:
    """Answer several errors with one status, which the examples tell apart."""
    media = {
        "schema": {"$ref": "#/components/schemas/Error"},
        "examples": {name: {"value": {"message": name, "success": False}} for name in names},
    }
    return put(place, {"description": "Refused", "content": {"application/json": media}})


def add(place: str, value: Any) -> Change:
    """Put a value at the end of a list."""
    return lambda document: document_at(document, place).append(deepcopy(value))


def take(place: str, value: Any) -> Change:
    """Take a value out of a list."""
    return lambda document: document_at(document, place).remove(value)


def reverse(place: str) -> Change:
    """Turn the order of a list, or of the keys of an object."""

    def change(document: Document) -> None:
        holder, key = find(document, place)
        values = holder[key]
        holder[key] = values[::-1] if isinstance(values, list) else dict([*values.items()][::-1])

    return change


def parameter(name: str, *keys: str, value: Any = None) -> Change:
    """Set what a parameter of the list says, or take the parameter away."""

    def change(document: Document) -> None:
        said = document_at(document, LIST)["parameters"]
        [one] = [each for each in said if each["name"] == name]
        if not keys:
            said.remove(one)
        else:
            holder, key = find(one, " > ".join(keys))
            holder[key] = value

    return change


def document_at(document: Document, place: str) -> Any:
    """Return what is at a place."""
    holder, key = find(document, place)
    return holder[key]


def each(*changes: Change) -> Change:
    """Make several changes."""

    def change(document: Document) -> None:
        for one in changes:
            one(document)

    return change


GETS = "GET /api/v1/orders/{record_id}"
POSTS = "POST /api/v1/orders"
LISTS = "GET /api/v1/orders"

BREAKING: dict[str, tuple[Change, list[str]]] = {
    # Routes
    "a route is gone": (drop(GET), [f"{GETS} is gone"]),
    "a path is gone": (
        drop("paths > /api/v1/orders/active"),
        ["GET /api/v1/orders/active is gone"],
    ),
    "a path is renamed": (
        move("paths > /api/v1/orders/active", "/api/v1/orders/current"),
        ["GET /api/v1/orders/active is gone (is it GET /api/v1/orders/current now?)"],
    ),
    "another method": (
        move(PATCH, "trace"),
        [
            "PATCH /api/v1/orders/{record_id} is gone (is it TRACE /api/v1/orders/{record_id} now?)",
        ],
    ),
    "an operation id is renamed": (
        put(f"{GET} > operationId", "read_order"),
        [f"{GETS}: the operation id get_order is read_order now"],
    ),
    "an operation id is gone": (
        drop(f"{GET} > operationId"),
        [f"{GETS}: the operation id get_order is gone"],
    ),
    "the address is another one": (
        put("servers > 0", {"url": "/orders"}),
        ["the address / is gone"],
    ),
    # Parameters
    "a parameter is gone": (parameter("q"), [f"{LISTS}: query q is gone"]),
    "a parameter is renamed": (
        parameter("limit", "name", value="count_of_rows"),
        [f"{LISTS}: query limit is gone (is it count_of_rows now?)"],
    ),
    "a parameter of the path is renamed": (
        each(
            move("paths > /api/v1/orders/code/{code}", "/api/v1/orders/code/{number}"),
            put("paths > /api/v1/orders/code/{number} > get > parameters > 0 > name", "number"),
        ),
        ["GET /api/v1/orders/code/{code}: path code is number now"],
    ),
    "a new parameter is required": (
        add(
            f"{LIST} > parameters",
            {"name": "buyer", "in": "query", "required": True, "schema": BUYER},
        ),
        [f"{LISTS}: query buyer is required now"],
    ),
    "a parameter became required": (
        parameter("q", "required", value=True),
        [f"{LISTS}: query q is required now"],
    ),
    "a parameter is in another place": (
        parameter("q", "in", value="header"),
        [f"{LISTS}: query q is gone"],
    ),
    "a parameter is written otherwise": (
        parameter("status", "explode", value=False),
        [f"{LISTS}: query status is written in another way now"],
    ),
    "a parameter may be less": (
        parameter("limit", "schema", "maximum", value=50),
        [f"{LISTS}: query limit has the greatest value 50 now, and had 100"],
    ),
    "a sort is gone": (
        take(f"{LIST} > parameters > 2 > schema > enum", "-created_at"),
        [f'{LISTS}: query sort may not be "-created_at" now'],
    ),
    # Requests
    "a field of a body is gone": (
        drop(f"{NEW} > properties > note"),
        [f"{POSTS}: body.note is gone"],
    ),
    "a field of a body is renamed": (
        move(f"{NEW} > properties > note", "remark"),
        [f"{POSTS}: body.note is gone (is it remark now?)"],
    ),
    "a field of a body became required": (
        add(f"{NEW} > required", "note"),
        [f"{POSTS}: body.note is required now"],
    ),
    "a new field of a body is required": (
        each(
            put(f"{NEW} > properties > channel", {"type": "string"}),
            add(f"{NEW} > required", "channel"),
        ),
        [f"{POSTS}: body.channel is required now"],
    ),
    "another type in a body": (
        put(f"{NEW} > properties > code", {"type": "integer"}),
        [f"{POSTS}: body.code is an integer now, and was a string"],
    ),
    "one type fewer in a body": (
        drop(f"{NEW} > properties > total > anyOf > 1"),
        [f"{POSTS}: body.total may not be a number now"],
    ),
    "null is refused": (
        put(f"{NEW} > properties > note", {"type": "string", "minLength": 2, "maxLength": 200}),
        [f"{POSTS}: body.note may not be null now"],
    ),
    "whole numbers alone": (
        put(f"{NEW} > properties > total > anyOf > 1 > type", "integer"),
        [f"{POSTS}: body.total may not be a number now"],
    ),
    "a word of a body is gone": (
        put(f"{NEW} > properties > status", {"type": "string", "const": "paid"}),
        [
            f'{POSTS}: body.status may not be "open" now',
            f'{POSTS}: body.status has no default now, and had "open"',
        ],
    ),
    "only some words in a body": (
        put(f"{NEW} > properties > code > enum", ["a", "b"]),
        [f'{POSTS}: body.code may only be "a", "b" now'],
    ),
    "a shorter text": (
        put(f"{NEW} > properties > code > maxLength", 10),
        [f"{POSTS}: body.code has maxLength 10 now, and had 20"],
    ),
    "a longer text at the least": (
        put(f"{NEW} > properties > code > minLength", 3),
        [f"{POSTS}: body.code has minLength 3 now"],
    ),
    "a greater least value": (
        put(f"{NEW} > properties > priority > minimum", 2),
        [f"{POSTS}: body.priority has the least value 2 now, and had 1"],
    ),
    "a least value that is refused itself": (
        put(f"{NEW} > properties > total > anyOf > 1 > exclusiveMinimum", 0),
        [f'{POSTS}: body.total has the least value "above 0" now, and had 0'],
    ),
    "steps of a number": (
        put(f"{NEW} > properties > priority > multipleOf", 2),
        [f"{POSTS}: body.priority has multipleOf 2 now"],
    ),
    "a pattern": (
        put(f"{NEW} > properties > code > pattern", "^[A-Z]+$"),
        [f'{POSTS}: body.code has pattern "^[A-Z]+$" now'],
    ),
    "a decimal of fewer places": (
        put(f"{NEW} > properties > total > anyOf > 0 > pattern", r"^\d{1,8}(\.\d{1,1})?$"),
        [
            f"{POSTS}: body.total has pattern "
            r'"^\\d{1,8}(\\.\\d{1,1})?$" now, and had "^\\d{1,8}(\\.\\d{1,2})?$"'
        ],
    ),
    "a format": (
        put(f"{NEW} > properties > code > format", "uuid"),
        [f'{POSTS}: body.code has format "uuid" now'],
    ),
    "fewer entries": (
        put(f"{NEW} > properties > lines > maxItems", 9),
        [f"{POSTS}: body.lines has maxItems 9 now, and had 1000"],
    ),
    "no entry twice": (
        put(f"{NEW} > properties > lines > uniqueItems", True),
        [f"{POSTS}: body.lines has uniqueItems true now"],
    ),
    "narrower entries": (
        put("components > schemas > CreateOrderLineDTO > properties > product > maxLength", 30),
        [
            f"{POSTS}: body.lines[].product has maxLength 30 now, and had 40",
            "PUT /api/v1/orders/{record_id}: body.lines[].product has maxLength 30 now, and had 40",
            "PATCH /api/v1/orders/{record_id}: body.lines[].product has maxLength 30 now, and had 40",
        ],
    ),
    "no other fields": (
        put(f"{NEW} > additionalProperties", False),
        [f"{POSTS}: body takes no other fields now"],
    ),
    "no other fields in other words": (
        put(f"{NEW} > unevaluatedProperties", False),
        [f"{POSTS}: body takes no other fields now"],
    ),
    "no entry at all": (
        each(
            drop(f"{NEW} > properties > lines > items"),
            put(f"{NEW} > properties > lines > unevaluatedItems", False),
        ),
        [f"{POSTS}: body.lines[] may not be an object now"],
    ),
    "what never holds": (
        put(f"{NEW} > then", False),
        [f"{POSTS}: body has then false now"],
    ),
    "a field of a body is only read": (
        put(f"{NEW} > properties > note > readOnly", True),
        [f"{POSTS}: body.note is only read now"],
    ),
    "forms of a body are told apart by a field": (
        put(f"{NEW} > discriminator", {"propertyName": "note"}),
        [f'{POSTS}: body has discriminator {{"propertyName": "note"}} now'],
    ),
    "another default in a body": (
        put(f"{NEW} > properties > priority > default", 1),
        [f"{POSTS}: body.priority has the default 1 now, and had 5"],
    ),
    "no default in a body": (
        drop(f"{NEW} > properties > priority > default"),
        [f"{POSTS}: body.priority has no default now, and had 5"],
    ),
    "a body is no longer read": (drop(f"{CREATE} > requestBody"), [f"{POSTS}: the body is gone"]),
    "a body is required": (
        put(
            f"{PAY} > requestBody",
            {"required": True, "content": {}},
        ),
        ["POST /api/v1/orders/{record_id}/pay: the body is required now"],
    ),
    "an operation has an address of its own": (
        put(f"{GET} > servers", [{"url": "/v2"}]),
        [f"{GETS}: the address / is gone"],
    ),
    "a parameter is JSON": (
        each(
            parameter("q", "content", value={"application/json": {"schema": {"type": "string"}}}),
            parameter("q", "style", value="form"),
        ),
        [f"{LISTS}: query q is written in another way now"],
    ),
    "a content type of a body is gone": (
        move(f"{PATCH} > requestBody > content > application/json", "application/merge-patch+json"),
        ["PATCH /api/v1/orders/{record_id}: the body is no application/json now"],
    ),
    "credentials are needed": (
        put(f"{CREATE} > security", [{"token": []}]),
        [f"{POSTS}: a request without credentials is not enough now"],
    ),
    # Answers
    "a field of an answer is only written": (
        put(f"{SHOWN} > properties > note > writeOnly", True),
        [f"{GETS}: 200 data.note is only written now"],
    ),
    "a field of an answer is gone": (
        each(drop(f"{SHOWN} > properties > note"), take(f"{SHOWN} > required", "note")),
        [f"{GETS}: 200 data.note is gone"],
    ),
    "a field of an answer is renamed": (
        each(
            move(f"{SHOWN} > properties > note", "remark"),
            take(f"{SHOWN} > required", "note"),
            add(f"{SHOWN} > required", "remark"),
        ),
        [f"{GETS}: 200 data.note is gone (is it remark now?)"],
    ),
    "all fields of an answer are gone": (
        put(f"{GET} > responses > 200 > {JSON} > schema > properties > data", {"type": "object"}),
        [
            f"{GETS}: 200 data.{name} is gone"
            for name in (
                *("id", "code", "buyer_id", "status", "total", "priority", "note", "placed_on"),
                *("lines", "is_active", "created_at", "updated_at"),
            )
        ],
    ),
    "an answer is no longer in the envelope": (
        drop(f"{LIST} > responses > 200 > {JSON} > schema > properties > data"),
        [f"{LISTS}: 200 data is gone"],
    ),
    "a field may be left out": (
        take("components > schemas > OrderLineResponseDTO > required", "quantity"),
        [
            f"{GETS}: 200 data.lines[].quantity may be left out now",
        ],
    ),
    "a field may be null": (
        put(f"{SHOWN} > properties > code > type", ["string", "null"]),
        [f"{GETS}: 200 data.code may be null now"],
    ),
    "another type in an answer": (
        put(f"{SHOWN} > properties > total", {"type": "number"}),
        [f"{GETS}: 200 data.total is a number now, and was a string"],
    ),
    "numbers that are not whole": (
        put(f"{SHOWN} > properties > priority > type", "number"),
        [f"{GETS}: 200 data.priority is a number now, and was an integer"],
    ),
    "one type more in an answer": (
        put(f"{SHOWN} > properties > code", {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        [f"{GETS}: 200 data.code may be an integer now"],
    ),
    "a new word in an answer": (
        add("components > schemas > OrderStatus > enum", "sent"),
        [f'{GETS}: 200 data.status may be "sent" now'],
    ),
    "any word in an answer": (
        drop("components > schemas > OrderStatus > enum"),
        [f'{GETS}: 200 data.status may be other than "open", "paid", "cancelled" now'],
    ),
    "another format in an answer": (
        put(f"{SHOWN} > properties > created_at > format", "date-time"),
        [f'{GETS}: 200 data.created_at has format "date-time" now, and had "http-date"'],
    ),
    "no format in an answer": (
        drop(f"{SHOWN} > properties > created_at > format"),
        [f'{GETS}: 200 data.created_at has no format now, and had "http-date"'],
    ),
    "one in the place of several": (
        put(
            f"{LIST} > responses > 200 > {JSON} > schema > properties > data",
            {"$ref": "#/components/schemas/OrderResponseDTO"},
        ),
        [f"{LISTS}: 200 data is an object now, and was an array"],
    ),
    "a status of success is another one": (
        move(f"{CREATE} > responses > 201", "200"),
        [f"{POSTS}: status 201 is 200 now"],
    ),
    "one more status of success": (
        put(f"{CREATE} > responses > 202", {"description": "Later"}),
        [f"{POSTS}: status 202 is new"],
    ),
    "a status of an error is another one": (
        move(f"{PAY} > responses > 409", "422"),
        ["POST /api/v1/orders/{record_id}/pay: ConflictError is 422 now, and was 409"],
    ),
    "an error has the status of others": (
        each(
            put(
                f"{CREATE} > responses > 400",
                {"$ref": "#/components/responses/InvalidRequestError"},
            ),
            put(
                f"{CREATE} > responses > 409",
                {"$ref": "#/components/responses/AlreadyExistsError"},
            ),
        ),
        [f"{POSTS}: AlreadyExistsError is 409 now, and was 400"],
    ),
    "an error is answered as another one": (
        each(
            errors(f"{PAY} > responses > 404", "NotFoundError", "ConflictError"),
            drop(f"{PAY} > responses > 409"),
        ),
        ["POST /api/v1/orders/{record_id}/pay: ConflictError is 404 now, and was 409"],
    ),
    "a header is gone": (
        drop(f"{LIST} > responses > 200 > headers > Link"),
        [f"{LISTS}: 200 header Link is gone"],
    ),
    "another type of a header": (
        put(f"{LIST} > responses > 200 > headers > X-Total-Count > schema", {"type": "string"}),
        [f"{LISTS}: 200 header X-Total-Count is a string now, and was an integer"],
    ),
    "a content type of an answer is gone": (
        move(f"{GET} > responses > 200 > {JSON}", "application/xml"),
        [f"{GETS}: the answer 200 is no application/json now"],
    ),
    "an error without its fields": (
        drop("components > schemas > ValidationError > properties > errors"),
        [f"{POSTS}: 422 errors is gone"],
    ),
}
"""Each with what is found: of a schema that several routes share, the line of one of them."""

HARMLESS: dict[str, Change] = {
    # Routes and words
    "nothing": each(),
    "a new route": put("paths > /api/v1/sums", {"get": {"responses": {"200": {}}}}),
    "a new method of a path": put(
        "paths > /api/v1/orders > delete", {"responses": {"200": {"description": "All gone"}}}
    ),
    "another order of routes": reverse("paths"),
    "another order of methods": reverse("paths > /api/v1/orders/{record_id}"),
    "another summary": put(f"{GET} > summary", "Read it"),
    "other examples": put(f"{GET} > responses > 200 > {JSON} > example", {}),
    "another description of a field": put(f"{SHOWN} > properties > code > description", "Words"),
    "another title": put(f"{SHOWN} > title", "Order"),
    "other tags": put(f"{GET} > tags", ["reading"]),
    "another version": put("info > version", "9.0.0"),
    "a route that is deprecated": put(f"{GET} > deprecated", True),
    "an extension": put(f"{GET} > x-owner", "sales"),
    "no links": drop(f"{CREATE} > responses > 201 > links"),
    # Parameters
    "a new parameter": add(
        f"{LIST} > parameters", {"name": "buyer", "in": "query", "schema": BUYER}
    ),
    "another order of parameters": reverse(f"{LIST} > parameters"),
    "a greater page": parameter("limit", "schema", "maximum", value=500),
    "one more sort": add(f"{LIST} > parameters > 2 > schema > enum", "total"),
    "a style that is implied": parameter("q", "style", value="form"),
    "a shorter search": parameter("q", "schema", "minLength", value=2),
    # Requests
    "a new field of a body": put(f"{NEW} > properties > channel", {"type": "string"}),
    "a field of a body is no longer required": take(f"{NEW} > required", "code"),
    "a parameter has a default": parameter("limit", "schema", "default", value=50),
    "a required field has a default": each(
        take(f"{NEW} > required", "code"), put(f"{NEW} > properties > code > default", "none")
    ),
    "another order of fields": reverse(f"{NEW} > properties"),
    "another order of what is required": reverse(f"{NEW} > required"),
    "null besides": put(f"{NEW} > properties > code > type", ["string", "null"]),
    "one more type": put(
        f"{NEW} > properties > code",
        {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 20}]},
    ),
    "another order of types": reverse(f"{NEW} > properties > total > anyOf"),
    "one of for any of": move(f"{NEW} > properties > total > anyOf", "oneOf"),
    "one more word in a body": put(
        f"{NEW} > properties > status",
        {"type": "string", "enum": ["paid", "open"], "default": "open"},
    ),
    "any text for a word": put(
        f"{NEW} > properties > status", {"type": "string", "maxLength": 9, "default": "open"}
    ),
    "a longer text": put(f"{NEW} > properties > code > maxLength", 30),
    "a text of any length": drop(f"{NEW} > properties > code > maxLength"),
    "a least length that says nothing": put(f"{NEW} > properties > code > minLength", 0),
    "a smaller least value": put(f"{NEW} > properties > priority > minimum", 0),
    "any number": put(f"{NEW} > properties > priority > type", "number"),
    "a bound in other words": each(
        drop(f"{NEW} > properties > priority > minimum"),
        put(f"{NEW} > properties > priority > exclusiveMinimum", 0),
    ),
    "a decimal of more digits": put(
        f"{NEW} > properties > total > anyOf > 0 > pattern", r"^\d{1,10}(\.\d{1,4})?$"
    ),
    "a decimal that may be negative": each(
        put(f"{NEW} > properties > total > anyOf > 0 > pattern", r"^-?\d{1,8}(\.\d{1,2})?$"),
        drop(f"{NEW} > properties > total > anyOf > 1 > minimum"),
    ),
    "more entries": put(f"{NEW} > properties > lines > maxItems", 2000),
    "a least number of entries that says nothing": put(f"{NEW} > properties > lines > minItems", 0),
    "a body that may be left out": put(f"{CREATE} > requestBody > required", False),
    "a body where there was none": put(
        f"{PAY} > requestBody",
        {"content": {"application/json": {"schema": {"type": "object"}}}},
    ),
    "one more content type of a body": put(
        f"{CREATE} > requestBody > content > application/xml", {}
    ),
    "any content type of a body": move(
        f"{CREATE} > requestBody > content > application/json", "*/*"
    ),
    "an encoding of a body, which is that of JSON": move(
        f"{CREATE} > requestBody > content > application/json", "application/json; charset=utf-8"
    ),
    "an address for each operation": each(
        put(f"{GET} > servers", [{"url": "/v2"}, {"url": "/"}]),
        put(
            "paths > /api/v1/orders > servers",
            [{"url": "/{root}", "variables": {"root": {"default": ""}}}],
        ),
    ),
    "a route by a reference": lambda document: each(
        put("components > pathItems", {"Orders": document_at(document, "paths > /api/v1/orders")}),
        put("paths > /api/v1/orders", {"$ref": "#/components/pathItems/Orders"}),
    )(document),
    "a schema in its place for a reference": lambda document: put(
        f"{CREATE} > requestBody > {JSON} > schema", document_at(document, NEW)
    )(document),
    "another name of a schema": each(
        move("components > schemas > CreateOrderDTO", "NewOrder"),
        put(f"{CREATE} > requestBody > {JSON} > schema", {"$ref": "#/components/schemas/NewOrder"}),
    ),
    "a schema of parts": lambda document: put(
        NEW, {"allOf": [document_at(document, NEW), {"type": "object"}]}
    )(document),
    "no credentials are needed": put(f"{CREATE} > security", [{}]),
    "what is not refused": put(f"{NEW} > not", False),
    "other fields in other words": put(f"{NEW} > unevaluatedProperties", True),
    "forms of a body are told apart by a field that each has": put(
        f"{NEW} > discriminator", {"propertyName": "code"}
    ),
    "a new field of an answer that is written alone": put(
        f"{SHOWN} > properties > channel", {"type": "string", "writeOnly": True}
    ),
    "a field that is not deprecated": put(f"{NEW} > properties > note > deprecated", False),
    "a field of a body that is written alone": put(f"{NEW} > properties > note > writeOnly", True),
    # Answers
    "no other fields of an answer": put(f"{SHOWN} > unevaluatedProperties", False),
    "a field of an answer that is read alone": put(f"{SHOWN} > properties > note > readOnly", True),
    "forms of an answer are told apart by a field": put(
        f"{SHOWN} > discriminator", {"propertyName": "code"}
    ),
    "a new field of an answer": each(
        put(f"{SHOWN} > properties > channel", {"type": ["string", "null"]}),
        add(f"{SHOWN} > required", "channel"),
    ),
    "a word fewer in an answer": put(
        f"{SHOWN} > properties > status", {"type": "string", "enum": ["paid", "open"]}
    ),
    "a field of an answer is never null": put(f"{SHOWN} > properties > note", {"type": "string"}),
    "a word alone for any text": put(f"{SHOWN} > properties > code > enum", ["a"]),
    "whole numbers for numbers": put(f"{SHOWN} > properties > priority > minimum", 1),
    "a shorter text in an answer": put(f"{SHOWN} > properties > code > maxLength", 10),
    "a format in an answer": put(f"{SHOWN} > properties > code > format", "uuid"),
    "null in other words": put(
        f"{SHOWN} > properties > note", {"anyOf": [{"type": "null"}, {"type": "string"}]}
    ),
    "one more header": put(
        f"{GET} > responses > 200 > headers", {"ETag": {"schema": {"type": "string"}}}
    ),
    "a header in small letters": move(f"{LIST} > responses > 200 > headers > Link", "link"),
    "one more content type of an answer": put(
        f"{GET} > responses > 200 > content > application/xml", {}
    ),
    "an encoding of an answer, which is that of JSON": move(
        f"{GET} > responses > 200 > {JSON}", "application/json; charset=utf-8"
    ),
    "one more status of an error": put(f"{GET} > responses > 410", {"description": "Gone"}),
    "an error that is no longer answered": drop(f"{PAY} > responses > 409"),
    "an answer to those who know it": put(
        f"{GET} > responses > 304", {"description": "Not modified"}
    ),
    "no answer to those who know it": drop("paths > /api/v1/openapi.json > get > responses > 304"),
    "an error of a second status": put(
        f"{PAY} > responses > 410", {"$ref": "#/components/responses/ConflictError"}
    ),
    "another error with another status": each(
        drop(f"{PAY} > responses > 409"),
        put(f"{PAY} > responses > 429", {"$ref": "#/components/responses/RequestTimeout"}),
    ),
    "one more error of a status": errors(
        f"{PAY} > responses > 409", "Order is closed", "ConflictError"
    ),
    "one more field of an error": put(
        "components > schemas > Error > properties > code", {"type": "string"}
    ),
    "other words of an answer": put(f"{CREATE} > responses > 201 > description", "Made"),
}
