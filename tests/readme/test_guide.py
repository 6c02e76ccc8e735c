"""The guide "Add a feature" leads where it says, pasted as it stands."""

import pytest

from tests.readme.guide import commands, section, steps
from tests.workspace import GeneratedWorkspace, run


def test_the_feature_of_the_guide_works(
    tmp_path_factory: pytest.TempPathFactory, fresh_database_url: str
) -> None:
    workspace = GeneratedWorkspace.make(tmp_path_factory.mktemp("guide") / "shop")
    text = section("Add a feature, step by step")
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
