"""`routes` lists what the services of a workspace answer, without a server or a database."""

import json
from pathlib import Path

import pytest

from tests.scaffold.commands import done, picture, refused, scaffold
from tests.scaffold.test_fleet import edit

CONTROLLERS = "services/user_service/infrastructure/web/controllers.py"


def test_every_route_is_listed_with_its_method_function_and_port(with_user_service: Path) -> None:
    before = picture(with_user_service)

    lines = done(scaffold(with_user_service, "routes")).splitlines()

    assert lines[0] == "user-service, port 8081"
    rows = [tuple(line.split()) for line in lines[1:]]
    assert ("POST", "/api/v1/users", "users.create") in rows
    assert ("GET", "/api/v1/users/username/<username>", "users.get_by_username") in rows
    assert ("GET", "/api/v1/health", "health.health") in rows
    assert picture(with_user_service) == before


def test_a_program_reads_them_as_json(with_user_service: Path) -> None:
    found = json.loads(done(scaffold(with_user_service, "routes", "user-service", "--json")))

    assert {
        "service": "user-service",
        "port": 8081,
        "method": "PUT",
        "path": "/api/v1/users/<id:record_id>",
        "endpoint": "users.update",
    } in found["routes"]


@pytest.mark.slow
def test_what_cannot_be_asked_is_named(with_user_service: Path) -> None:
    assert "no service 'mail'" in refused(
        scaffold(with_user_service, "routes", "mail"), exit_code=2
    )
    edit(with_user_service, CONTROLLERS, "bp = ", "bp = undefined or ")

    message = refused(scaffold(with_user_service, "routes"))

    assert "services/user_service/app.py does not tell its routes: NameError" in message
    line = next(at for at, text in enumerate(text_of(with_user_service), 1) if "undefined" in text)
    assert f" ({CONTROLLERS}:{line}).\n" in message


@pytest.mark.slow
def test_a_broken_service_hides_no_other(with_user_service: Path) -> None:
    done(scaffold(with_user_service, "mail-service", "8084", "--bare"))
    (with_user_service / CONTROLLERS).write_text("def x(:\n")

    completed = scaffold(with_user_service, "routes")

    assert completed.returncode == 1
    assert "mail-service, port 8084" in completed.stdout
    assert f"SyntaxError: invalid syntax ({CONTROLLERS}:1).\n" in completed.stderr


def text_of(workspace: Path) -> list[str]:
    """Return the lines of the controllers."""
    return (workspace / CONTROLLERS).read_text().splitlines()
