"""The packages of a workspace: what the contracts cover, and where it is on disk."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scaffold.contracts.rules import FRAMEWORK, ServicePackage
from scaffold.workspace import Workspace


@dataclass(frozen=True)
class Packages:
    """The framework's packages and every service that is there."""

    workspace: Workspace

    @cached_property
    def folders(self) -> dict[str, Path]:
        """The packages' folders by name, the framework's first."""
        framework = {name: self.workspace.root / name for name in FRAMEWORK}
        services = {one.package: one.folder for one in self.workspace.services()}
        return framework | services

    @property
    def names(self) -> tuple[str, ...]:
        """What the packages are imported by."""
        return tuple(self.folders)

    @property
    def services(self) -> list[ServicePackage]:
        """The services as the rules see them."""
        return [
            ServicePackage(one.package, has_tests=(one.folder / "tests/__init__.py").is_file())
            for one in self.workspace.services()
        ]

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
