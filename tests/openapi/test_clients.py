"""Clients that public generators make of a service's document: whole, typed, and at work on the service."""

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from quart_fleet.openapi import describe, write
from tests.architecture.generated import DamageableWorkspace
from tests.openapi.test_document import make
from tests.requirement import get_program
from tests.workspace import booted, run

pytestmark = pytest.mark.slow

USES = Path(__file__).with_name("uses")
GENERATOR = "openapi-python-client==0.29.1"
PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for each in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(each.name)
"""


@dataclass(frozen=True, slots=True)
class Tools:
    """A folder with a generator's programs first on PATH."""

    folder: Path
    programs: Path

    def run(self, *command: str) -> str:
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        return run(list(command), self.folder, {**os.environ, "PATH": path, "PYTHONPATH": ""})

    def write_documents(self, address: str) -> None:
        """Write the products' document, and one with each type that a DTO may have."""
        products = httpx.get(f"{address}/openapi.json").text
        (self.folder / "product.json").write_text(products)
        (self.folder / "box.json").write_text(write(asyncio.run(describe(make()))))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """An environment of its own."""
    uv, folder = get_program("uv"), tmp_path_factory.mktemp("python")
    tools = Tools(folder, folder / ".venv/bin")
    tools.run(uv, "venv", "--quiet", "--python", sys.executable)
    tools.run(uv, "pip", "install", "--quiet", GENERATOR)
    return tools


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    npm, folder = get_program("npm"), tmp_path_factory.mktemp("typescript")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    tools = Tools(folder, folder / "node_modules/.bin")
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--silent")
    tools.run(npm, "install", *quiet, *PACKAGES)
    return tools


def test_a_client_in_python_does_all_and_is_typed(
    fleet: DamageableWorkspace, fleet_url: str, python: Tools
) -> None:
    shutil.copy(USES / "products.py.txt", python.folder / "products.py")
    with booted(fleet, "product_service", fleet_url) as address:
        python.write_documents(address)
        for name in ("product", "box"):
            python.run(
                *("openapi-python-client", "generate", "--path", f"{name}.json", "--meta", "none"),
                *("--output-path", f"{name}_client", "--fail-on-warning"),
            )
        python.run("python", "-c", IMPORT_ALL, "product_client", "box_client")
        python.run(
            *(sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent"),
            *("--python-executable", str(python.programs / "python"), "products.py"),
        )
        assert python.run("python", "products.py", address.removesuffix("/api/v1")) == "done\n"

    written = "".join(each.read_text() for each in python.folder.glob("*_client/**/*.py"))
    assert "NAME_DESCENDING" in written
    assert "VALUE_" not in written  # what the generator calls what it finds no name for


def test_a_client_in_typescript_does_all_and_is_typed(
    fleet: DamageableWorkspace, fleet_url: str, typescript: Tools
) -> None:
    shutil.copy(USES / "products.ts", typescript.folder)
    with booted(fleet, "product_service", fleet_url) as address:
        typescript.write_documents(address)
        for name in ("product", "box"):
            typescript.run(
                *("openapi-typescript", f"{name}.json", "-o", f"{name}.d.ts"),
                "--default-non-nullable=false",
            )
        typescript.run(
            *("tsc", "--strict", "--target", "es2022", "--module", "nodenext"),
            *("--lib", "es2022,dom", "products.ts", "box.d.ts"),
        )
        done = typescript.run("node", "products.js", address.removesuffix("/api/v1"))

    assert done == "done\n"
