"""What the generator makes is good as it is: formatted, typed, tested, migrated and running."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.scaffold.commands import is_secret
from tests.workspace import GeneratedWorkspace, booted

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of service, and where its resource lives."""

    service: str
    package: str
    path: str | None

    def __str__(self) -> str:
        return self.package


KINDS = [
    Kind("user-service", "user_service", "users"),
    Kind("product-service", "product_service", "products"),
    Kind("order-item-service", "order_item_service", "order-items"),
    Kind("person-service", "person_service", "people"),
    Kind("sheep-service", "sheep_service", "sheep"),
    Kind("set", "set", "sets"),
    Kind(f"{'long-' * 9}name-service", f"{'long_' * 9}name_service", f"{'long-' * 9}names"),
    Kind("metrics-service --bare", "metrics_service", None),
]

MORE = (
    "resource product-service category name:str(80):unique position:int=0",
    "resource metrics-service reading value:float taken_at:datetime=now --index taken_at,-value",
    "resource metrics-service goods label:str(9) --plural wares",
    "field order-item-service order_item quantity:int:positive=1 note:text?",
    "field person-service person --rename name:full_name --drop description",
    "resource set entry text:str(200)",
    "remove set entry",
)
"""What is changed afterwards: more resources, and other fields."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """One workspace with a service of every kind."""
    root = tmp_path_factory.mktemp("generated") / "fleet"
    services = [_with_port(kind.service, 9100 + number) for number, kind in enumerate(KINDS)]
    return GeneratedWorkspace.make(root, *services, *MORE)


@contextmanager
def reading_users(workspace: GeneratedWorkspace, package: str) -> Iterator[str]:
    """Give a service, for a block, a test that reads the table of another."""
    test = workspace.root / f"services/{package}/tests/test_foreign.py"
    test.write_text(
        "from quart_fleet.database import Database\n\n\n"
        "async def test_it_reads(database: Database) -> None:\n"
        "    async with database.connect() as connection:\n"
        "        await connection.fetch('SELECT * FROM alembic_version')\n"
        "        await connection.fetch('SELECT * FROM users')\n"
    )
    try:
        yield str(test.relative_to(workspace.root))
    finally:
        test.unlink()


def _with_port(service: str, port: int) -> str:
    name, *options = service.split()
    return " ".join([name, str(port), *options])


class TestGeneratedServices:
    def test_the_linter_finds_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "ruff", "check", ".")

    def test_the_formatter_changes_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "ruff", "format", "--check", ".")

    @pytest.mark.parametrize("package", ["product_service", "metrics_service"])
    def test_a_service_that_reads_anothers_table_fails_in_its_own_tests(
        self, workspace: GeneratedWorkspace, package: str
    ) -> None:
        with (
            reading_users(workspace, package) as test,
            pytest.raises(AssertionError, match="permission denied for table users"),
        ):
            workspace.python("-m", "pytest", "-q", test)

    def test_where_no_model_says_its_service_tests_have_all_rights(
        self, workspace: GeneratedWorkspace
    ) -> None:
        """As in a workspace of an earlier version."""
        models = {path: path.read_text() for path in workspace.root.glob("shared/models/*.py")}
        try:
            for path, text in models.items():
                path.write_text(text.replace('"info": {"service"', '"info": {"of"'))
            with reading_users(workspace, "metrics_service") as test:
                workspace.python("-m", "pytest", "-q", test)
        finally:
            for path, text in models.items():
                path.write_text(text)

    def test_the_strict_type_checker_finds_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "mypy", "services", "shared/models", "db_manager/migrations")

    def test_every_import_contract_holds(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "scaffold", "contracts")

    def test_their_own_tests_pass(self, workspace: GeneratedWorkspace) -> None:
        printed = workspace.python("-m", "pytest", "-q", "services")

        assert " passed" in printed

    def test_models_and_migrations_agree(
        self, workspace: GeneratedWorkspace, migrated_url: str
    ) -> None:
        report = workspace.python("-m", "db_manager", "check", "--json", DATABASE_URL=migrated_url)

        assert json.loads(report)["ok"] is True

    @pytest.mark.parametrize("kind", KINDS, ids=str)
    def test_each_boots_and_answers(
        self, workspace: GeneratedWorkspace, migrated_url: str, kind: Kind
    ) -> None:
        with booted(workspace, kind.package, migrated_url) as address:
            assert get(f"{address}/health") == {"status": "healthy"}
            ready = get(f"{address}/health/ready")
            assert isinstance(ready, dict)
            assert ready["status"] == "ready"
            name = kind.service.split()[0]
            assert get(f"{address}/") == {"message": f"Welcome to {name}"}
            if kind.path:
                assert get(f"{address}/{kind.path}") == []


def get(address: str) -> object:
    """Return the data of an answer."""
    with urlopen(address, timeout=30) as response:
        return json.load(response)["data"]


def test_generation_is_byte_identical(tmp_path_factory: pytest.TempPathFactory) -> None:
    first, second = (
        GeneratedWorkspace.make(
            tmp_path_factory.mktemp("twin") / "fleet",
            "user-service 8081",
            "order-item-service 8082",
            "metrics-service 8083 --bare",
        )
        for _ in range(2)
    )

    assert contents(first) == contents(second)


def contents(workspace: GeneratedWorkspace) -> dict[str, bytes]:
    """Return every file of a workspace by its path, but for its random secrets."""
    return {
        os.fspath(path.relative_to(workspace.root)): path.read_bytes()
        for path in workspace.root.rglob("*")
        if path.is_file() and "_cache" not in os.fspath(path) and not is_secret(path)
    }


def test_a_service_whose_model_names_none_fails_in_its_own_tests_and_is_told_why(
    tmp_path: Path,
) -> None:
    workspace = GeneratedWorkspace.make(
        tmp_path / "fleet", "user-service 8081", "product-service 8082"
    )
    model = workspace.root / "shared/models/product.py"
    named = '        {"info": {"service": "product-service"}},\n'
    text = model.read_text()
    assert named in text
    model.write_text(text.replace(named, ""))

    with pytest.raises(AssertionError) as failed:
        workspace.python(
            "-m", "pytest", "-q", "-x", "services/product_service/tests/test_product_repository.py"
        )

    assert "permission denied for table products" in str(failed.value)
    assert "A service may use the tables of the models that name it" in str(failed.value)
