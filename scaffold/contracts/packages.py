"""The packages of a workspace: what the contracts cover, and where it is on disk."""

import ast
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from quart_fleet.files import parse_python
from scaffold.contracts.rules import FRAMEWORK, ServicePackage
from scaffold.names import normalise
from scaffold.workspace import MODELS, Workspace

SHARED = "shared"


@dataclass(frozen=True)
class Packages:
    """The packages that a workspace holds, and the framework's, which are installed or here too."""

    workspace: Workspace

    @cached_property
    def owned(self) -> dict[str, Path]:
        """The folders of the workspace's own packages by name: the rules hold for these."""
        root = self.workspace.root
        is_framework = (root / FRAMEWORK[0]).is_dir()
        shared = {name: root / name for name in (FRAMEWORK if is_framework else (SHARED,))}
        return shared | {one.package: one.folder for one in self.workspace.services()}

    @cached_property
    def folders(self) -> dict[str, Path]:
        """The folders of all packages by name, those of the installed framework too."""
        specs = {name: find_spec(name) for name in FRAMEWORK if name not in self.owned}
        origins = {name: spec.origin for name, spec in specs.items() if spec and spec.origin}
        return {name: Path(origin).parent for name, origin in origins.items()} | self.owned

    @property
    def names(self) -> tuple[str, ...]:
        """What the packages are imported by."""
        return tuple(self.folders)

    def owns(self, module: str) -> bool:
        """Whether the module is in the workspace."""
        return module.partition(".")[0] in self.owned

    @property
    def services(self) -> list[ServicePackage]:
        """The services as the rules see them."""
        return [
            ServicePackage(one.package, has_tests=(one.folder / "tests/__init__.py").is_file())
            for one in self.workspace.services()
        ]

    @property
    def owners(self) -> Mapping[str, str]:
        """The package of the service that a module of models says it belongs to, by the module.

        A module that says none, or several, is left out.
        """
        said = {
            f"{SHARED}.models.{source.stem}": {
                normalise(str(value.value))
                for node in ast.walk(parse_python(source))
                if isinstance(node, ast.Dict)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "service"
                if isinstance(value, ast.Constant)
            }
            for source in (self.workspace.root / MODELS).glob("*.py")
        }
        return {module: services.pop() for module, services in said.items() if len(services) == 1}

    def file_of(self, module: str) -> str:
        """Return the path of a module's source from the workspace's root."""
        package, *below = module.split(".")
        path = self.folders[package].joinpath(*below)
        return self.place(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))

    def place(self, path: Path) -> str:
        """Return a path as messages show it: from the workspace's root."""
        return path.relative_to(self.workspace.root).as_posix()


def find_sources(folder: Path) -> Iterator[Path]:
    """Yield every Python file below that an import could reach; virtual environments are not."""
    for base, folders, files in os.walk(folder):
        here = Path(base)
        folders[:] = [
            name
            for name in sorted(folders)
            if name.isidentifier() and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in sorted(files) if name.endswith(".py"))
