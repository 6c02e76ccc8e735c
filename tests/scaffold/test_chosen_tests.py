"""`test` runs what is named, or what changed against git and what depends on it, and says why."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from scaffold.commands.testing import choose_changed
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.workspace import Workspace
from tests.scaffold.commands import scaffold

_FLEET = """
[user-service]
port = 8081
[user-service.user]
name = "str(9)"

[product-service]
port = 8082
[product-service.product]
name = "str(9)"

[order-service]
port = 8083
[order-service.order]
buyer = "ref(user-service.user)"
lines = "items(line)"
[order-service.order.line]
product = "ref(product-service.product, fk)"

[page-service]
port = 8084
_clients = { product-service = ["list_products"] }
"""
_USER, _PRODUCT, _ORDER, _PAGE = (
    f"{name}_service" for name in ("user", "product", "order", "page")
)
_FILES = {
    ".gitignore": "__pycache__/\n",
    "pyproject.toml": "[tool.scaffold]\n[tool.pytest.ini_options]\ntestpaths = ['services']\n"
    "asyncio_default_fixture_loop_scope = 'session'\n",
    "fleet.toml": _FLEET,
    "README.md": "",
    "Makefile": "",
    "shared/__init__.py": "",
    "shared/config.py": "",
    "shared/models/__init__.py": "",
    "shared/models/base.py": "",
    "shared/models/mixins.py": "from shared.models.base import Base\n",
    "shared/models/user.py": "from shared.models import (\n    base,\n    mixins,\n)\n",
    "shared/models/product.py": "import shared.models.base\n",
    "db_manager/migrations/versions/1_users.py": "",
    **{
        f"services/{name}/{path}": text
        for name, imports in (
            (_USER, "from shared.models.user import User\n"),
            (_PRODUCT, "from shared.models.product import Product\n"),
            (_ORDER, "from shared.models.product import Product\n"),
            (_PAGE, ""),
        )
        for path, text in (
            *(("__init__.py", ""), ("bootstrap.py", "from shared.config import Config\n")),
            *(("app.py", ""), ("infrastructure/rows.py", imports), ("openapi.json", "{}")),
            ("tests/test_it.py", "def test_it() -> None:\n    pass\n"),
        )
    },
}


def git(root: Path, *arguments: str) -> None:
    own = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *own, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A committed workspace of four services, on the branch main."""
    for path, text in _FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    git(tmp_path, "init", "-b", "main")
    commit(tmp_path)
    return tmp_path


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-m", "all")


def choose(root: Path, against: str | None = None, *, is_whole: bool = True) -> dict[str, str]:
    """Return why what is tested is, by the end of its path."""
    workspace = Workspace(root)
    found = choose_changed(workspace, workspace.services(), against, is_whole=is_whole)
    return {path.removeprefix("services/"): reason for path, reason in found.items()}


def edit(root: Path, path: str) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    with (root / path).open("a") as file:
        file.write("\n")


EDITS: list[tuple[str, Sequence[str]]] = [
    ("services/user_service/tests/test_it.py", [_USER]),
    ("services/user_service/app.py", [_USER, _ORDER]),
    ("services/user_service/new.py", [_USER, _ORDER]),
    ("services/product_service/openapi.json", [_PRODUCT, _ORDER, _PAGE]),
    ("services/page_service/README.md", []),
    ("README.md", []),
    ("Makefile", []),
    ("docs/new.py", []),
    ("shared/models/user.py", [_USER]),
    ("shared/models/mixins.py", [_USER]),
    ("shared/models/product.py", [_PRODUCT, _ORDER]),
    ("shared/models/base.py", [_USER, _PRODUCT, _ORDER]),
    ("shared/models/__init__.py", [_USER, _PRODUCT, _ORDER]),
    ("shared/models/unused.py", []),
    ("shared/config.py", [_USER, _PRODUCT, _ORDER, _PAGE]),
    ("db_manager/migrations/versions/2_products.py", [_USER, _PRODUCT, _ORDER]),
    ("pyproject.toml", ["services"]),
    ("requirements.lock", ["services"]),
    ("conftest.py", ["services"]),
]


@pytest.mark.parametrize(("path", "chosen"), EDITS, ids=[path for path, _ in EDITS])
def test_what_an_edit_concerns_is_tested(path: str, chosen: Sequence[str], root: Path) -> None:
    edit(root, path)

    found = choose(root)

    assert set(found) == set(chosen)
    assert all(found.values())


IMPORTS = [
    "from .base import Base",
    "from . import base",
    "from ..models import base",
    "from .. import models\nfrom . import base",
    "import os, shared.models.base",
    "import shared.models.base as base, os",
    "from shared.models import *",
    "from os import (\n    path,  # )\n)\nfrom shared.models import (  # (\n    base\n)",
    "if True: from shared.models import base",
    "from shared.models import \\\n    base",
    "from importlib import import_module\nimport_module('shared.models.base')",
    "this is no Python",
]
"""Of which each imports shared/models/base.py, or may."""


@pytest.mark.parametrize("imports", IMPORTS)
def test_a_module_is_imported_however_that_is_written(imports: str, root: Path) -> None:
    (root / "shared/models/mixins.py").write_text(f"{imports}\n")
    (root / "shared/models/product.py").write_text("")
    (root / "services/page_service/views.py").write_text("import os, shared.models.mixins\n")
    commit(root)
    edit(root, "shared/models/base.py")

    assert set(choose(root)) == {_USER, _PAGE}


def test_a_module_that_only_the_workspaces_own_tests_import_has_them_run(root: Path) -> None:
    edit(root, "tests/test_all.py")
    (root / "tests/helpers.py").write_text("from shared import extra\n")
    (root / "shared/extra.py").write_text("")
    (root / "pyproject.toml").write_text(
        _FILES["pyproject.toml"].replace("['services']", "'services tests'")
    )
    commit(root)
    edit(root, "shared/extra.py")

    assert set(choose(root)) == {"tests"}


SETTINGS = [
    ("", "services/page_service/tests/page_test.py"),
    ("testpaths = 'services checks'", "checks/test_more.py"),
    ("testpaths = ['services/*/checks', 'other']", "services/page_service/checks/test_more.py"),
    ("testpaths = './services/**/checks'", "services/page_service/checks/test_more.py"),
    ("testpaths = []", "anywhere/test_more.py"),
    ("python_files = 'check_*.py'", "services/page_service/tests/check_more.py"),
    ("python_files = ['*_spec.py', 'test_*.py']", "services/page_service/tests/a_spec.py"),
]


@pytest.mark.parametrize(("settings", "path"), SETTINGS)
def test_a_test_that_pytest_finds_is_run(settings: str, path: str, tmp_path: Path) -> None:
    kept = "[tool.scaffold]\n[tool.pytest.ini_options]\nasyncio_default_fixture_loop_scope = 'session'\n"
    (tmp_path / "pyproject.toml").write_text(f"{kept}{settings}\n")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("def test_it():\n    assert 0 == 1\n")

    completed = scaffold(tmp_path, "test", "--", "-n0", "-q", "-p", "no:cacheprovider")

    assert "1 failed" in completed.stdout, completed.stderr
    assert completed.returncode == 1


def test_the_index_and_what_is_gone_count_as_much_as_the_working_tree(root: Path) -> None:
    edit(root, "services/user_service/app.py")
    git(root, "add", "-A")
    git(root, "restore", "--worktree", "--source=HEAD", "services/user_service/app.py")
    (root / "services/page_service/openapi.json").unlink()

    assert set(choose(root)) == {_USER, _ORDER, _PAGE}


def test_an_entry_of_the_fleet_concerns_its_service_and_those_that_use_it(root: Path) -> None:
    (root / "fleet.toml").write_text(_FLEET.replace("8081", "8091"))

    assert set(choose(root)) == {_USER, _ORDER}


def test_a_service_concerns_those_that_use_it_by_others_too(root: Path) -> None:
    calls = '_clients = {{ {0}-service = ["list_things"] }}\n'
    (root / "fleet.toml").write_text(
        _FLEET.replace('product-service = ["list_products"]', 'mall-service = ["list_things"]')
        + "[shop-service]\nport = 8085\n" + calls.format("page")
        + "[mall-service]\nport = 8086\n" + calls.format("shop")
    )  # fmt: skip
    for package in ("shop_service", "mall_service"):
        for path in ("__init__.py", "bootstrap.py", "app.py"):
            edit(root, f"services/{package}/{path}")
    commit(root)
    edit(root, f"services/{_PAGE}/app.py")

    found = choose(root)

    assert set(found) == {_PAGE, "shop_service", "mall_service"}
    assert found["mall_service"] == (
        "mall_service: uses shop_service, which uses page_service, of which "
        "services/page_service/app.py changed"
    )


@pytest.mark.parametrize("option", ["--changed=", "--against="])
def test_an_empty_name_of_a_commit_is_refused(option: str, root: Path) -> None:
    completed = scaffold(root, "test", option)

    assert completed.returncode == 2
    assert "it names no commit" in completed.stderr


def test_a_branch_is_compared_with_where_it_left_another(root: Path) -> None:
    git(root, "checkout", "-b", "feature")
    edit(root, "services/page_service/app.py")
    commit(root)
    git(root, "checkout", "main")
    edit(root, "services/user_service/app.py")
    commit(root)
    git(root, "checkout", "feature")

    assert choose(root) == {}
    assert set(choose(root, "main")) == {_PAGE}


def test_only_what_is_named_is_chosen(root: Path) -> None:
    edit(root, "pyproject.toml")
    workspace = Workspace(root)
    named = [one for one in workspace.services() if one.package == _PAGE]

    found = choose_changed(workspace, named, None, is_whole=False)

    assert found == {"services/page_service": "page_service: pyproject.toml changed"}


def test_tests_of_the_workspace_itself_run_with_any_service(root: Path) -> None:
    edit(root, "services/page_service/app.py")
    (root / "pyproject.toml").write_text(
        _FILES["pyproject.toml"].replace("['services']", "['tests', 'services']")
    )
    edit(root, "tests/test_all.py")
    commit(root)
    edit(root, "tests/test_all.py")

    assert set(choose(root)) == {"tests/test_all.py"}

    edit(root, "services/page_service/app.py")

    assert set(choose(root)) == {"tests", _PAGE}


def test_a_workspace_may_be_a_folder_of_a_repository(root: Path, tmp_path: Path) -> None:
    below = tmp_path / "below"
    for path, text in _FILES.items():
        (below / path).parent.mkdir(parents=True, exist_ok=True)
        (below / path).write_text(text)
    commit(root)
    edit(root, "services/user_service/app.py")
    edit(below, "services/page_service/app.py")

    assert set(choose(below)) == {_PAGE}


def test_what_git_cannot_tell_is_said(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(MisuseError, match="git knows no commit 'nothing' here"):
        choose(root, "nothing")
    folder = tmp_path_factory.mktemp("bare")
    (folder / "pyproject.toml").write_text(_FILES["pyproject.toml"])

    with pytest.raises(ScaffoldError, match="is in no git repository"):
        choose(folder)
    git(folder, "init")

    assert choose(folder) == {"services": "services: git has no commit yet"}


@pytest.mark.slow
def test_the_exit_code_is_that_of_pytest_which_gets_what_follows_two_dashes(root: Path) -> None:
    (root / "services/page_service/tests/test_it.py").write_text("def test_it(): assert 0 == 1\n")

    failed = scaffold(root, "test", "--changed", "--", "-n0", "-q")
    passed = scaffold(root, "test", "user-service", "--", "-n0", "-q")
    none = scaffold(root, "test", "user-service", "--", "-n0", "-q", "-k", "nothing")
    unknown = scaffold(root, "test", "usr-service")

    assert failed.returncode == 1
    assert failed.stderr == ("page_service: services/page_service/tests/test_it.py changed\n")
    assert "1 failed" in failed.stdout
    assert (passed.returncode, passed.stderr) == (0, "user_service: named\n")
    assert "1 passed" in passed.stdout
    assert none.returncode == 5
    assert unknown.returncode == 2
    assert "There is no service 'usr-service'." in unknown.stderr


def test_a_workspace_without_tests_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(_FILES["pyproject.toml"])

    completed = scaffold(tmp_path, "test")

    assert (completed.returncode, completed.stderr) == (0, "There is no test yet.\n")
