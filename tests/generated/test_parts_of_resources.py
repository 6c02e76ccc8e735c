"""Resources with parts: tables of their own, read and written with their owners, over real HTTP."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from scaffold.language.types import SCALARS
from tests.workspace import GeneratedWorkspace, booted

EXAMPLES = {
    "str": "str(20)",
    "decimal": "decimal(10,2)",
    "enum": "enum(open, live-now)",
}
KINDS = {f"a_{name}": f"{EXAMPLES.get(name, name)}?" for name in SCALARS}
"""Every type that a value can have."""
FLEET = f"""
[order-service]
port = 8083

[order-service.order]
code = "str(20):lookup:fixed"
placed_on = "date?"
lines = "items(line):length(1)"
steps = "items(step):length(0,3)"
stamps = "items(stamp):fixed"
kinds = "items(kind)"

[order-service.order.line]
product = "ref(product):unique"
sku = "str(20):unique"
gift = "ref(product, set_null)?"
quantity = "int:positive"
unit_price = "decimal(10,2):min(0)=1"
note = "text?"
batch = "int?"
size = "enum(s, m, l)?"
_unique = ["batch, size"]
_index = ["quantity"]

[order-service.order.step]
date = "date"
json = "str(9)"
status = "enum(todo, done):fixed=todo"

[order-service.order.stamp]
text = "str(5)"
author = "ref(pick, cascade)?:fixed"

[order-service.order.kind]
{"".join(f'{name} = "{spec}"' + chr(10) for name, spec in KINDS.items())}
[order-service.product]
name = "str(20)"

[order-service.pick]
name = "str(9)"
jobs = "items(job):length(4,5)"
_routes = "contract"

[order-service.pick.job]
ready = "bool"
at = "duration:unique"
type = "uuid:unique:fixed"
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the service that is described above."""
    made = GeneratedWorkspace.make(tmp_path_factory.mktemp("parts") / "fleet")
    (made.root / "fleet.toml").write_text(FLEET)
    made.python("-m", "scaffold", "apply")
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def migrated_url(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> AsyncIterator[str]:
    """Its database at the newest revision."""
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        yield url


@pytest.fixture(scope="module")
def client(workspace: GeneratedWorkspace, migrated_url: str) -> Iterator[httpx.Client]:
    """A client of the running service."""
    with (
        booted(workspace, "order_service", migrated_url) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client


class TestResourcesWithParts:
    def test_the_linter_finds_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "ruff", "check", ".")
        workspace.python("-m", "ruff", "format", "--check", ".")

    @pytest.mark.slow
    def test_the_strict_type_checker_finds_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "mypy", "services", "shared/models", "db_manager/migrations")

    def test_every_import_contract_holds(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "scaffold", "contracts")

    @pytest.mark.slow
    def test_their_own_tests_pass(self, workspace: GeneratedWorkspace) -> None:
        assert " passed" in workspace.python("-m", "pytest", "-q", "services")

    async def test_they_migrate_up_down_and_up_to_what_the_models_say(
        self, workspace: GeneratedWorkspace, fresh_database_url: str
    ) -> None:
        for command in ("migrate", "downgrade 3ef43f3fe70a --yes", "migrate"):
            words = ("-m", "db_manager", *command.split())
            workspace.python(*words, DATABASE_URL=fresh_database_url)

        report = workspace.python(
            "-m", "db_manager", "check", "--json", DATABASE_URL=fresh_database_url
        )

        assert json.loads(report)["ok"] is True
