"""Commands that take a revision back ask the database whether it has it."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.scaffold.commands import Completed, done, picture, refused
from tests.workspace import confirmed, python_path

CATEGORY = ("resource", "product-service", "category", "label:str(40)")
REMOVAL = ("remove", "product-service", "category")
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nowhere"


class Shop:
    """A workspace with a product service and a database at its newest revision."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url
        self.name = urlsplit(url).path.lstrip("/")

    def scaffold(self, *arguments: str, url: str | None = None) -> Completed:
        """Run a command of the generator; `--yes` is said by the database's name, too."""
        arguments += confirmed(self.url) * ("--yes" in arguments)
        return self._run("scaffold", *arguments, url=url or self.url)

    def migrate(self) -> None:
        """Bring the database to the newest revision."""
        done(self._run("db_manager", "migrate", url=self.url))

    async def has(self, table: str) -> bool:
        """Whether the database has a table."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval("SELECT to_regclass($1)", table) is not None
        finally:
            await connection.close()

    async def execute(self, statement: str) -> None:
        """Run a statement in the database."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def strike(self, kind: str, step: int, fault: str, *arguments: str) -> Completed:
        """Run a command of the generator that a fault strikes at one step."""
        arguments += confirmed(self.url) * ("--yes" in arguments)
        return self._run("tests.scaffold.faults", kind, str(step), fault, *arguments, url=self.url)

    def _run(self, module: str, *arguments: str, url: str) -> Completed:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": python_path(self.root), "DATABASE_URL": url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest_asyncio.fixture(loop_scope="session")
async def shop(fresh: Path, tmp_path: Path, new_database: NewDatabase) -> AsyncIterator[Shop]:
    """A shop of the test's own, migrated."""
    async with new_database() as url:
        shop = Shop(shutil.copytree(fresh, tmp_path / "shop"), url)
        done(shop.scaffold("product-service", "8082"))
        shop.migrate()
        yield shop


@pytest.mark.slow
async def test_what_is_not_applied_is_removed_without_asking(shop: Shop) -> None:
    before = set((shop.root / "db_manager/migrations/versions").iterdir())
    done(shop.scaffold(*CATEGORY))

    done(shop.scaffold(*REMOVAL))

    assert set((shop.root / "db_manager/migrations/versions").iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("removal", [REMOVAL, ("undo",)])
async def test_what_is_applied_is_downgraded_once_that_is_agreed_to(
    shop: Shop, removal: tuple[str, ...]
) -> None:
    versions = set((shop.root / "db_manager/migrations/versions").glob("*.py"))
    done(shop.scaffold(*CATEGORY))
    shop.migrate()
    before = picture(shop.root)

    message = refused(shop.scaffold(*removal))
    assert "would be downgraded to" in message
    assert "_create_categories.py" in message
    assert "repeat it with --yes" in message
    assert picture(shop.root) == before
    assert await shop.has("categories")
    unnamed = shop._run("scaffold", *removal, "--yes", url=shop.url)
    assert f"repeat it with --confirm {shop.name}" in refused(unnamed)
    assert picture(shop.root) == before

    done(shop.scaffold(*removal, "--yes"))
    assert not await shop.has("categories")
    assert set((shop.root / "db_manager/migrations/versions").glob("*.py")) == versions


@pytest.mark.slow
async def test_a_database_that_does_not_answer_is_not_guessed_at(shop: Shop) -> None:
    done(shop.scaffold(*CATEGORY))
    before = picture(shop.root)

    for removal in (REMOVAL, ("undo",)):
        assert "The database does not answer" in refused(shop.scaffold(*removal, url=UNREACHABLE))
    assert picture(shop.root) == before


@pytest.mark.slow
async def test_tables_are_dropped_by_a_revision_where_others_may_have_them(shop: Shop) -> None:
    done(shop.scaffold(*CATEGORY))
    shop.migrate()

    done(shop.scaffold(*REMOVAL, "--assume-applied", url=UNREACHABLE))

    assert await shop.has("categories")
    shop.migrate()
    assert not await shop.has("categories")


@pytest.mark.slow
async def test_a_table_that_comes_back_is_granted_and_said_to_be_empty(shop: Shop) -> None:
    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        await shop.execute("CREATE ROLE product_service LOGIN")  # which other tests may use too
    done(shop.scaffold(*CATEGORY))
    shop.migrate()
    done(shop.scaffold(*REMOVAL, "--assume-applied"))
    shop.migrate()
    assert not await shop.has("categories")

    assert "what they dropped comes back empty" in refused(shop.scaffold("undo"))
    done(shop.scaffold("undo", "--yes"))

    await shop.execute("SET ROLE product_service; SELECT * FROM categories")


@pytest.mark.slow
@pytest.mark.parametrize("removal", [REMOVAL, ("undo",)])
async def test_a_downgrade_comes_after_staging_and_before_the_first_write(
    shop: Shop, removal: tuple[str, ...]
) -> None:
    done(shop.scaffold(*CATEGORY))
    shop.migrate()
    before = picture(shop.root)

    # The disk is full while files are staged: the database is not touched.
    full = shop.strike("any", 2, "ENOSPC", *removal, "--yes")
    assert "Nothing was written" in full.stderr
    assert full.returncode == 1
    assert await shop.has("categories")
    assert picture(shop.root) == before

    # The database refuses: no file is touched.
    await shop.execute("CREATE VIEW labels AS SELECT label FROM categories")
    message = refused(shop.scaffold(*removal, "--yes"))
    assert message.startswith("Error: Nothing was written.\n")
    assert "depend on" in message
    assert picture(shop.root) == before
    await shop.execute("DROP VIEW labels")

    done(shop.scaffold(*removal, "--yes"))
    assert not await shop.has("categories")
