"""The API of any other resource: the rules and messages of users, under its own name."""

from collections.abc import Mapping

from scaffold.demo.answers import NEW_ID, NOW, Answer, error, success
from scaffold.demo.common_checks import NO_ENDPOINT, wrong_method
from scaffold.demo.examination import Examination
from scaffold.demo.requests import get, plain, post, put, raw

Record = Mapping[str, object]

_LAMP = {"name": "Lamp", "description": "It shines"}


def check_resource(examination: Examination) -> None:
    """Ask every route of what the service keeps; the table must be empty."""
    resource = examination.service.resource
    path, label = f"/{resource}s", resource.capitalize()
    _check_refusals(examination, path, label)
    lamp = examination.ask(f"a new {resource}", post(path, _LAMP), _created(label, _LAMP))
    desk = examination.ask(
        "its name is enough",
        post(path, {"name": "Desk"}),
        _created(label, {"name": "Desk", "description": None}),
    )
    _check_life(examination, path, label, lamp)
    examination.ask("the other one is active", get(f"{path}/active"), success([desk]))


def _check_refusals(examination: Examination, path: str, label: str) -> None:
    ask, missing = examination.ask, error(404, f"{label} not found")
    ask("none yet", get(path), success([]))
    ask("no body", plain("POST", path), error(400, "Request body is required"))
    ask("no object", raw("POST", path, "7"), error(400, "Request body must be a JSON object"))
    ask("no name", post(path, {"description": "x"}), error(400, "Field 'name' is required"))
    ask(
        "a name that is no text",
        post(path, {"name": 7}),
        error(422, "Validation failed", errors={"name": "Must be a string"}),
    )
    ask("an unknown id", get(f"{path}/0"), missing)
    ask("an id past int8", get(f"{path}/{2**63}"), missing)
    ask("no ids of letters", get(f"{path}/abc"), NO_ENDPOINT)
    ask("none to update", put(f"{path}/0", {"name": "x"}), missing)
    ask("none to delete", plain("DELETE", f"{path}/0"), missing)
    ask("a wrong method", plain("PATCH", path), wrong_method("GET, HEAD, OPTIONS, POST"))


def _check_life(examination: Examination, path: str, label: str, lamp: Record) -> None:
    ask, one = examination.ask, f"{path}/{lamp.get('id')}"
    ask("a name is taken once", post(path, _LAMP), error(400, "Name already exists"))
    ask("one", get(one), success(lamp))
    changed = ask(
        "changes what is given",
        put(one, {"description": "It glows"}),
        success(
            {**lamp, "description": "It glows", "updated_at": NOW},
            f"{label} updated successfully",
        ),
    )
    inactive = ask(
        "deactivates",
        plain("POST", f"{one}/deactivate"),
        success(
            {**changed, "is_active": False, "updated_at": NOW},
            f"{label} deactivated successfully",
        ),
    )
    ask("is still there", get(one), success(inactive))
    ask("leaves", plain("DELETE", one), success(None, f"{label} deleted successfully"))
    ask("leaves once", plain("DELETE", one), error(404, f"{label} not found"))


def _created(label: str, values: Record) -> Answer:
    stored = {"id": NEW_ID, "is_active": True, "created_at": NOW, "updated_at": NOW}
    return success({**values, **stored}, f"{label} created successfully", 201)
