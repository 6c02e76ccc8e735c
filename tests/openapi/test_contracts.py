"""`contracts` finds routes that do not say what they answer, or answer something else; `openapi` prints."""

import json

import pytest

from tests.architecture.generated import DamageableWorkspace
from tests.openapi.documents import ensure_valid, operations_of

CONTROLLERS = "services/user_service/infrastructure/web/controllers.py"

PLANTS = {
    "a route of before": (
        "async def get(record_id: int) -> Answer[UserResponseDTO]:",
        'async def get(record_id: int) -> "Response":',
        "GET /api/v1/users/{record_id} does not say what it answers",
    ),
    "no annotation": (
        "async def delete(record_id: int) -> Answer[None]:",
        "async def delete(record_id: int):",
        "DELETE /api/v1/users/{record_id} does not say what it answers",
    ),
    "a DTO where nothing is declared": (
        "return APIResponse.success(None, ",
        "return APIResponse.success(await use_cases().get(record_id), ",
        "DELETE /api/v1/users/{record_id} declares another answer: its data are "
        "user_service.application.dto.user_dto.UserResponseDTO",
    ),
    "a dict": (
        'return APIResponse.success(created, "User created successfully", 201)',
        'return {"id": created.id}',
        "POST /api/v1/users declares another answer: it answers a dict",
    ),
    "a status that is computed": (
        'return APIResponse.success(created, "User created successfully", 201)',
        'return APIResponse.success(created, "User created successfully", 200 + created.id % 2)',
        "POST /api/v1/users may answer what its document lacks",
    ),
    "one for many": (
        "return await APIResponse.stream(use_cases().list_active())",
        "return APIResponse.success(await use_cases().get(1))",
        "GET /api/v1/users/active declares another answer: its data are "
        "user_service.application.dto.user_dto.UserResponseDTO",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
def test_what_a_route_does_not_declare_is_found(plant: str, fleet: DamageableWorkspace) -> None:
    path, (old, new, said) = fleet.root / CONTROLLERS, PLANTS[plant]
    text = path.read_text()
    assert old in text
    path.write_text(
        text.replace(old, new).replace(
            "from quart_fleet.dto", "from quart import Response\n\nfrom quart_fleet.dto", 1
        )
    )
    copy = path.parents[2] / "openapi.json"
    document = copy.read_text()
    try:
        fleet.scaffold("openapi", "user-service", "--write")
        found = fleet.scaffold("contracts")
    finally:
        path.write_text(text)
        copy.write_text(document)

    is_warning = "declares" not in said  # as of every controller of before, which is served as ever
    assert found.returncode == (0 if is_warning else 1), found.stderr
    [line] = (found.stderr if is_warning else found.stdout).splitlines()
    assert line.startswith(f"{'warning: ' if is_warning else ''}user-service: {said}")
    assert ("rules hold" in found.stdout) == is_warning


@pytest.mark.slow
def test_what_is_generated_declares_everything(fleet: DamageableWorkspace) -> None:
    found = fleet.scaffold("contracts", "--json")

    assert found.returncode == 0, found.stdout
    verdict = json.loads(found.stdout)
    assert verdict["undeclared"] == verdict["mismatched"] == []


@pytest.mark.slow
def test_a_document_is_printed_or_written_without_a_database(fleet: DamageableWorkspace) -> None:
    nowhere = {
        "DATABASE_URL": "postgresql://nothing-connects-here/app",
        "DOCS": "/home/ada/docs",  # of a shell
    }
    printed = fleet.scaffold("openapi", "user-service", **nowhere)
    written = fleet.scaffold("openapi", "user_service", "--out", "users.json", **nowhere)
    every = fleet.scaffold("openapi", **nowhere)

    assert printed.returncode == written.returncode == every.returncode == 0, printed.stderr
    assert written.stdout == ""
    assert (fleet.root / "users.json").read_text() == printed.stdout
    document = json.loads(printed.stdout)
    assert ensure_valid(document)
    assert document["info"]["title"] == "user-service"
    assert "POST /api/v1/users" in operations_of(document)
    assert list(json.loads(every.stdout)) == ["product-service", "user-service"]
    assert json.loads(every.stdout)["user-service"] == document


@pytest.mark.slow
def test_a_committed_copy_is_the_present_document(fleet: DamageableWorkspace) -> None:
    copy = fleet.root / "services/user_service/openapi.json"
    written = fleet.scaffold("openapi", "--write")
    text, fresh = copy.read_text(), fleet.scaffold("contracts")
    copy.write_text(text.replace("ada", "eve"))
    stale = fleet.scaffold("contracts")
    again = fleet.scaffold("openapi", "user-service", "--write")

    assert written.returncode == fresh.returncode == again.returncode == 0, fresh.stdout
    assert written.stdout.splitlines() == [
        "services/product_service/openapi.json",
        "services/user_service/openapi.json",
    ]
    assert stale.returncode == 1
    assert stale.stdout.startswith("services/user_service/openapi.json is not what the service")
    assert copy.read_text() == text == fleet.scaffold("openapi", "user-service").stdout
    assert fleet.scaffold("openapi", "--write", "--out", "x").returncode == 2


@pytest.mark.slow
def test_what_cannot_be_printed_is_named(fleet: DamageableWorkspace) -> None:
    unknown = fleet.scaffold("openapi", "mail-service")
    with fleet.planted(CONTROLLERS, "\nraise RuntimeError('broken')\n") as line:
        broken = fleet.scaffold("openapi", "user-service")

    assert unknown.returncode == 2
    assert "There is no service 'mail-service'" in unknown.stderr
    assert broken.returncode == 1
    assert f"controllers.py:{line + 1}" in broken.stderr
