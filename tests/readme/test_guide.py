"""The guide and the cookbook lead where they say, pasted as they stand, and so does the way back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.readme.guide import COOKBOOK, GUIDE, Step, advice, commands, follow, mentioned
from tests.workspace import GeneratedWorkspace, run

CHECKS = (
    *("ruff check", "ruff format --check", "mypy"),
    *("scaffold contracts", "db_manager check"),
)
"""What passes in a workspace after the page was followed."""
RECIPES = Path(__file__).parent / "recipes"
"""A service's test of the recipe that it has in the cookbook, by the service's name."""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[GeneratedWorkspace]:
    yield GeneratedWorkspace.make(tmp_path / "shop")
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_the_feature_of_the_guide_works(
    workspace: GeneratedWorkspace, fresh_database_url: str
) -> None:
    text = GUIDE.read_text()

    paste(text, workspace, fresh_database_url)

    assert [line.split()[0] for line in commands(text)[-4:]] == [
        "python",
        "pytest",
        "python",
        "python",
    ]
    check(workspace, fresh_database_url)


@pytest.mark.slow
def test_every_recipe_of_the_cookbook_works(
    workspace: GeneratedWorkspace, fresh_database_url: str
) -> None:
    text = COOKBOOK.read_text()
    *recipe, last = commands(text)
    assert last == "pytest services"

    paste(text.removesuffix(f"    {last}\n"), workspace, fresh_database_url)
    for test in RECIPES.glob("*.txt"):
        service = workspace.root / "services" / test.stem
        shutil.copy(test, service / "tests/test_recipe.py")
    paste(f"    {last}\n", workspace, fresh_database_url)

    services = {line.split()[3].replace("-", "_") for line in recipe if "-service " in line}
    recipes = {test.stem for test in RECIPES.glob("*.txt")}
    # Of users others are told, and `resource` is a command.
    assert recipes == services - {"user_service", "resource"}
    check(workspace, fresh_database_url)


def paste(text: str, workspace: GeneratedWorkspace, url: str) -> None:
    """Do all that the page says, in its order."""
    environment = workspace.environment | {"DATABASE_URL": url}
    for each in follow(text):
        if isinstance(each, Step):
            each.apply(workspace.root)
        else:
            run(["bash", "-ec", each], workspace.root, environment)


def check(workspace: GeneratedWorkspace, url: str) -> None:
    """Have the workspace's own tools judge what the page led to."""
    places = ("services", "shared", "db_manager/migrations")
    for words in CHECKS:
        tool, *rest = words.split()
        workspace.python(
            "-m", tool, *rest, *(places if tool in ("ruff", "mypy") else ()), DATABASE_URL=url
        )


@pytest.mark.slow
def test_a_service_goes_as_the_page_says(
    workspace: GeneratedWorkspace, fresh_database_url: str
) -> None:
    workspace.python("-m", "scaffold", "product-service", "8082")
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=fresh_database_url)
    text = advice("A service is to go.")

    environment = workspace.environment | {"DATABASE_URL": fresh_database_url}
    for line in mentioned(text):
        run(["bash", "-ec", line], workspace.root, environment)

    assert not (workspace.root / "services/product_service").exists()
    [revision] = (workspace.root / "db_manager/migrations/versions").glob("*_drop_products.py")
    assert 'op.drop_table("products")' in revision.read_text()
    workspace.python("-m", "db_manager", "check", DATABASE_URL=fresh_database_url)
