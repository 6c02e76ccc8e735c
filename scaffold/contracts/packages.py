"""The packages of a workspace on disk, and whether their imports can be read at all."""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from scaffold.contracts.rules import FRAMEWORK, LAYERS, ServicePackage
from scaffold.workspace import SERVICES, Service, Workspace

_LOADED_BY_PATH = "db_manager/migrations"
"""The folder without __init__.py on purpose: Alembic reads the revisions as files."""


@dataclass(frozen=True)
class Packages:
    """Every package that the contracts cover, and its folder."""

    workspace: Workspace

    @cached_property
    def folders(self) -> dict[str, Path]:
        """The packages' folders by name."""
        framework = {name: self.workspace.root / name for name in FRAMEWORK}
        services = {one.package: one.folder for one in self.workspace.services()}
        return framework | services

    def names(self) -> tuple[str, ...]:
        """Return the names, the framework's first."""
        return tuple(self.folders)

    def services(self) -> list[ServicePackage]:
        """Return the services as the rules see them."""
        return [
            ServicePackage(one.package, has_tests=(one.folder / "tests").is_dir())
            for one in self.workspace.services()
        ]

    def file_of(self, module: str) -> str:
        """Return the path of a module's source from the workspace's root."""
        package, *below = module.split(".")
        path = self.folders[package].joinpath(*below)
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return file.relative_to(self.workspace.root).as_posix()

    def find_faults(self) -> list[str]:
        """Return why imports would go unread, one sentence for each reason."""
        faults = [fault for one in self.workspace.services() for fault in _service_faults(one)]
        for folder in self.folders.values():
            faults += _folder_faults(folder, self.workspace.root)
        return faults

    def find_strays(self) -> list[str]:
        """Return a sentence for each package that Python would take from another place."""
        return [
            f"{name} is not imported from {folder}: another package of this name comes first."
            for name, folder in self.folders.items()
            if not _is_imported_from(name, folder)
        ]


def _service_faults(service: Service) -> list[str]:
    place = f"{SERVICES}/{service.package}"
    if not service.package.isidentifier():
        return [f"{place} cannot be imported: rename the folder to a Python name."]
    gone = [layer for layer in LAYERS if not _exists(service.folder, layer)]
    if gone:
        return [f"{place} has no {', '.join(gone)}: restore what is gone, or remove the folder."]
    return []


def _exists(folder: Path, layer: str) -> bool:
    return (folder / layer).is_dir() or (folder / f"{layer}.py").is_file()


def _folder_faults(package: Path, root: Path) -> list[str]:
    places = {folder.relative_to(root).as_posix() for folder in _folders_with_python(package)}
    return [
        f"{place} has no __init__.py, so its imports cannot be checked: add it."
        for place in sorted(places)
        if not (root / place / "__init__.py").is_file() and not place.startswith(_LOADED_BY_PATH)
    ]


def _folders_with_python(package: Path) -> set[Path]:
    """Return the package, the folders below it that hold Python, and those on the way to them."""
    below = {
        parent
        for path in package.rglob("*.py")
        for parent in path.parents
        if parent.is_relative_to(package)
    }
    return {package, *below}


def _is_imported_from(name: str, folder: Path) -> bool:
    spec = find_spec(name)
    places = (spec and spec.submodule_search_locations) or []
    return [Path(place).resolve() for place in places] == [folder.resolve()]
