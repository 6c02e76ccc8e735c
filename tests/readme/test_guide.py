"""The guide "Add a feature" leads where it says, pasted as it stands, and so does the way back."""

import shutil

import pytest

from tests.readme.guide import GUIDE, advice, commands, mentioned, steps
from tests.workspace import GeneratedWorkspace, run


def test_the_feature_of_the_guide_works(
    tmp_path_factory: pytest.TempPathFactory, fresh_database_url: str
) -> None:
    workspace = GeneratedWorkspace.make(tmp_path_factory.mktemp("guide") / "shop")
    text = GUIDE.read_text()
    before, table, tail = text.partition("Alembic writes the migration from the difference:")
    database = {"DATABASE_URL": fresh_database_url}

    for line in commands(before):
        run(["bash", "-ec", line], workspace.root, workspace.environment | database)
    for step in steps(before):
        step.apply(workspace.root)
    migration, rest = commands(tail)[:2], commands(tail)[2:]
    for line in migration:
        run(["bash", "-ec", line], workspace.root, workspace.environment | database)
    for step in steps(tail):
        step.apply(workspace.root)
    for line in rest:
        run(["bash", "-ec", line], workspace.root, workspace.environment | database)

    assert table
    assert [line.split()[0] for line in rest] == ["pytest", "python", "python"]
    for check in ("ruff check", "ruff format --check", "mypy"):
        workspace.python("-m", *check.split(), "services", "shared", "db_manager/migrations")


def test_a_service_goes_as_the_page_says(
    tmp_path_factory: pytest.TempPathFactory, fresh_database_url: str
) -> None:
    workspace = GeneratedWorkspace.make(tmp_path_factory.mktemp("end") / "shop")
    containers = workspace.root / "services/compose.yaml"
    untouched = containers.read_text()
    workspace.python("-m", "scaffold", "product-service", "8082")
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=fresh_database_url)
    text = advice("A service is to go.")

    assert "its folder, its model in `shared/models/` and its line in" in text
    assert "`services/compose.yaml`" in text
    shutil.rmtree(workspace.root / "services/product_service")
    (workspace.root / "shared/models/product.py").unlink()
    containers.write_text(untouched)
    environment = workspace.environment | {"DATABASE_URL": fresh_database_url}
    for line in mentioned(text):
        run(["bash", "-ec", line], workspace.root, environment)

    [revision] = (workspace.root / "db_manager/migrations/versions").glob("*_drop_products.py")
    assert 'op.drop_table("products")' in revision.read_text()
    workspace.python("-m", "db_manager", "check", DATABASE_URL=fresh_database_url)
