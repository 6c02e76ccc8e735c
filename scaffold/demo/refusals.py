"""Requests for a user that nobody can register, and what the contract answers to each."""

from scaffold.demo.answers import Answer, error
from scaffold.demo.common_checks import NO_ENDPOINT, wrong_method
from scaffold.demo.requests import Request, get, plain, post, raw

Row = tuple[str, Request, Answer]

JOHN = {
    "username": "johndoe",
    "email": "john@example.com",
    "first_name": "John",
    "last_name": "Doe",
    "age": 36,
}
NO_BODY = error(400, "Request body is required")
NO_USER = error(404, "User not found")

_NO_OBJECT = error(400, "Request body must be a JSON object")
_LISTING = "GET, HEAD, OPTIONS, POST"
_RECORD = "DELETE, GET, HEAD, OPTIONS, PUT"

_BODIES: list[Row] = [
    ("no body", plain("POST", "/users"), NO_BODY),
    *(
        (f"{body} is no body", raw("POST", "/users", body), NO_BODY)
        for body in ("null", "{}", "[]", '""', "0", "false")
    ),
    *(
        (f"{body} is no object", raw("POST", "/users", body), _NO_OBJECT)
        for body in ("7", "true", '"abc"', '["a"]')
    ),
    (
        "malformed JSON",
        raw("POST", "/users", '{"username":'),
        error(400, "Request body is not valid JSON"),
    ),
    (
        "another content type",
        raw("POST", "/users", '{"username": "x"}', "text/plain"),
        error(415, "Content-Type must be application/json"),
    ),
]

_FIELDS: list[Row] = [
    ("no username", post("/users", {"email": "x"}), error(400, "Field 'username' is required")),
    ("no email", post("/users", {"username": "x"}), error(400, "Field 'email' is required")),
    *(
        (
            f"{name} {fault}",
            post("/users", JOHN | {name: value}),
            error(422, "Validation failed", errors={name: reason}),
        )
        for name, fault, value, reason in (
            ("username", "null", None, "Must be a string"),
            ("email", "null", None, "Must be a string"),
            ("username", "no text", 7, "Must be a string"),
            ("username", "of 81 characters", "é" * 81, "Must be at most 80 characters"),
            ("email", "of 121 characters", "é" * 121, "Must be at most 120 characters"),
            ("first_name", "of 51 characters", "é" * 51, "Must be at most 50 characters"),
            ("last_name", "with NUL", "\0", "Must not contain NUL characters"),
            ("age", "as text", "36", "Must be an integer"),
            ("age", "a fraction", 36.5, "Must be an integer"),
            ("age", "past int4", 2**31, "Must be at most 2147483647"),
            ("age", "below int4", -(2**31) - 1, "Must be at least -2147483648"),
        )
    ),
]

_PATHS: list[Row] = [
    ("nobody has id 0", get("/users/0"), NO_USER),
    ("an id past int4", get(f"/users/{2**31}"), NO_USER),
    ("an id past int8", get(f"/users/{2**63}"), NO_USER),
    ("an id of 100 digits", get(f"/users/{'9' * 100}"), NO_USER),
    ("an unknown username", get("/users/username/nobody"), NO_USER),
    ("NUL in a path", get("/users/username/a%00"), NO_USER),
    ("invalid UTF-8 in a path", get("/users/username/%ff"), NO_USER),
    ("an encoded slash splits", get("/users/username/john%2Fdoe"), NO_ENDPOINT),
    ("no negative ids", get("/users/-1"), NO_ENDPOINT),
    ("no signed ids", get("/users/+1"), NO_ENDPOINT),
    ("no fractional ids", get("/users/1.5"), NO_ENDPOINT),
    ("no ids of letters", get("/users/abc"), NO_ENDPOINT),
    ("a trailing slash", get("/users/"), NO_ENDPOINT),
    ("nobody to delete", plain("DELETE", "/users/0"), NO_USER),
    ("nobody to deactivate", plain("POST", "/users/0/deactivate"), NO_USER),
    ("a body is asked for before a user", raw("PUT", "/users/0", "{}"), NO_BODY),
    ("nobody to update", raw("PUT", "/users/0", '{"age": 40}'), NO_USER),
    ("a wrong method", plain("PATCH", "/users"), wrong_method(_LISTING)),
    ("a wrong method", plain("PATCH", "/users/1"), wrong_method(_RECORD)),
]

REFUSALS = [*_BODIES, *_FIELDS, *_PATHS]
