"""The users API, row by row of the contract: from an empty table to an empty one."""

import time
from collections.abc import Mapping

from scaffold.demo.answers import JSON_TYPE, NEW_ID, NOW, Answer, date_after, empty, error, success
from scaffold.demo.examination import Examination
from scaffold.demo.refusals import JOHN, NO_BODY, NO_USER, REFUSALS
from scaffold.demo.requests import get, plain, post, put, raw

Record = Mapping[str, object]

_ZOE = {"username": " Zo\u00eb ", "email": ""}


def check_users(examination: Examination) -> None:
    """Ask every route of the users; the table must be empty."""
    ask = examination.ask
    ask("nobody yet", get("/users"), success([]))
    for row, request, expected in REFUSALS:
        ask(row, request, expected)
    ask("nothing of this was written", get("/users"), success([]))
    john = ask("a user registers", post("/users", JOHN), _created(JOHN))
    zoe = ask(
        "nothing is trimmed, other keys are ignored",
        post("/users", _ZOE | {"is_active": False, "role": "admin"}),
        _created(_ZOE),
    )
    _check_uniqueness(examination)
    _check_reading(examination, john, zoe)
    _check_other_origins(examination, john)
    _check_update(examination, john)
    _check_departure(examination, john, zoe)


def _check_uniqueness(examination: Examination) -> None:
    examination.ask(
        "a username registers once, and is looked at first",
        post("/users", JOHN),
        error(400, "Username already exists"),
    )
    examination.ask(
        "an email registers once",
        post("/users", JOHN | {"username": "JohnDoe"}),
        error(400, "Email already exists"),
    )


def _check_reading(examination: Examination, john: Record, zoe: Record) -> None:
    ask, path = examination.ask, f"/users/{john.get('id')}"
    ask("all, oldest first", get("/users"), success([john, zoe]))
    ask("query parameters are ignored", get("/users?page=2&limit=1"), success([john, zoe]))
    ask("the active ones", get("/users/active"), success([john, zoe]))
    ask("one", get(path), success(john))
    ask("leading zeros", get(f"/users/000{john.get('id')}"), success(john))
    ask("by username", get("/users/username/johndoe"), success(john))
    ask("usernames are case sensitive", get("/users/username/JOHNDOE"), NO_USER)
    ask("by username, beyond ASCII", get("/users/username/%20Zo%C3%AB%20"), success(zoe))
    ask("HEAD has no body", plain("HEAD", path), empty(200, JSON_TYPE))
    allowed = "DELETE, GET, HEAD, OPTIONS, PUT"
    ask("OPTIONS tells the methods", plain("OPTIONS", path), empty(200, {"Allow": allowed}))


def _check_other_origins(examination: Examination, john: Record) -> None:
    ask, path = examination.ask, f"/users/{john.get('id')}"
    asking = {"Origin": "https://shop.example"}
    echoed = {"Access-Control-Allow-Origin": "https://shop.example", "Vary": "Origin"}
    opaque = {"Access-Control-Allow-Origin": "null", "Vary": "Origin"}
    ask("another origin", get(path, asking), success(john, headers=echoed))
    ask("a page without an origin", get(path, {"Origin": "null"}), success(john, headers=opaque))
    refused = error(404, "User not found", headers=echoed)
    ask("another origin, refused", get("/users/0", asking), refused)
    ask(
        "a pre-flight",
        plain(
            "OPTIONS",
            path,
            {
                **asking,
                "Access-Control-Request-Method": "DELETE",
                "Access-Control-Request-Headers": "X-Token",
            },
        ),
        empty(
            200,
            {
                **echoed,
                "Access-Control-Allow-Methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
                "Access-Control-Allow-Headers": "X-Token",
            },
        ),
    )


def _check_update(examination: Examination, john: Record) -> None:
    ask, path = examination.ask, f"/users/{john.get('id')}"
    ask("no body", plain("PUT", path), NO_BODY)
    ask(
        "is_active is true or false",
        put(path, {"is_active": "yes"}),
        error(422, "Validation failed", errors={"is_active": "Must be true or false"}),
    )
    time.sleep(1)  # dates are whole seconds: a later one tells that the update set it
    later = date_after(john.get("updated_at"))
    updated = ask(
        "changes what is given; null and other keys change nothing",
        put(path, {"first_name": "Johnny", "last_name": None, "age": 37, "username": "x"}),
        success(
            {**john, "first_name": "Johnny", "age": 37, "updated_at": later},
            "User updated successfully",
        ),
    )
    ask("the change stays", get(path), success(updated))


def _check_departure(examination: Examination, john: Record, zoe: Record) -> None:
    ask, path = examination.ask, f"/users/{zoe.get('id')}"
    inactive = ask(
        "deactivates; the body is not read",
        raw("POST", f"{path}/deactivate", "{", "text/plain"),
        success({**zoe, "is_active": False, "updated_at": NOW}, "User deactivated successfully"),
    )
    ask("is still there", get(path), success(inactive))
    ask("leaves", plain("DELETE", f"/users/{john.get('id')}"), _DELETED)
    ask("leaves once", plain("DELETE", f"/users/{john.get('id')}"), NO_USER)
    ask("is gone", get(f"/users/{john.get('id')}"), NO_USER)
    ask("nobody active is left", get("/users/active"), success([]))
    ask("the inactive one is", get("/users"), success([inactive]))
    ask("leaves too", plain("DELETE", path), _DELETED)
    ask("nobody is left", get("/users"), success([]))


def _created(values: Record) -> Answer:
    unset = dict.fromkeys(("first_name", "last_name", "age"))
    stored = {"id": NEW_ID, "is_active": True, "created_at": NOW, "updated_at": NOW}
    return success({**unset, **values, **stored}, "User created successfully", 201)


_DELETED = success(None, "User deleted successfully")
