"""The table of the contract, row by row, for every route."""

import json

from .people import ADA, BOB, EVA, EVERYBODY, NEXT_ID
from .row import JSON, Row, invalid, refused, succeeded

USER_NOT_FOUND = refused("User not found")
ENDPOINT_NOT_FOUND = refused("Endpoint not found")
BODY_REQUIRED = refused("Request body is required")
GRACE = b'{"username":"grace","email":"grace@example.com"}'


def created(**values: object) -> bytes:
    """The answer that creates a user with these values."""
    given = {"id": NEXT_ID, "is_active": True, "created_at": "<now>", "updated_at": "<now>"}
    absent = {"age": None, "first_name": None, "last_name": None}
    return succeeded(_spell(given | absent | values), "User created successfully")


def changed(message: str, **values: object) -> bytes:
    """The answer that gives these values to Ada."""
    return succeeded(_spell(json.loads(ADA) | {"updated_at": "<now>"} | values), message)


def updated(**values: object) -> bytes:
    """The answer that updates Ada to these values."""
    return changed("User updated successfully", **values)


def _spell(user: dict[str, object]) -> bytes:
    return json.dumps(user, sort_keys=True, separators=(",", ":")).encode()


def _post(law: str, status: int, answer: bytes, body: bytes | None) -> Row:
    return Row(law, "POST", "/users", status, answer, body, JSON)


def _put(law: str, path: str, status: int, answer: bytes, body: bytes | None) -> Row:
    return Row(law, "PUT", f"/users/{path}", status, answer, body, JSON)


HEALTH = (Row("a service is healthy", "GET", "/health", 200, succeeded(b'{"status":"healthy"}')),)

ROOT = (
    Row("a service says its name", "GET", "/", 200,
        succeeded(b'{"message":"Welcome to user-service"}')),
)  # fmt: skip

LIST = (
    Row("the list holds everybody, oldest first", "GET", "/users", 200, EVERYBODY),
    Row("the list ignores query parameters", "GET", "/users?limit=1&is_active=false&page=x",
        200, EVERYBODY),
)  # fmt: skip

ACTIVE = (
    Row("the active list holds who is active, oldest first", "GET", "/users/active", 200,
        succeeded(b"[%s,%s]" % (ADA, EVA))),
    Row("the active list ignores query parameters", "GET", "/users/active?limit=0", 200,
        succeeded(b"[%s,%s]" % (ADA, EVA))),
)  # fmt: skip

GET_ONE = (
    Row("a user is found by id", "GET", "/users/1", 200, succeeded(ADA)),
    Row("an inactive user is found by id", "GET", "/users/2", 200, succeeded(BOB)),
    Row("leading zeros of an id do not count", "GET", "/users/0001", 200, succeeded(ADA)),
    Row("nobody has an id not given yet", "GET", "/users/4", 404, USER_NOT_FOUND),
    Row("nobody has the id 0", "GET", "/users/0", 404, USER_NOT_FOUND),
    Row("nobody has an id past bigint", "GET", f"/users/{2**63}", 404, USER_NOT_FOUND),
    Row("other digits than ASCII make no id", "GET", "/users/%D9%A1", 404, ENDPOINT_NOT_FOUND),
)

BY_USERNAME = (
    Row("a user is found by username", "GET", "/users/username/ada", 200, succeeded(ADA)),
    Row("a username may hold any character", "GET", "/users/username/%C3%89va%20%F0%9F%98%80%EF%BF%BD",
        200, succeeded(EVA)),
    Row("usernames are case sensitive", "GET", "/users/username/Ada", 404, USER_NOT_FOUND),
    Row("nobody has an unknown username", "GET", "/users/username/grace", 404, USER_NOT_FOUND),
    Row("a username is found whole", "GET", "/users/username/ad%25", 404, USER_NOT_FOUND),
)  # fmt: skip

CREATE = (
    _post("a user is created of a username and an email", 201,
          created(username="grace", email="grace@example.com"), GRACE),
    _post("a user is created of all fields", 201,
          created(username="g", email="e", first_name="Grace", last_name="Hopper", age=85),
          b'{"username":"g","email":"e","first_name":"Grace","last_name":"Hopper","age":85}'),
    _post("other keys are ignored in a creation", 201, created(username="g", email="e"),
          b'{"username":"g","email":"e","id":99,"is_active":false,"created_at":1,"x":{}}'),
    _post("a creation needs a body", 400, BODY_REQUIRED, None),
    _post("an empty object is no body", 400, BODY_REQUIRED, b"{}"),
    _post("a creation needs a username first", 400, refused("Field 'username' is required"),
          b'{"first_name":"Grace"}'),
    _post("a creation needs an email second", 400, refused("Field 'email' is required"),
          b'{"username":"grace"}'),
    _post("a username registers once", 400, refused("Username already exists"),
          b'{"username":"ada","email":"new@example.com"}'),
    _post("an email registers once", 400, refused("Email already exists"),
          b'{"username":"new","email":"ada@example.com"}'),
    _post("the username is checked before the email", 400, refused("Username already exists"),
          b'{"username":"ada","email":"bob@example.com"}'),
    _post("malformed JSON is refused", 400, refused("Request body is not valid JSON"), b"{"),
    _post("a body that is no object is refused", 400,
          refused("Request body must be a JSON object"), b"7"),
    Row("a body that is not JSON is refused", "POST", "/users", 415,
        refused("Content-Type must be application/json"), GRACE),
    Row("a body too large is refused", "POST", "/users", 413, refused("Request body too large"),
        GRACE.ljust(1024 * 1024 + 1), JSON | {"Connection": "keep-alive"},
        {"Connection": "close"}),
    _post("each wrong value is named", 422,
          invalid(age="Must be an integer", username="Must be a string"),
          b'{"username":7,"email":"e","age":"36"}'),
)  # fmt: skip

UPDATE = (
    _put("an update changes what it holds", "1", 200,
         updated(first_name="Augusta", last_name="King", age=37, is_active=False),
         b'{"first_name":"Augusta","last_name":"King","age":37,"is_active":false}'),
    _put("what an update lacks stays", "1", 200, updated(age=37), b'{"age":37}'),
    _put("null leaves a field as it is", "1", 200, updated(age=37),
         b'{"first_name":null,"last_name":null,"age":37,"is_active":null}'),
    _put("null leaves an age as it is", "1", 200, updated(), b'{"age":null}'),
    _put("other keys are ignored in an update", "1", 200, updated(),
         b'{"username":"x","email":"y","id":9,"created_at":null}'),
    _put("an update needs a body", "1", 400, BODY_REQUIRED, None),
    _put("an update needs a body before it needs somebody", "4", 400, BODY_REQUIRED, b"{}"),
    _put("nobody unknown is updated", "4", 404, USER_NOT_FOUND, b'{"age":37}'),
)  # fmt: skip

DEACTIVATED = changed("User deactivated successfully", is_active=False)

DEACTIVATE = (
    Row("a user is deactivated", "POST", "/users/1/deactivate", 200,
        DEACTIVATED),
    Row("the body of a deactivation is not read", "POST", "/users/1/deactivate", 200,
        DEACTIVATED, b"{", JSON),
    Row("nobody unknown is deactivated", "POST", "/users/4/deactivate", 404, USER_NOT_FOUND),
)  # fmt: skip

DELETE = (
    Row("a user is deleted", "DELETE", "/users/1", 200,
        succeeded(b"null", "User deleted successfully")),
    Row("nobody unknown is deleted", "DELETE", "/users/4", 404, USER_NOT_FOUND),
)  # fmt: skip

ELSEWHERE = (
    Row("an unknown path is not found", "GET", "/nowhere", 404, ENDPOINT_NOT_FOUND),
    Row("an unknown path takes no body", "POST", "/nowhere", 404, ENDPOINT_NOT_FOUND, b"{", JSON),
    Row("nothing is below a user but its deactivation", "POST", "/users/1/activate", 404,
        ENDPOINT_NOT_FOUND),
    Row("a trailing slash is another path", "GET", "/users/", 404, ENDPOINT_NOT_FOUND),
    Row("a path is case sensitive", "GET", "/Users", 404, ENDPOINT_NOT_FOUND),
)  # fmt: skip

WRONG_METHOD = tuple(
    Row(f"{method} is no method of {path}", method, path, 405, refused("Method not allowed"),
        allow=allow)
    for path, methods, allow in (
        ("/health", "POST PUT PATCH DELETE TRACE", "GET, HEAD, OPTIONS"),
        ("/", "POST PUT PATCH DELETE", "GET, HEAD, OPTIONS"),
        ("/users", "PUT PATCH DELETE", "GET, HEAD, OPTIONS, POST"),
        ("/users/active", "POST PUT DELETE", "GET, HEAD, OPTIONS"),
        ("/users/1", "POST PATCH", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/users/4", "POST", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/users/username/ada", "POST PUT DELETE", "GET, HEAD, OPTIONS"),
        ("/users/1/deactivate", "GET PUT DELETE", "OPTIONS, POST"),
    )
    for method in methods.split()
)  # fmt: skip

NO_CONTENT = {"Content-Type": "text/html; charset=utf-8"}
ORIGIN = {"Origin": "https://app.example.com"}
ECHO = {"Access-Control-Allow-Origin": "https://app.example.com", "Vary": "Origin"}

EVERY_ROUTE = (
    Row("HEAD goes with GET", "HEAD", "/users/1", 200, b""),
    Row("OPTIONS is empty", "OPTIONS", "/users", 200, b"", expected=NO_CONTENT,
        allow="GET, HEAD, OPTIONS, POST"),
    Row("an origin is echoed", "GET", "/users/1", 200, succeeded(ADA), None, ORIGIN, ECHO),
    Row("an origin is echoed on a refusal", "GET", "/users/4", 404, USER_NOT_FOUND, None, ORIGIN,
        ECHO),
    Row("the origin null is echoed", "GET", "/users/1", 200, succeeded(ADA), None,
        {"Origin": "null"}, {"Access-Control-Allow-Origin": "null", "Vary": "Origin"}),
    Row("a pre-flight allows methods that the route lacks", "OPTIONS", "/users", 200, b"", None,
        ORIGIN | {"Access-Control-Request-Method": "PATCH",
                  "Access-Control-Request-Headers": "X-Trace"},
        ECHO | NO_CONTENT | {
            "Access-Control-Allow-Methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
            "Access-Control-Allow-Headers": "X-Trace"},
        allow="GET, HEAD, OPTIONS, POST"),
    Row("the bare prefix moves", "HEAD", "?a=1", 308, b"",
        expected=NO_CONTENT | {"Location": "http://localhost/api/v1/?a=1"}),
    Row("broken bytes in a path spell nobody", "GET", "/users/username/%C3%89va%20%F0%9F%98%80%FF",
        404, USER_NOT_FOUND),
)  # fmt: skip

TABLE = {
    "GET /health": HEALTH,
    "GET /": ROOT,
    "GET /users": LIST,
    "GET /users/active": ACTIVE,
    "GET /users/<int>": GET_ONE,
    "GET /users/username/<text>": BY_USERNAME,
    "POST /users": CREATE,
    "PUT /users/<int>": UPDATE,
    "POST /users/<int>/deactivate": DEACTIVATE,
    "DELETE /users/<int>": DELETE,
    "anything else": ELSEWHERE,
    "known route, wrong method": WRONG_METHOD,
    "every route": EVERY_ROUTE,
}
