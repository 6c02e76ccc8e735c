"""The contract: every route of a generated service, row by row, to the byte.

Rows of a table are independent: each is asked while the service holds the records of `arrival`.
Rows of a life follow each other, from an empty table to an empty one. Orders are of the users and the
products that other services hold then.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quart_fleet.conventions import PREFIX
from scaffold.api.row import (
    JSON,
    LATER,
    NEW_ID,
    NOW,
    SECONDS,
    Id,
    Row,
    Stored,
    error,
    invalid,
    success,
)

LARGEST_BODY = 1024 * 1024
"""Bytes of a body that is still read."""

ADA = {"username": "ada", "email": "ada@example.com", "first_name": "Ada",
       "last_name": "Lovelace", "age": 36}  # fmt: skip
BOB = {"username": "bob", "email": "bob@example.com"}
EVA = {"username": "Éva 😀\ufffd", "email": "éva@example.com", "first_name": "",
       "last_name": "<O'Neil> & \"Co\"", "age": -1}  # fmt: skip
GRACE = b'{"username":"grace","email":"grace@example.com"}'

BODY_REQUIRED = error("Request body is required")
ENDPOINT_NOT_FOUND = error("Endpoint not found")
MALFORMED = error("Request body is not valid JSON")
METHOD_NOT_ALLOWED = error("Method not allowed")
NOT_AN_OBJECT = error("Request body must be a JSON object")
TOO_LARGE = error("Request body too large")
USER_NOT_FOUND = error("User not found")
WRONG_TYPE = error("Content-Type must be application/json")

HEALTHY = success({"status": "healthy"})
READY = success({"checks": [{"name": "database", "seconds": SECONDS}], "status": "ready"})
ALL_USERS = success([Stored("ada"), Stored("bob"), Stored("eva")])
ACTIVE = success([Stored("ada"), Stored("eva")])

_TEXT = {"Content-Type": "text/plain"}
_NO_CONTENT = {"Content-Type": "text/html; charset=utf-8"}
_ORIGIN = {"Origin": "https://app.example.com"}
_ECHO = {"Access-Control-Allow-Origin": "https://app.example.com", "Vary": "Origin"}
_ALL_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_READING = "GET, HEAD, OPTIONS"
_LISTING = "GET, HEAD, OPTIONS, POST"
_RECORD = "DELETE, GET, HEAD, OPTIONS, PUT"
_NEW = {"id": NEW_ID, "is_active": True, "created_at": NOW, "updated_at": NOW}

Table = Mapping[str, tuple[Row, ...]]
"""Rows by the route that they are about, as `GET /users/<int>`."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What one service answers."""

    path: str
    """Where all records are listed, and one by its id below it."""
    life: tuple[Row, ...]
    """Asked in this order; the first needs an empty table, and the last leaves one."""
    arrival: tuple[Row, ...]
    """Creates, in an empty table, the records that the rows of `table` name."""
    table: Table
    silent: Table = field(default_factory=dict)
    """Rows by the other service that answers nothing while they are asked."""

    @property
    def rows(self) -> list[Row]:
        """All rows of the table."""
        return [row for rows in self.table.values() for row in rows]


def contract_of(service: str) -> Contract:
    """Return what the service of this name answers, as `user-service` or `order-service`."""
    resource = service.removesuffix("-service")
    described = {"user": _USERS, "order": _ORDERS}
    own = described.get(resource) or _resource(f"/{resource}s", resource.capitalize())
    common = _common(service)
    routes = dict.fromkeys((*common, *own.table))
    table = {route: common.get(route, ()) + own.table.get(route, ()) for route in routes}
    return replace(own, table=table)


def created(**values: object) -> dict[str, object]:
    """The answer that creates a user with these values."""
    absent = {"age": None, "first_name": None, "last_name": None}
    return success({**_NEW, **absent, **values}, "User created successfully")


def updated(**values: object) -> dict[str, object]:
    """The answer that updates Ada to these values."""
    return success(Stored("ada", {"updated_at": NOW, **values}), "User updated successfully")


def post(title: str, status: int, document: object, body: object, path: str = "/users") -> Row:
    """A POST of JSON: bytes as they are, None for no body, else JSON, which may have an `Id`."""
    return Row(title, "POST", path, status, document, _encode(body), JSON)


def put(title: str, path: str, status: int, document: object, body: object) -> Row:
    """A PUT of JSON, its body as in `post`."""
    return Row(title, "PUT", path, status, document, _encode(body), JSON)


def patch(title: str, path: str, status: int, document: object, body: object) -> Row:
    """A PATCH by JSON Merge Patch, its body as in `post`."""
    headers = {"Content-Type": "application/merge-patch+json"}
    return Row(title, "PATCH", path, status, document, _encode(body), headers)


def _encode(body: object) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body, default=lambda each: f"{{{each.name}}}").encode()


def _wrong_methods(path: str, methods: str, allow: str) -> tuple[Row, ...]:
    return tuple(
        Row(f"{method} is no method of {path}", method, path, 405, METHOD_NOT_ALLOWED, allow=allow)
        for method in methods.split()
    )


def _common(service: str) -> Table:
    """What every service answers, whatever it keeps."""
    return {
        "GET /health": (
            Row("a service is healthy", "GET", "/health", 200, HEALTHY),
            Row("HEAD of health has no body", "HEAD", "/health", 200),
            Row("OPTIONS of health tells its methods", "OPTIONS", "/health", 200,
                expected=_NO_CONTENT, allow=_READING),
        ),
        "GET /health/ready": (
            Row("a service is ready while its database answers", "GET", "/health/ready", 200, READY),
        ),
        "GET /": (
            Row("a service says its name", "GET", "/", 200,
                success({"message": f"Welcome to {service}"})),
        ),
        "anything else": (
            Row("an unknown path is not found", "GET", "/nowhere", 404, ENDPOINT_NOT_FOUND),
            Row("an unknown path takes no body", "POST", "/nowhere", 404, ENDPOINT_NOT_FOUND, b"{",
                JSON),
            Row("health with a trailing slash is another path", "GET", "/health/", 404,
                ENDPOINT_NOT_FOUND),
            Row("the path of health is case sensitive", "GET", "/Health", 404, ENDPOINT_NOT_FOUND),
        ),
        "known route, wrong method": (
            *_wrong_methods("/health", "POST PUT PATCH DELETE TRACE", _READING),
            *_wrong_methods("/", "POST PUT PATCH DELETE", _READING),
        ),
        "every route": (
            Row("the bare prefix moves", "HEAD", "?a=1", 308, headers={"Host": "localhost"},
                expected={"Content-Type": "application/json", "Location": f"{PREFIX}/?a=1"}),
        ),
    }  # fmt: skip


_JOHN = {"username": "johndoe", "email": "john@example.com", "first_name": "John",
         "last_name": "Doe", "age": 36}  # fmt: skip
_ZOE = {"username": " Zo\u00eb ", "email": ""}

_USERS_LIFE = (
    Row("no user yet", "GET", "/users", 200, success([])),
    Row("no active user yet", "GET", "/users/active", 200, success([])),
    post("a user registers", 201, created(**_JOHN), _JOHN).keep_as("john"),
    post("nothing is trimmed, other keys are ignored", 201, created(**_ZOE),
         _ZOE | {"is_active": False, "role": "admin"}).keep_as("zoe"),
    post("a registered username is refused", 400, error("Username already exists"), _JOHN),
    Row("all, oldest first", "GET", "/users", 200, success([Stored("john"), Stored("zoe")])),
    Row("a new user is found by id", "GET", "/users/{john}", 200, success(Stored("john"))),
    Row("spaces and accents are found by username", "GET", "/users/username/%20Zo%C3%AB%20", 200,
        success(Stored("zoe"))),
    # Dates are whole seconds: a later one tells that the update set it.
    Row("an update changes what is given; null and other keys change nothing", "PUT",
        "/users/{john}", 200,
        success(Stored("john", {"first_name": "Johnny", "age": 37, "updated_at": LATER}),
                "User updated successfully"),
        b'{"first_name":"Johnny","last_name":null,"age":37,"username":"x"}', JSON, delay=1.0).keep_as("john"),
    Row("the change stays", "GET", "/users/{john}", 200, success(Stored("john"))),
    Row("a user is deactivated; the body is not read", "POST", "/users/{zoe}/deactivate", 200,
        success(Stored("zoe", {"is_active": False, "updated_at": NOW}),
                "User deactivated successfully"),
        b"{", _TEXT).keep_as("zoe"),
    Row("a deactivated user is still there", "GET", "/users/{zoe}", 200, success(Stored("zoe"))),
    Row("a user is deleted", "DELETE", "/users/{john}", 200,
        success(None, "User deleted successfully")),
    Row("a user is deleted once", "DELETE", "/users/{john}", 404, USER_NOT_FOUND),
    Row("a deleted user is not found", "GET", "/users/{john}", 404, USER_NOT_FOUND),
    Row("no active user is left", "GET", "/users/active", 200, success([])),
    Row("the inactive user is left", "GET", "/users", 200, success([Stored("zoe")])),
    Row("an inactive user is deleted", "DELETE", "/users/{zoe}", 200,
        success(None, "User deleted successfully")),
    Row("no user is left", "GET", "/users", 200, success([])),
)  # fmt: skip

_USERS_ARRIVAL = (
    post("Ada registers", 201, created(**ADA), ADA).keep_as("ada"),
    post("Bob registers", 201, created(**BOB), BOB).keep_as("bob"),
    post("Eva registers", 201, created(**EVA), EVA).keep_as("eva"),
    Row("Bob is deactivated", "POST", "/users/{bob}/deactivate", 200,
        success(Stored("bob", {"is_active": False, "updated_at": NOW}),
                "User deactivated successfully")).keep_as("bob"),
)  # fmt: skip

_DEACTIVATED = success(
    Stored("ada", {"is_active": False, "updated_at": NOW}), "User deactivated successfully"
)
_USERS_TABLE: Table = {
    "GET /users": (
        Row("the list holds all users, oldest first", "GET", "/users", 200, ALL_USERS),
        Row("the list ignores query parameters", "GET", "/users?limit=1&is_active=false&page=x",
            200, ALL_USERS),
        Row("the list knows no pages", "GET", "/users?page=2&limit=1", 200, ALL_USERS),
    ),
    "GET /users/active": (
        Row("the active list holds the active users, oldest first", "GET", "/users/active", 200,
            ACTIVE),
        Row("the active list ignores query parameters", "GET", "/users/active?limit=0", 200,
            ACTIVE),
    ),
    "GET /users/<int>": (
        Row("a user is found by id", "GET", "/users/{ada}", 200, success(Stored("ada"))),
        Row("an inactive user is found by id", "GET", "/users/{bob}", 200, success(Stored("bob"))),
        Row("leading zeros of an id do not count", "GET", "/users/000{ada}", 200,
            success(Stored("ada"))),
        Row("an id that was never given is not found", "GET", "/users/{unused}", 404,
            USER_NOT_FOUND),
        Row("the id 0 is not found", "GET", "/users/0", 404, USER_NOT_FOUND),
        Row("an id past int is not found", "GET", f"/users/{2**31}", 404, USER_NOT_FOUND),
        Row("an id past bigint is not found", "GET", f"/users/{2**63}", 404, USER_NOT_FOUND),
        Row("an id of 100 digits is not found", "GET", f"/users/{'9' * 100}", 404, USER_NOT_FOUND),
        Row("other digits than ASCII make no id", "GET", "/users/%D9%A1", 404, ENDPOINT_NOT_FOUND),
        Row("a minus sign makes no id", "GET", "/users/-1", 404, ENDPOINT_NOT_FOUND),
        Row("a plus sign makes no id", "GET", "/users/+1", 404, ENDPOINT_NOT_FOUND),
        Row("a fraction makes no id", "GET", "/users/1.5", 404, ENDPOINT_NOT_FOUND),
        Row("letters make no id", "GET", "/users/abc", 404, ENDPOINT_NOT_FOUND),
    ),
    "GET /users/username/<text>": (
        Row("a user is found by username", "GET", "/users/username/ada", 200,
            success(Stored("ada"))),
        Row("a username may hold any character", "GET",
            "/users/username/%C3%89va%20%F0%9F%98%80%EF%BF%BD", 200, success(Stored("eva"))),
        Row("usernames are case sensitive", "GET", "/users/username/Ada", 404, USER_NOT_FOUND),
        Row("capitals are another username", "GET", "/users/username/ADA", 404, USER_NOT_FOUND),
        Row("an unknown username is not found", "GET", "/users/username/grace", 404,
            USER_NOT_FOUND),
        Row("a username is found whole", "GET", "/users/username/ad%25", 404, USER_NOT_FOUND),
        Row("NUL in a username is not found", "GET", "/users/username/a%00", 404, USER_NOT_FOUND),
        Row("invalid UTF-8 in a username is not found", "GET", "/users/username/%ff", 404,
            USER_NOT_FOUND),
        Row("an encoded slash splits a path", "GET", "/users/username/ada%2Flovelace", 404,
            ENDPOINT_NOT_FOUND),
    ),
    "POST /users": (
        post("a user is created of a username and an email", 201,
             created(username="grace", email="grace@example.com"), GRACE),
        post("a user is created of all fields", 201,
             created(username="g", email="e", first_name="Grace", last_name="Hopper", age=85),
             b'{"username":"g","email":"e","first_name":"Grace","last_name":"Hopper","age":85}'),
        post("other keys are ignored in a creation", 201, created(username="g", email="e"),
             b'{"username":"g","email":"e","id":99,"is_active":false,"created_at":1,"x":{}}'),
        post("a creation needs a body", 400, BODY_REQUIRED, None),
        Row("a creation without a body has no type either", "POST", "/users", 400, BODY_REQUIRED),
        post("an empty object is no body", 400, BODY_REQUIRED, b"{}"),
        *(
            post(f"{body.decode()} is no body", 400, BODY_REQUIRED, body)
            for body in (b"null", b"[]", b'""', b"0", b"false")
        ),
        post("a creation needs a username first", 400, error("Field 'username' is required"),
             b'{"first_name":"Grace"}'),
        post("a creation needs a username beside an email", 400,
             error("Field 'username' is required"), b'{"email":"x"}'),
        post("a creation needs an email second", 400, error("Field 'email' is required"),
             b'{"username":"grace"}'),
        post("a username registers once", 400, error("Username already exists"),
             b'{"username":"ada","email":"new@example.com"}'),
        post("an email registers once", 400, error("Email already exists"),
             b'{"username":"new","email":"ada@example.com"}'),
        post("an email registers once, whatever the case of the username", 400,
             error("Email already exists"), ADA | {"username": "Ada"}),
        post("the username is checked before the email", 400, error("Username already exists"),
             b'{"username":"ada","email":"bob@example.com"}'),
        post("malformed JSON is refused", 400, MALFORMED, b"{"),
        post("JSON that ends early is refused", 400, MALFORMED, b'{"username":'),
        post("a body that is no object is refused", 400, NOT_AN_OBJECT, b"7"),
        *(
            post(f"{body.decode()} is no object", 400, NOT_AN_OBJECT, body)
            for body in (b"true", b'"abc"', b'["a"]')
        ),
        Row("a body without a type is refused", "POST", "/users", 415, WRONG_TYPE, GRACE),
        Row("a body of another type is refused", "POST", "/users", 415, WRONG_TYPE,
            b'{"username":"x"}', _TEXT),
        Row("a body too large is refused", "POST", "/users", 413, TOO_LARGE,
            GRACE.ljust(LARGEST_BODY + 1), {**JSON, "Connection": "keep-alive"},
            {"Connection": "close"}),
        post("each wrong value is named", 422,
             invalid(age="Must be an integer", username="Must be a string"),
             b'{"username":7,"email":"e","age":"36"}'),
        *(
            post(f"{name} {fault} is refused", 422, invalid(**{name: reason}),
                 _JOHN | {name: value})
            for name, fault, value, reason in (
                ("username", "null", None, "Must be a string"),
                ("email", "null", None, "Must be a string"),
                ("username", "as a number", 7, "Must be a string"),
                ("username", "of 81 characters", "é" * 81, "Must be at most 80 characters"),
                ("email", "of 121 characters", "é" * 121, "Must be at most 120 characters"),
                ("first_name", "of 51 characters", "é" * 51, "Must be at most 50 characters"),
                ("last_name", "with NUL", "\0", "Must not contain NUL characters"),
                ("age", "as text", "36", "Must be an integer"),
                ("age", "with a fraction", 36.5, "Must be an integer"),
                ("age", "past int4", 2**31, "Must be at most 2147483647"),
                ("age", "below int4", -(2**31) - 1, "Must be at least -2147483648"),
            )
        ),
    ),
    "PUT /users/<int>": (
        put("an update changes what it holds", "/users/{ada}", 200,
            updated(first_name="Augusta", last_name="King", age=37, is_active=False),
            b'{"first_name":"Augusta","last_name":"King","age":37,"is_active":false}'),
        put("what an update lacks stays", "/users/{ada}", 200, updated(age=37), b'{"age":37}'),
        put("null leaves a field as it is", "/users/{ada}", 200, updated(age=37),
            b'{"first_name":null,"last_name":null,"age":37,"is_active":null}'),
        put("null leaves an age as it is", "/users/{ada}", 200, updated(), b'{"age":null}'),
        put("other keys are ignored in an update", "/users/{ada}", 200, updated(),
            b'{"username":"x","email":"y","id":9,"created_at":null}'),
        put("an update needs a body", "/users/{ada}", 400, BODY_REQUIRED, None),
        Row("an update without a body has no type either", "PUT", "/users/{ada}", 400,
            BODY_REQUIRED),
        put("is_active is true or false", "/users/{ada}", 422,
            invalid(is_active="Must be true or false"), b'{"is_active":"yes"}'),
        put("an update needs a body before it needs a user", "/users/{unused}", 400, BODY_REQUIRED,
            b"{}"),
        put("an update of the id 0 needs a body too", "/users/0", 400, BODY_REQUIRED, b"{}"),
        put("an unknown user is not updated", "/users/{unused}", 404, USER_NOT_FOUND,
            b'{"age":37}'),
        put("the id 0 is not updated", "/users/0", 404, USER_NOT_FOUND, b'{"age":40}'),
    ),
    "POST /users/<int>/deactivate": (
        Row("a user is deactivated", "POST", "/users/{ada}/deactivate", 200, _DEACTIVATED),
        Row("the body of a deactivation is not read", "POST", "/users/{ada}/deactivate", 200,
            _DEACTIVATED, b"{", JSON),
        Row("an unknown user is not deactivated", "POST", "/users/{unused}/deactivate", 404,
            USER_NOT_FOUND),
        Row("the id 0 is not deactivated", "POST", "/users/0/deactivate", 404, USER_NOT_FOUND),
    ),
    "DELETE /users/<int>": (
        Row("a user is deleted by id", "DELETE", "/users/{ada}", 200,
            success(None, "User deleted successfully")),
        Row("an unknown user is not deleted", "DELETE", "/users/{unused}", 404, USER_NOT_FOUND),
        Row("the id 0 is not deleted", "DELETE", "/users/0", 404, USER_NOT_FOUND),
    ),
    "anything else": (
        Row("nothing is below a user but its deactivation", "POST", "/users/{ada}/activate", 404,
            ENDPOINT_NOT_FOUND),
        Row("a trailing slash is another path", "GET", "/users/", 404, ENDPOINT_NOT_FOUND),
        Row("a path is case sensitive", "GET", "/Users", 404, ENDPOINT_NOT_FOUND),
    ),
    "known route, wrong method": (
        *_wrong_methods("/users", "PUT PATCH DELETE", _LISTING),
        *_wrong_methods("/users/active", "POST PUT DELETE", _READING),
        *_wrong_methods("/users/{ada}", "POST PATCH", _RECORD),
        *_wrong_methods("/users/{unused}", "POST", _RECORD),
        *_wrong_methods("/users/username/ada", "POST PUT DELETE", _READING),
        *_wrong_methods("/users/{ada}/deactivate", "GET PUT DELETE", "OPTIONS, POST"),
    ),
    "every route": (
        Row("HEAD goes with GET", "HEAD", "/users/{ada}", 200),
        Row("OPTIONS is empty", "OPTIONS", "/users", 200, expected=_NO_CONTENT, allow=_LISTING),
        Row("OPTIONS of a user tells its methods", "OPTIONS", "/users/{ada}", 200,
            expected=_NO_CONTENT, allow=_RECORD),
        Row("an origin is echoed", "GET", "/users/{ada}", 200, success(Stored("ada")), None,
            _ORIGIN, _ECHO),
        Row("an origin is echoed on a refusal", "GET", "/users/{unused}", 404, USER_NOT_FOUND, None,
            _ORIGIN, _ECHO),
        Row("the origin null is echoed", "GET", "/users/{ada}", 200, success(Stored("ada")), None,
            {"Origin": "null"}, {"Access-Control-Allow-Origin": "null", "Vary": "Origin"}),
        Row("a pre-flight allows methods that the route lacks", "OPTIONS", "/users", 200, None,
            None,
            _ORIGIN | {"Access-Control-Request-Method": "PATCH",
                       "Access-Control-Request-Headers": "X-Trace"},
            _ECHO | _NO_CONTENT | {"Access-Control-Allow-Methods": _ALL_METHODS,
                                   "Access-Control-Allow-Headers": "X-Trace"},
            allow=_LISTING),
        Row("a pre-flight allows a method of the route", "OPTIONS", "/users/{ada}", 200, None, None,
            _ORIGIN | {"Access-Control-Request-Method": "DELETE",
                       "Access-Control-Request-Headers": "X-Token"},
            _ECHO | _NO_CONTENT | {"Access-Control-Allow-Methods": _ALL_METHODS,
                                   "Access-Control-Allow-Headers": "X-Token"},
            allow=_RECORD),
        Row("broken bytes in a path spell no username", "GET",
            "/users/username/%C3%89va%20%F0%9F%98%80%FF", 404, USER_NOT_FOUND),
    ),
}  # fmt: skip


_USERS = Contract("/users", _USERS_LIFE, _USERS_ARRIVAL, _USERS_TABLE)


_FIRST = {"code": "A-1", "buyer_id": Id("ada"),
          "lines": [{"product_id": Id("lamp"), "quantity": 2},
                    {"product_id": Id("desk"), "quantity": 1}]}  # fmt: skip
_SECOND = {
    "code": "A-2",
    "buyer_id": Id("bob"),
    "lines": [{"product_id": Id("desk"), "quantity": 3}],
}
_THIRD = {**_SECOND, "code": "A-3"}
_MANY_DESKS = {"lines": [{"product_id": Id("desk"), "quantity": 5}]}
_NO_PRODUCT = {"lines": [{"product_id": Id("lamp"), "quantity": 2},
                         {"product_id": Id("unused"), "quantity": 1}]}  # fmt: skip
_ONE = "/orders/{first}"
_ORDER_NOT_FOUND = error("Order not found")
_NO_BUYER = invalid(buyer_id="No such buyer")
_AT_LEAST_ONE = invalid(lines="Must have at least 1 item")


def _ordered(order: Mapping[str, Any]) -> dict[str, object]:
    """The answer that creates an order."""
    lines = [{"id": NEW_ID, **line} for line in order["lines"]]
    return success(
        {**_NEW, **order, "lines": lines, "status": "open"}, "Order created successfully"
    )


def _changed(message: str = "updated", **changes: object) -> dict[str, object]:
    """The answer that changes the first order."""
    stored = Stored("first", {**changes, "updated_at": NOW})
    return success(stored, f"Order {message} successfully")


_ORDERS_LIFE = (
    Row("no orders yet", "GET", "/orders", 200, success([])),
    post("a user orders two products", 201, _ordered(_FIRST), _FIRST, "/orders").keep_as("first"),
    post("another user orders one", 201, _ordered(_SECOND), _SECOND, "/orders").keep_as("second"),
    post("a code is taken once", 400, error("Code already exists"), _SECOND, "/orders"),
    Row("an order is found by id", "GET", _ONE, 200, success(Stored("first"))),
    Row("an order is found by its code", "GET", "/orders/code/A-1", 200, success(Stored("first"))),
    put("an order goes to another user", _ONE, 200, _changed(buyer_id=Id("bob")),
        {"buyer_id": Id("bob")}).keep_as("first"),
    patch("a patch replaces the lines", _ONE, 200,
          _changed(lines=[{"id": NEW_ID, **line} for line in _MANY_DESKS["lines"]]),
          _MANY_DESKS).keep_as("first"),
    Row("an order is paid", "POST", f"{_ONE}/pay", 200,
        _changed("paid", status="paid")).keep_as("first"),
    Row("an order is paid once", "POST", f"{_ONE}/pay", 409, error("Order is paid")),
    Row("a paid order is cancelled", "POST", f"{_ONE}/cancel", 200,
        _changed("cancelled", status="cancelled")).keep_as("first"),
    Row("an order is deactivated", "POST", f"{_ONE}/deactivate", 200,
        _changed("deactivated", is_active=False)).keep_as("first"),
    Row("a deactivated order is still there", "GET", _ONE, 200, success(Stored("first"))),
    Row("an order is deleted", "DELETE", _ONE, 200, success(None, "Order deleted successfully")),
    Row("an order is deleted once", "DELETE", _ONE, 404, _ORDER_NOT_FOUND),
    Row("the other order is active", "GET", "/orders/active", 200, success([Stored("second")])),
    Row("the other order is deleted", "DELETE", "/orders/{second}", 200,
        success(None, "Order deleted successfully")),
)  # fmt: skip

_ORDERS_ARRIVAL = (
    post("Ada's order arrives", 201, _ordered(_FIRST), _FIRST, "/orders").keep_as("first"),
    post("Bob's order arrives", 201, _ordered(_SECOND), _SECOND, "/orders").keep_as("second"),
)

_ORDERS_SILENT: Table = {
    "user-service": (
        replace(
            post("an order whose user cannot be asked for is refused in time", 503,
                 error("The user-service is unavailable"), _THIRD, "/orders"),
            headers={**JSON, "Connect-Timeout-Ms": "500"}, expected={"Retry-After": "1"}, within=2,
        ),
        Row("orders are read without the users", "GET", _ONE, 200, success(Stored("first"))),
    ),
}  # fmt: skip

_ORDERS_TABLE: Table = {
    "GET /orders": (
        Row("the list holds all orders, oldest first", "GET", "/orders", 200,
            success([Stored("first"), Stored("second")])),
        Row("the orders of a user are counted", "GET", "/orders?buyer_id={bob}&count=true", 200,
            success([Stored("second")]), expected={"X-Total-Count": "1", "Link": None}),
        Row("orders are sorted", "GET", "/orders?sort=-code", 200,
            success([Stored("second"), Stored("first")])),
        Row("a page has as many orders as its limit", "GET", "/orders?limit=1", 200,
            success([Stored("first")]), expected={"X-Total-Count": None}),
        Row("no order is inactive", "GET", "/orders?is_active=false", 200, success([])),
        Row("a parameter that does not exist is named", "GET", "/orders?colour=red", 422,
            invalid(colour="Is no parameter of this list, which has limit, after, sort, count, "
                           "code, buyer_id, is_active")),
        Row("a limit has a greatest value", "GET", "/orders?limit=101", 422,
            invalid(limit="Must be at most 100")),
        Row("what is no cursor is refused", "GET", "/orders?after=1", 422,
            invalid(after="Is no cursor of this list")),
        Row("pages have no path of their own", "GET", "/orders/page", 404, ENDPOINT_NOT_FOUND),
    ),
    "GET /orders/<int>": (
        Row("the id 0 is not found", "GET", "/orders/0", 404, _ORDER_NOT_FOUND),
        Row("an id past bigint is not found", "GET", f"/orders/{2**63}", 404, _ORDER_NOT_FOUND),
        Row("letters make no id", "GET", "/orders/abc", 404, ENDPOINT_NOT_FOUND),
    ),
    "GET /orders/code/<text>": (
        Row("a code is case sensitive", "GET", "/orders/code/a-1", 404, _ORDER_NOT_FOUND),
    ),
    "POST /orders": (
        Row("a creation needs a body", "POST", "/orders", 400, BODY_REQUIRED),
        post("a body that is no object is refused", 400, NOT_AN_OBJECT, b"7", "/orders"),
        post("an order needs a code", 400, error("Field 'code' is required"),
             {"buyer_id": Id("ada")}, "/orders"),
        post("an order needs a user", 400, error("Field 'buyer_id' is required"),
             {"code": "A-3"}, "/orders"),
        post("a code as a number is refused", 422, invalid(code="Must be a string"),
             {**_THIRD, "code": 7}, "/orders"),
        post("a user that does not exist is named", 422, _NO_BUYER,
             {**_THIRD, "buyer_id": Id("unused")}, "/orders"),
        post("a product that does not exist is named by its line", 422,
             invalid(**{"lines.1.product_id": "No such product"}), {**_THIRD, **_NO_PRODUCT},
             "/orders"),
        post("what both other services miss is named at once", 422,
             invalid(**{"buyer_id": "No such buyer", "lines.1.product_id": "No such product"}),
             {**_THIRD, **_NO_PRODUCT, "buyer_id": 0}, "/orders"),
        post("an order has a line", 422, _AT_LEAST_ONE, {**_THIRD, "lines": []}, "/orders"),
        post("a line has a product", 400, error("Field 'lines.0.product_id' is required"),
             {**_THIRD, "lines": [{"quantity": 1}]}, "/orders"),
        post("of a product there is at least one", 422,
             invalid(**{"lines.0.quantity": "Must be greater than 0"}),
             {**_THIRD, "lines": [{"product_id": Id("lamp"), "quantity": 0}]}, "/orders"),
        post("an order begins as open", 422, invalid(status="Must be 'open'"),
             {**_THIRD, "status": "paid"}, "/orders"),
    ),
    "PUT /orders/<int>": (
        put("an unknown order is not updated", "/orders/0", 404, _ORDER_NOT_FOUND,
            {"buyer_id": Id("ada")}),
        put("an order goes to no user that does not exist", _ONE, 422, _NO_BUYER,
            {"buyer_id": Id("unused")}),
        put("an update ignores the code and the status", _ONE, 200, _changed(),
            {"code": "A-9", "status": "paid"}),
    ),
    "PATCH /orders/<int>": (
        patch("an empty patch changes nothing", _ONE, 200,
              success(Stored("first"), "Order updated successfully"), {}),
        patch("a user is never null", _ONE, 422, invalid(buyer_id="Must be an integer"),
              {"buyer_id": None}),
        patch("a status is changed by its actions alone", _ONE, 422,
              invalid(status="Cannot be changed"), {"status": "paid"}),
        patch("a line is kept by its own order alone", _ONE, 422,
              invalid(**{"lines.0.id": "No such item"}), {"lines": [{"id": 0, "quantity": 1}]}),
        patch("an order keeps a line", _ONE, 422, _AT_LEAST_ONE, {"lines": []}),
        patch("a patch is an object", _ONE, 400, NOT_AN_OBJECT, b"null"),
        Row("a patch needs a body", "PATCH", _ONE, 400, BODY_REQUIRED),
        patch("an unknown order is not patched", "/orders/0", 404, _ORDER_NOT_FOUND,
              {"buyer_id": Id("ada")}),
    ),
    "POST /orders/<int>/pay": (
        Row("an unknown order is not paid", "POST", "/orders/0/pay", 404, _ORDER_NOT_FOUND),
    ),
    "DELETE /orders/<int>": (
        Row("an unknown order is not deleted", "DELETE", "/orders/0", 404, _ORDER_NOT_FOUND),
    ),
    "known route, wrong method": (
        *_wrong_methods("/orders", "PATCH", _LISTING),
        *_wrong_methods(_ONE, "POST", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        *_wrong_methods(f"{_ONE}/pay", "GET", "OPTIONS, POST"),
    ),
}  # fmt: skip

_ORDERS = Contract("/orders", _ORDERS_LIFE, _ORDERS_ARRIVAL, _ORDERS_TABLE, _ORDERS_SILENT)


def _resource(path: str, label: str) -> Contract:
    """What the service of any other resource answers: the rules of users, under its own name."""
    one, missing = f"{path}/{{lamp}}", error(f"{label} not found")
    lamp = {"name": "Lamp", "description": "It shines"}
    desk = {"name": "Desk"}
    created_lamp = success({**_NEW, **lamp}, f"{label} created successfully")
    created_desk = success({**_NEW, **desk, "description": None}, f"{label} created successfully")
    deleted = success(None, f"{label} deleted successfully")
    life = (
        Row("none yet", "GET", path, 200, success([])),
        post("a new one is created", 201, created_lamp, lamp, path).keep_as("lamp"),
        post("its name is enough", 201, created_desk, desk, path).keep_as("desk"),
        post("a name is taken once", 400, error("Name already exists"), lamp, path),
        Row("one is found by id", "GET", one, 200, success(Stored("lamp"))),
        Row("an update changes what is given", "PUT", one, 200,
            success(Stored("lamp", {"description": "It glows", "updated_at": NOW}),
                    f"{label} updated successfully"),
            b'{"description":"It glows"}', JSON).keep_as("lamp"),
        patch("a patch clears what is null", one, 200,
              success(Stored("lamp", {"description": None, "updated_at": NOW}),
                      f"{label} updated successfully"), {"description": None}).keep_as("lamp"),
        Row("one is deactivated", "POST", f"{one}/deactivate", 200,
            success(Stored("lamp", {"is_active": False, "updated_at": NOW}),
                    f"{label} deactivated successfully")).keep_as("lamp"),
        Row("a deactivated one is still there", "GET", one, 200, success(Stored("lamp"))),
        Row("one is deleted", "DELETE", one, 200, deleted),
        Row("one is deleted once", "DELETE", one, 404, missing),
        Row("the other one is active", "GET", f"{path}/active", 200, success([Stored("desk")])),
        Row("the other one is deleted", "DELETE", f"{path}/{{desk}}", 200, deleted),
    )  # fmt: skip
    arrival = (
        post("a lamp arrives", 201, created_lamp, lamp, path).keep_as("lamp"),
        post("a desk arrives", 201, created_desk, desk, path).keep_as("desk"),
    )
    table = {
        f"GET {path}": (
            Row("the list holds all, oldest first", "GET", path, 200,
                success([Stored("lamp"), Stored("desk")])),
            Row("a list is filtered and counted", "GET", f"{path}?name=Desk&count=true", 200,
                success([Stored("desk")]), expected={"X-Total-Count": "1", "Link": None}),
            Row("a list is sorted", "GET", f"{path}?sort=name", 200,
                success([Stored("desk"), Stored("lamp")])),
            Row("a page has as many as its limit", "GET", f"{path}?limit=1", 200,
                success([Stored("lamp")]), expected={"X-Total-Count": None}),
            Row("none is inactive", "GET", f"{path}?is_active=false", 200, success([])),
            Row("a parameter that does not exist is named", "GET", f"{path}?colour=red", 422,
                invalid(colour="Is no parameter of this list, which has limit, after, sort, count, "
                               "name, is_active")),
            Row("a limit has a greatest value", "GET", f"{path}?limit=101", 422,
                invalid(limit="Must be at most 100")),
            Row("what is no cursor is refused", "GET", f"{path}?after=1", 422,
                invalid(after="Is no cursor of this list")),
            Row("pages have no path of their own", "GET", f"{path}/page", 404, ENDPOINT_NOT_FOUND),
        ),
        f"GET {path}/<int>": (
            Row("the id 0 is not found", "GET", f"{path}/0", 404, missing),
            Row("an id past bigint is not found", "GET", f"{path}/{2**63}", 404, missing),
            Row("letters make no id", "GET", f"{path}/abc", 404, ENDPOINT_NOT_FOUND),
        ),
        f"POST {path}": (
            Row("a creation needs a body", "POST", path, 400, BODY_REQUIRED),
            post("a body that is no object is refused", 400, NOT_AN_OBJECT, b"7", path),
            post("a creation needs a name", 400, error("Field 'name' is required"),
                 {"description": "x"}, path),
            post("a name as a number is refused", 422, invalid(name="Must be a string"),
                 {"name": 7}, path),
        ),
        f"PUT {path}/<int>": (
            put("an unknown one is not updated", f"{path}/0", 404, missing, {"name": "x"}),
        ),
        f"PATCH {path}/<int>": (
            patch("an empty patch changes nothing", one, 200,
                  success(Stored("lamp"), f"{label} updated successfully"), {}),
            patch("a name is never null", one, 422, invalid(name="Must be a string"), {"name": None}),
            patch("a patch is an object", one, 400, NOT_AN_OBJECT, b"null"),
            Row("a patch needs a body", "PATCH", one, 400, BODY_REQUIRED),
            patch("an unknown one is not patched", f"{path}/0", 404, missing, {"name": "x"}),
        ),
        f"DELETE {path}/<int>": (
            Row("an unknown one is not deleted", "DELETE", f"{path}/0", 404, missing),
        ),
        "known route, wrong method": (
            *_wrong_methods(path, "PATCH", _LISTING),
            *_wrong_methods(one, "POST", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ),
    }  # fmt: skip
    return Contract(path, life, arrival, table)
