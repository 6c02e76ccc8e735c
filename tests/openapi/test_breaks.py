"""`contracts --api` names what breaks clients of a service, and is silent about what does not."""

import json
import re
import subprocess
from copy import deepcopy

import pytest

from scaffold.contracts.api import find_breaks
from scaffold.contracts.breaks import Use
from tests.architecture.generated import DamageableWorkspace
from tests.openapi.breaks import BREAKING, FLEET, HARMLESS
from tests.openapi.documents import Document

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> DamageableWorkspace:
    """Orders that name users, in a repository with one commit."""
    workspace = DamageableWorkspace.describe(tmp_path_factory.mktemp("breaks") / "fleet", FLEET)
    git(workspace, "init", "--quiet")
    commit(workspace)
    return workspace


@pytest.fixture(scope="module")
def document(fleet: DamageableWorkspace) -> Document:
    """Of the order service."""
    read: Document = json.loads((fleet.root / "services/order_service/openapi.json").read_text())
    return read


def git(workspace: DamageableWorkspace, *arguments: str) -> str:
    """Run git as its user."""
    user = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    command = ["git", *user, *arguments]
    done = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, check=True)
    return done.stdout


def commit(workspace: DamageableWorkspace) -> None:
    """Commit all that is there."""
    git(workspace, "add", "--all")
    git(workspace, "commit", "--quiet", "--allow-empty", "--message", "As it is")


def of_any_route(line: str) -> str:
    """Return what a line says of a schema, on whichever route."""
    return re.sub(r"^.*?: (\d+ (data(\[\])?\.)?)?", "", line)


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_clients_is_found(name: str, document: Document) -> None:
    change, said = BREAKING[name]
    changed = deepcopy(document)
    change(changed)

    found = find_breaks(document, changed)

    assert {*said} <= {*found}
    assert {*map(of_any_route, found)} == {*map(of_any_route, said)}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_not_found(name: str, document: Document) -> None:
    changed = deepcopy(document)
    HARMLESS[name](changed)

    assert not find_breaks(document, changed)


USERS = "services/user_service/infrastructure/web/controllers.py"


def test_a_break_is_named_accepted_and_forgotten(fleet: DamageableWorkspace) -> None:
    git(fleet, "tag", "before")
    fleet.scaffold("field", "order-service", "order", "--drop", "note", "--yes")
    broken = fleet.scaffold("contracts", "--api")
    accepted = broken.stderr.partition("\n\n")[2]
    description = (fleet.root / "fleet.toml").read_text()
    (fleet.root / "fleet.toml").write_text(f"{accepted}\n{description}")
    allowed, applied = fleet.scaffold("contracts", "--api"), fleet.scaffold("apply")
    commit(fleet)
    against = fleet.scaffold("contracts", "--api", "--against", "before")
    later = fleet.scaffold("contracts", "--api")

    lines = broken.stdout.splitlines()
    assert broken.returncode == 1
    assert (
        "order-service: GET /api/v1/orders/{record_id}: 200 data.note is gone; no service here uses it"
    ) in lines
    assert "order-service: POST /api/v1/orders: body.note is gone; no service here uses it" in lines
    assert len(accepted.splitlines()) == 1 + len(lines)
    for done in (allowed, applied, against):
        assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing to write" in applied.stdout
    assert later.returncode == 0
    assert later.stdout == "Nothing breaks clients of order-service, user-service.\n"
    assert later.stderr.count("accepts what breaks nothing") == len(lines)


def test_a_service_is_named_that_uses_what_is_gone(fleet: DamageableWorkspace) -> None:
    commit(fleet)
    with fleet.replaced(USERS, 'bp.get("/users/<id:', 'bp.get("/users/one/<id:'):
        moved = fleet.scaffold("contracts", "--api", "--json")
        fleet.scaffold("openapi", "--write")
        commit(fleet)
        committed = fleet.scaffold("contracts", "--api")

    assert moved.returncode == committed.returncode == 1
    found = json.loads(moved.stdout)
    [one] = found["broken"]
    assert one["line"] == (
        "user-service: GET /api/v1/users/{record_id} is gone "
        "(is it GET /api/v1/users/one/{record_id} now?)"
    )
    assert one["breaks"] == ["order-service"]
    [lacking] = found["lacking"]
    assert lacking.startswith(
        "order-service uses GET /api/v1/users/{} of user-service, which has no"
    )
    assert committed.stdout.splitlines() == [lacking]


@pytest.mark.parametrize(
    ("line", "is_broken"),
    [
        ("200 data.first_name is gone", False),
        ("200 data.identity is gone (is it id now?)", False),
        ("200 data.id is a string now, and was an integer", True),
        ("200 data is gone", True),
        ("status 200 is 202 now", True),
        ("the operation id get_user is read_user now", True),
    ],
)
def test_a_reference_is_broken_by_what_it_reads_alone(line: str, is_broken: bool) -> None:
    route = "GET /api/v1/users/{}"
    reference, client = (Use("order", "user", each) for each in (route, "get_user"))

    assert reference.is_broken_by(f"{route}: {line}") is is_broken
    assert client.is_broken_by(f"{route}: {line}")


def test_a_fake_says_that_its_actions_change_nothing(fleet: DamageableWorkspace) -> None:
    shown = fleet.scaffold("client", "user-service", "order-service", "pay_order", "--diff")

    assert "Answers what it was given; actions change nothing." in shown.stdout


def test_a_commit_that_is_not_there_is_refused(fleet: DamageableWorkspace) -> None:
    unknown = fleet.scaffold("contracts", "--api", "--against", "origin/main")
    alone = fleet.scaffold("contracts", "--against", "HEAD")

    assert unknown.returncode == alone.returncode == 2
    assert "git fetch --depth 1 origin BRANCH" in unknown.stderr
    assert "--api" in alone.stderr
