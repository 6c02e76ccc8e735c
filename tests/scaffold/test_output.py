"""What is generated needs no touch: of every kind of name, it passes the workspace's own checks."""

import ast
import builtins
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold.names import ResourceName, ServiceName
from tests.scaffold.commands import Completed, done, run, scaffold
from tests.workspace import python_path

SERVICES = {
    "user-service": "/users",
    "product-service": "/products",
    "order-item-service": "/order-items",
    "person-service": "/people",
    "news-service": "/news",
    "list-service": "/lists",
    "type": "/types",
    "request-service": "/requests",
    "a-service": "/as",
    "record-entity-service": "/record-entities",
    "unit-of-work": "/units-of-work",
    "Very-long-name-of-a-service-that-has-as-many-letters-as-one-may": "",
}
"""Names, each with the path of what it keeps."""
GENERATED = ("services", "shared/models", "db_manager/migrations/versions")


@pytest.fixture(scope="module")
def fleet(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a service of every kind."""
    folder = shutil.copytree(fresh, tmp_path_factory.mktemp("output") / "fleet")
    for port, (name, path) in enumerate(SERVICES.items(), 8081):
        assert path in done(scaffold(folder, name, str(port)))
    done(scaffold(folder, "ping", "9000", "--bare"))
    return folder


def tool(fleet: Path, *command: str) -> Completed:
    """Run a module on the workspace's own code."""
    path = f"PYTHONPATH={python_path(fleet)}"
    return run(fleet, "env", "-u", "PYTHONSAFEPATH", path, sys.executable, "-m", *command)


@pytest.mark.slow
def test_ruff_finds_nothing(fleet: Path) -> None:
    completed = tool(fleet, "ruff", "check", "--no-cache", *GENERATED)

    assert completed.returncode == 0, completed.stdout


@pytest.mark.slow
def test_everything_is_formatted(fleet: Path) -> None:
    completed = tool(fleet, "ruff", "format", "--no-cache", "--check", *GENERATED)

    assert completed.returncode == 0, completed.stdout


@pytest.mark.slow
def test_mypy_is_content(fleet: Path) -> None:
    completed = tool(fleet, "mypy", "--strict", *GENERATED)

    assert completed.returncode == 0, completed.stdout


@pytest.mark.slow
def test_the_import_contracts_hold(fleet: Path) -> None:
    done(tool(fleet, "scaffold", "contracts"))


@pytest.mark.slow
def test_no_name_of_the_code_is_one_of_the_generated_words(fleet: Path) -> None:
    """A resource of any name makes the same functions, so none may come to bear it twice."""
    for name in SERVICES:
        package = ServiceName.parse(name).package
        for path in (fleet / "services" / package).rglob("*.py"):
            names = [
                node.name
                for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            ]
            assert len(names) == len(set(names)), path
            assert not set(names) & set(dir(builtins)), path


@pytest.mark.slow
def test_no_two_services_share_a_table(fleet: Path) -> None:
    models = [path.read_text() for path in (fleet / "shared/models").glob("*.py")]
    tables = [line for text in models for line in text.splitlines() if "__tablename__" in line]

    assert len(tables) == len(set(tables)) == len(SERVICES)


@pytest.mark.slow
def test_every_port_is_taken_once(fleet: Path) -> None:
    texts = [path.read_text() for path in (fleet / "services").glob("*/settings.py")]
    ports = [line for text in texts for line in text.splitlines() if "service_port" in line]

    assert len(ports) == len(set(ports)) == len(SERVICES) + 1


@pytest.mark.parametrize("name", SERVICES)
def test_a_plural_is_never_its_singular(name: str) -> None:
    resource = ResourceName.of(ServiceName.parse(name))

    assert resource.name != resource.plural
    assert resource.name.isidentifier()
    assert resource.plural.isidentifier()


@pytest.mark.parametrize("command", ["--help", "--version", "contracts"])
def test_an_output_that_the_disk_does_not_hold_is_told_without_a_traceback(command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "scaffold", command],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert process.returncode == 1
    assert process.stderr == b"Error: The output is not whole: No space left on device\n"
