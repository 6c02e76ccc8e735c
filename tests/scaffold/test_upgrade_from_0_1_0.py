"""A workspace that held the framework as source comes over to the package, without a line lost."""

import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

import quart_fleet
from scaffold.upgrading.moved_imports import find_gone, move_imports
from tests.scaffold.commands import REPOSITORY, done, run, scaffold
from tests.scaffold.test_fleet import edit
from tests.scaffold.test_upgrade import append, files, run_by
from tests.workspace import GeneratedWorkspace

ARCHIVE = REPOSITORY / "tests/fixtures/workspace-0.1.0.tar.xz"
"""What 0.1.0 made of `init`, `user-service 8081` and `product-service 8082`, and then the owner of
its guide's feature: products have a stock, a route that fills it, a migration and tests."""
NOW = quart_fleet.__version__
DESCRIPTION = (
    "Asynchronous Quart microservices in hexagonal layers, and the scaffold that makes them"
)
PRODUCT = "services/product_service"
FRAMEWORK = (
    "shared/web",
    "shared/database",
    "db_manager/__init__.py",
    "scaffold",
    "nix/shell.nix",
    "tests",
)


@pytest.fixture(scope="session")
def shop_of_0_1_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What users of 0.1.0 have, that tests only read."""
    shop = tmp_path_factory.mktemp("loose") / "shop"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(shop, filter="data")
    return shop


@pytest.fixture
def shop(shop_of_0_1_0: Path, tmp_path: Path) -> Path:
    """A workspace of 0.1.0, a test's own."""
    return shutil.copytree(shop_of_0_1_0, tmp_path / "shop")


@pytest.fixture(scope="session")
def upgraded(shop_of_0_1_0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at this version, that tests only read."""
    shop = shutil.copytree(shop_of_0_1_0, tmp_path_factory.mktemp("upgraded") / "shop")
    (shop / "scaffold/__pycache__").mkdir()
    (shop / "scaffold/__pycache__/cli.cpython-311.pyc").write_bytes(b"")
    printed = done(run_by(REPOSITORY, shop, "upgrade"))
    assert printed.startswith(f"✓ quart-fleet 0.1.0 is {NOW} (")
    assert "PostgreSQL in a container is 18" in printed
    assert 'revision -m "index lists"' in printed
    return shop


@pytest.mark.slow
def test_it_is_then_what_this_version_makes_and_what_its_owner_wrote(
    upgraded: Path, tmp_path: Path
) -> None:
    words = ("--license", "MIT", "--description", DESCRIPTION)
    done(scaffold(tmp_path, "init", "shop", *words))
    for service in (("user-service", "8081"), ("product-service", "8082")):
        done(scaffold(tmp_path / "shop", *service))

    # Revisions that exist are never written again; 0.1.0 kept no account of them.
    versions = "db_manager/migrations/versions"
    passed = (versions, f".scaffold/generated/{versions}", ".scaffold/revisions", ".secrets")
    made, here = files(tmp_path / "shop", *passed), files(upgraded, *passed)
    made = {path: what for path, what in made.items() if not path.endswith("/.env")}
    assert sorted(here.keys() - made.keys()) == [f"{PRODUCT}/tests/test_restock.py"]
    assert made.keys() <= here.keys()
    feature = "application/dto/product_dto application/use_cases/product_use_cases domain/entities/product"
    feature += " infrastructure/adapters/product_repository infrastructure/web/controllers"
    edited = {path for path in made if made[path] != here[path]}
    assert edited == {
        *(f"{PRODUCT}/{name}.py" for name in feature.split()),
        *("shared/models/product.py", f"{PRODUCT}/openapi.json"),
        ".scaffold/generated/documents/product_service",
    }
    told = json.loads((upgraded / PRODUCT / "openapi.json").read_text())["paths"]
    assert told["/api/v1/products/{record_id}/restock"]["post"]["x-undeclared"]
    assert [name for name in FRAMEWORK if (upgraded / name).exists()] == []


DESCRIPTION = (
    "Asynchronous Quart microservices in hexagonal layers, and the scaffold that makes them"
)


@pytest.mark.slow
def test_nothing_is_left_to_apply(upgraded: Path, tmp_path: Path) -> None:
    shop = shutil.copytree(upgraded, tmp_path / "shop")

    assert done(scaffold(shop, "apply")) == "✓ Nothing to write.\n"
    assert done(run_by(REPOSITORY, shop, "upgrade")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_it_passes_its_checks_and_its_models_equal_its_revisions(
    upgraded: Path, tmp_path: Path, fresh_database_url: str
) -> None:
    workspace = GeneratedWorkspace(shutil.copytree(upgraded, tmp_path / "shop"))

    workspace.python("-m", "ruff", "check", ".")
    workspace.python("-m", "ruff", "format", "--check", ".")
    workspace.python("-m", "mypy", ".")
    workspace.python("-m", "scaffold", "contracts")
    manage = ("-m", "db_manager")
    workspace.python(*manage, "migrate", DATABASE_URL=fresh_database_url)
    workspace.python(*manage, "revision", "-m", "index lists", DATABASE_URL=fresh_database_url)
    workspace.python(*manage, "migrate", DATABASE_URL=fresh_database_url)
    said = workspace.python(*manage, "check", DATABASE_URL=fresh_database_url)
    assert "The models equal the migrations." in said
    assert " passed" in workspace.python("-m", "pytest", "-q", "services")


@pytest.mark.slow
def test_it_is_undone_byte_for_byte(shop: Path) -> None:
    before = files(shop)

    done(run_by(REPOSITORY, shop, "upgrade", "--dry-run"))
    assert files(shop) == before
    done(run_by(REPOSITORY, shop, "upgrade"))
    assert files(shop) != before
    done(scaffold(shop, "undo"))

    assert files(shop) == before
    assert not [path for path in shop.rglob("*.py") if path.stat().st_mode & 0o111]


@pytest.mark.slow
def test_what_its_owner_changed_of_the_framework_stays_and_is_named(shop: Path) -> None:
    append(shop / "shared/web/health.py", "\n\nOURS = 1\n")
    append(shop / "scaffold/__init__.py", "# ours\n")
    append(shop / "scaffold/templates/service/README.md.jinja", "Ask in the channel.\n")
    append(shop / "Makefile", "\nbackup: ## ours\n\t@pg_dump shop\n")
    edit(shop, "shared/config.py", "    host: str", '    region: str = "eu"\n    host: str')
    (shop / "shared/web/ours.py").write_text("from shared.web.body import parse_body\n")
    (shop / "tests/test_ours.py").write_text("from shared.web.health import OURS\n")
    own = shop / f"{PRODUCT}/domain/services/pricing.py"
    own.write_bytes(b"from shared.errors import (\r\n    NotFoundError,  # told\r\n)\r\n")
    (shop / ".gitignore").unlink()

    completed = run_by(REPOSITORY, shop, "upgrade")

    assert completed.returncode == 1
    assert "shared/config.py: 1 conflict, marked in the file." in completed.stderr
    assert '    region: str = "eu"\n' in (shop / "shared/config.py").read_text()
    for name in (
        "shared/web/health.py",
        "scaffold/__init__.py",
        "scaffold/templates/service/README.md.jinja",
    ):
        assert f"{name} is the framework's, and was edited" in completed.stderr
        assert not (shop / name).exists()
        assert (shop / f"{name}.yours").is_file()
    assert "\t@pg_dump shop\n" in (shop / "Makefile").read_text()
    assert (shop / "shared/web/ours.py").read_text() == "from quart_fleet.web import parse_body\n"
    assert (shop / "shared/web/__init__.py").exists()
    assert (shop / "tests/__init__.py").exists()
    assert "tests/test_ours.py:1 imports shared.web.health, which is no more" in completed.stderr
    assert (
        own.read_bytes()
        == b"from quart_fleet.errors import (\r\n    NotFoundError,  # told\r\n)\r\n"
    )
    assert ".gitignore stays deleted" in completed.stderr
    done(run(shop, sys.executable, "-m", "db_manager", "--version"))


@pytest.mark.slow
def test_a_service_of_its_owners_own_making_stays_as_it_is(shop: Path) -> None:
    own = shop / "services/mail"
    own.mkdir()
    (own / "app.py").write_text("from shared.errors import NotFoundError\n")

    completed = run_by(REPOSITORY, shop, "upgrade")

    done(completed)
    assert "services/mail is not as it was generated" in completed.stderr
    assert (own / "app.py").read_text() == "from quart_fleet.errors import NotFoundError\n"
    assert "[mail" not in (shop / "fleet.toml").read_text()


IMPORTS = '''"""é"""\r
from shared.web.body import (  # mine\r
    parse_body,  # first\r
    parse_query,\r
)\r
from shared.web import body, json as j
from shared import errors, dto as d
import shared.errors, os
import shared.paging as p
from shared.config import (
    SAMPLE_SECRET_KEY,  # of the sample
    BaseServiceConfig,
)
from .shared.errors import other
def f():
    from shared.errors import NotFoundError; x = 1
    raise shared.errors.NotFoundError
@bp.get("/é/<int:record_id>")
def g(): return "<int:x>"
'''
MOVED = '''"""é"""\r
from quart_fleet.web import (  # mine\r
    parse_body,  # first\r
    parse_query,\r
)\r
from quart_fleet import web as body\r
from shared.web import json as j
from quart_fleet import errors\r
from quart_fleet import dto as d
import quart_fleet.errors, os
import quart_fleet.paging as p
# of the sample\r
from quart_fleet.settings import SAMPLE_SECRET_KEY\r
from shared.config import BaseServiceConfig
from .shared.errors import other
def f():
    from quart_fleet.errors import NotFoundError; x = 1
    raise quart_fleet.errors.NotFoundError
@bp.get("/é/<id:record_id>")
def g(): return "<int:x>"
'''


def test_imports_move_and_all_else_stays() -> None:
    assert move_imports(IMPORTS) == MOVED
    assert move_imports(MOVED) == MOVED
    assert move_imports("\ufeff" + IMPORTS) == "\ufeff" + MOVED
    for other in ("def f(:\n", "from shared.errors import\n", "a\f\rb = 1\n", "\0"):
        assert move_imports(other) == other


def test_what_is_nowhere_now_is_named() -> None:
    text = (
        "from shared.web.provision import provided\n"
        "from shared.web import sessions\n"
        "import scaffold.cli\n"
        "from shared.models import base\n"
        "import shared.errors\n"
    )

    assert [*find_gone(text)] == [
        (1, "shared.web.provision"),
        (2, "shared.web"),
        (3, "scaffold.cli"),
    ]
    assert [*find_gone("def f(:\n")] == []
