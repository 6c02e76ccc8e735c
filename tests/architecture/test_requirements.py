"""A service's requirements.txt names what the service imports beyond the framework's dependencies."""

import pytest

from tests.architecture.generated import USER, DamageableWorkspace

_ADAPTER = f"{USER}/infrastructure/planted.py"
_MODULE = "user_service.infrastructure.planted"


@pytest.mark.parametrize(
    ("source", "imported", "distribution"),
    [
        ("import httpx", "httpx", "httpx"),
        ("def use() -> None:\n    from inflect import engine", "inflect", "inflect"),
        ("import _pytest.pathlib", "_pytest.pathlib", "pytest"),
        ("import no_such_package", "no_such_package", "no-such-package"),
    ],
)
def test_an_import_that_requirements_lack_is_reported(
    workspace: DamageableWorkspace, source: str, imported: str, distribution: str
) -> None:
    with workspace.planted(_ADAPTER, f"{source}\n"):
        run = workspace.scaffold("contracts")

    line = len(source.splitlines())
    assert run.stdout.splitlines() == [
        f"{_ADAPTER}:{line}: {_MODULE} imports {imported}, "
        f"but {USER}/requirements.txt does not name {distribution}"
    ]
    assert run.returncode == 1


@pytest.mark.parametrize("line", ["httpx", "HTTPX[http2]>=0.28 ; python_version > '3'  # why"])
@pytest.mark.slow
def test_a_named_distribution_may_be_imported(workspace: DamageableWorkspace, line: str) -> None:
    with (
        workspace.planted(_ADAPTER, "import httpx\n"),
        workspace.planted(f"{USER}/requirements.txt", f"{line}\n"),
    ):
        run = workspace.scaffold("contracts")

    assert run.returncode == 0, run.stdout


def test_what_shared_imports_every_service_names(workspace: DamageableWorkspace) -> None:
    with (
        workspace.planted("shared/utils/planted.py", "import httpx\n"),
        workspace.planted(f"{USER}/requirements.txt", "httpx\n"),
    ):
        run = workspace.scaffold("contracts")

    assert run.stdout.splitlines() == [
        "shared/utils/planted.py:1: shared.utils.planted imports httpx, "
        "but services/product_service/requirements.txt does not name httpx"
    ]


@pytest.mark.slow
def test_the_frameworks_dependencies_and_types_need_no_line(workspace: DamageableWorkspace) -> None:
    source = """
from typing import TYPE_CHECKING

import greenlet, orjson, werkzeug
from quart_fleet import database

if TYPE_CHECKING:
    import httpx
"""
    with workspace.planted(_ADAPTER, source):
        run = workspace.scaffold("contracts")

    assert run.returncode == 0, run.stdout


@pytest.mark.slow
def test_tests_may_import_what_developers_have(workspace: DamageableWorkspace) -> None:
    with workspace.planted(f"{USER}/tests/planted.py", "import httpx\n"):
        run = workspace.scaffold("contracts")

    assert run.returncode == 0, run.stdout
