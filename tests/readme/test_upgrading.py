"""A workspace of 0.1.0, with changes of its owner, comes over as the page says."""

import asyncio
import os
import shutil
import sys
import tarfile
from pathlib import Path

import asyncpg
import pytest

from quart_fleet.conventions import without_foreign_variables
from tests.readme.guide import UPGRADING, commands
from tests.workspace import run

GENERATOR = Path(__file__).parents[1] / "fixtures/generator-0.2.0.tar.xz"
"""That of 0.2.0: see tests/scaffold/test_upgrade.py."""

ARCHIVE = Path(__file__).parents[1] / "fixtures/workspace-0.1.0.tar.xz"
"""What 0.1.0 made of `init`, `user-service 8081` and `product-service 8082`, and then the owner of
its guide's feature: products have a stock, a route that fills it, a migration and tests."""

RESTOCK = "services/product_service/tests/test_restock.py"
FRAMEWORK_OF_0_1_0 = ("shared/web", "shared/database", "db_manager/cli.py", "scaffold", "tests")


@pytest.mark.slow
def test_a_workspace_of_0_1_0_comes_over_as_the_page_says(
    tmp_path: Path, fresh_database_url: str
) -> None:
    shop = tmp_path / "shop"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(shop, filter="data")
    environment = owner(tmp_path) | {"DATABASE_URL": fresh_database_url}
    begin = "git init -q && git add -A && git commit -qm 'A shop of 0.1.0'"
    run(["bash", "-ec", f"{begin} && python -m db_manager migrate"], shop, environment)
    example = shop / "services/product_service/.env.example"
    settings = example.read_text()
    example.with_name(".env").write_text(settings)
    versions = revisions(shop)
    asyncio.run(execute(fresh_database_url, "insert into products (name, stock) values ('tea', 7)"))

    lines = commands(UPGRADING.read_text().partition("\n## From 0.1.0\n")[2])
    printed = run(["bash", "-ec", "\n".join(lines)], shop, environment)

    assert "✓ Nothing is wrong." in printed
    assert "Success: no issues found" in printed
    check = run([sys.executable, "-m", "db_manager", "check"], shop, environment)
    assert "The models equal the migrations." in check
    now = revisions(shop)
    assert [name[13:] for name in now.keys() - versions.keys()] == ["index_lists.py"]
    assert versions.items() <= now.items()
    assert example.with_name(".env").read_text() == settings
    assert [name for name in FRAMEWORK_OF_0_1_0 if (shop / name).exists()] == []
    assert (shop / RESTOCK).exists()
    rows = asyncio.run(execute(fresh_database_url, "select name, stock from products"))
    assert [tuple(row) for row in rows] == [("tea", 7)]
    run([sys.executable, "-m", "pytest", "-q", "services"], shop, environment)
    shutil.rmtree(shop / ".venv")


@pytest.mark.slow
def test_a_workspace_of_0_2_0_comes_over_as_the_page_says(
    tmp_path: Path, fresh_database_url: str
) -> None:
    environment = owner(tmp_path) | {"DATABASE_URL": fresh_database_url}
    with tarfile.open(GENERATOR) as archive:
        archive.extractall(tmp_path / "generator", filter="data")
    was = environment | {"PYTHONPATH": str(tmp_path / "generator")}
    for line in ("init shop", "service user-service 8081", "service product-service 8082"):
        here = tmp_path if line.startswith("init") else tmp_path / "shop"
        run([sys.executable, "-P", "-m", "scaffold", *line.split()], here, was)
    shop = tmp_path / "shop"
    text = UPGRADING.read_text().partition("\n## From 0.1.0\n")[0]
    printed = run(["bash", "-ec", "\n".join(commands(text))], shop, environment)

    assert "✓ Nothing is wrong." in printed
    assert "Success: no issues found" in printed
    shutil.rmtree(shop / ".venv")


def owner(folder: Path) -> dict[str, str]:
    """Return what the owner's shell says; `fleet` beside the workspace stands for the clone."""
    programs = folder / "fleet/.venv/bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    program = programs / "fleet"
    code = "from scaffold.launcher import run; run()"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -P -c '{code}' \"$@\"\n")
    program.chmod(0o755)
    own = {
        name: value
        for name, value in without_foreign_variables(os.environ).items()
        if name not in {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"} and not name.startswith("PYTHON")
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", os.defpath)])
    name, address = "Ada", "ada@example.com"
    return own | {
        "PATH": path,
        **{f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": address for role in ("AUTHOR", "COMMITTER")},
    }


def revisions(workspace: Path) -> dict[str, str]:
    """Return the text of each migration, by its file's name."""
    folder = workspace / "db_manager/migrations/versions"
    return {path.name: path.read_text() for path in folder.glob("*.py")}


async def execute(url: str, statement: str) -> list[asyncpg.Record]:
    """Run a statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()
