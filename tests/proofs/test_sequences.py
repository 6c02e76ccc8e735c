"""Lives of workspaces at random: added, changed, removed, taken back, applied to a database in between.

However a fleet came about, the workspace is as if it had been described so at once. `make proofs`
tries as many as SEQUENCES says; SEED begins elsewhere.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from quart_fleet.testing import NewDatabase
from scaffold.cli import main
from scaffold.language.description import (
    FieldDescription,
    FleetDescription,
    ResourceDescription,
    ServiceDescription,
    spell,
)
from scaffold.language.fleet import parse_fleet
from tests.described import read_schema
from tests.proofs.fleets import Values, with_texts, write_fleet
from tests.scaffold.commands import picture
from tests.scaffold.descriptions import RESOURCES, random_fleet
from tests.workspace import GeneratedWorkspace, confirmed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SEQUENCES = int(os.environ.get("SEQUENCES", "10"))
SEED = int(os.environ.get("SEED", "0"))
STEPS = 8
_SERVICES = ("anvil-service", "bellows", "chisel-service")
_APART = (
    "db_manager/migrations/versions",
    ".scaffold/generated/db_manager",
    ".scaffold/generated/fingerprint",
    ".scaffold/revisions",
    ".scaffold/undo.json",
)
"""What tells the way that led to a description, or is of one machine."""
_KEPT = {
    ".scaffold",
    ".scaffold/generated",
    ".secrets",
    ".secrets/owner_password",
    ".secrets/postgres_password",
    ".secrets/roles",
    ".secrets/roles/.keep",
}
"""Made with the first service, and kept after the last one: the containers' database has the secrets."""

Tree = dict[str, tuple[int, bytes]]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as `init` makes it, which tests copy."""
    return GeneratedWorkspace.make(tmp_path_factory.mktemp("empty") / "fleet").root


@dataclass(slots=True)
class Life:
    """A workspace that commands change, each on one line of a journal."""

    random: Random
    root: Path
    url: str
    journal: list[str] = field(default_factory=list)
    states: list[Tree] = field(default_factory=list)
    """Before each command that can be undone."""

    @property
    def description(self) -> FleetDescription:
        """What fleet.toml says now."""
        return parse_fleet((self.root / "fleet.toml").read_text())

    def run(self, *arguments: str) -> bool:
        """Run a command of the generator; one that it refuses changes nothing."""
        before = picture(self.root)
        consent = confirmed(self.url) * ("--yes" in arguments)
        result = CliRunner().invoke(main, (*arguments, *consent))
        self.journal.append(f"{' '.join(map(repr, arguments))}: {result.output.splitlines()[:2]}")
        if result.exit_code:
            told = isinstance(result.exception, SystemExit)
            assert told, self.story() + repr(result.exception)
            assert picture(self.root) == before, self.story()
            return False
        if arguments[0] == "undo":
            assert picture(self.root) == without_record(self.states.pop()), self.story()
        elif picture(self.root) != before:
            self.states = [before]
        return True

    def story(self) -> str:
        """Return what has been done."""
        return "\n".join(self.journal) + "\n"

    def step(self) -> None:
        """Do anything."""
        choices: list[Callable[[], object]] = [self.add_service, self.add_resource] * 2
        choices += [self.change_field, self.change_options] * 3
        choices += [self.remove, self.undo, self.migrate]
        self.random.choice(choices)()

    def migrate(self) -> None:
        """Apply the revisions to the database."""
        GeneratedWorkspace(self.root).python("-m", "db_manager", "migrate", DATABASE_URL=self.url)
        self.journal.append("migrate")

    def undo(self) -> None:
        """Take the last command back, if there is one."""
        if self.states:
            self.run("undo", "--yes")

    def add_service(self) -> None:
        """Add one that is not there, with or without a resource."""
        taken = {service.name for service in self.description.services}
        free = [name for name in _SERVICES if name not in taken]
        if free:
            name = self.random.choice(free)
            port = str(8081 + _SERVICES.index(name))
            specs = map(str, self.new_resource(name.removesuffix("-service")).fields)
            self.run(name, port, *self.random.choice([[*specs], ["--bare"]]))

    def add_resource(self) -> None:
        """Add one to a service."""
        services = self.description.services
        taken = {one.name for service in services for one in service.resources}
        free = [name for name in RESOURCES if name not in taken]
        if services:
            name, service = self.random.choice(free), self.random.choice(services)
            specs = [str(field) for field in self.new_resource(name).fields]
            for other in self.random.sample(service.resources, min(1, len(service.resources))):
                kinds = ["", f"link:ref({other.name}, set_null)?", f"links:many({other.name})"]
                specs += filter(None, [self.random.choice(kinds)])
            self.run("resource", service.name, name, *specs)

    def new_resource(self, name: str) -> ResourceDescription:
        """Return a resource of a few fields, which refers to no other."""
        while True:
            fleet = with_texts(random_fleet(self.random))
            for service in fleet.services:
                for resource in service.resources:
                    fields = [each for each in resource.fields if not each.type.target]
                    if fields and not resource.is_contract:
                        return ResourceDescription(tuple(fields[:4]), name=name)

    def change_field(self) -> None:
        """Add, redescribe, rename or drop a field of a resource."""
        for service, resource in self.any_resource():
            place = ("field", service.name, resource.name)
            one = self.random.choice(resource.fields)
            other = self.random.choice(self.new_resource("x").fields)
            match self.random.randrange(4):
                case 0:
                    self.run(*place, "--drop", one.name)
                case 1:
                    self.run(*place, "--rename", f"{one.name}:{other.name}")
                case 2:
                    self.run(*place, str(other), *self.filling(other))
                case _:
                    changed = replace(other, name=one.name, was=None)
                    self.run(*place, str(changed), *self.filling(changed))

    def filling(self, described: FieldDescription) -> list[str]:
        """Return the option that gives rows a value which the field allows."""
        required = replace(described, optional=False, default=None)
        values = Values(self.random, {}).choose(ResourceDescription((required,)))
        if not values or self.random.random() < 0.1:
            return []
        return ["--fill", f"{described.name}={spell(values[described.name], described.type)}"]

    def change_options(self) -> None:
        """Give a resource another set of indexes and what else is an option, in fleet.toml."""
        for _, resource in self.any_resource():
            names = {each.name for each in resource.fields}
            fleet = with_texts(random_fleet(self.random))
            others = [one for each in fleet.services for one in each.resources]
            changed = replace(
                resource,
                has_active=all(one.has_active for one in others[:1]),
                plural=self.random.choice([None, f"many_{resource.name}"]),
                index=tuple(
                    one
                    for other in others
                    for one in other.index
                    if names.issuperset(each.name for each in one)
                ),
            )
            fleet = FleetDescription(
                tuple(
                    replace(
                        each,
                        resources=tuple(
                            changed if one.name == resource.name else one for one in each.resources
                        ),
                    )
                    for each in self.description.services
                )
            )
            file = self.root / "fleet.toml"
            text = file.read_text()
            file.write_text(write_fleet(fleet))
            if not self.run("apply", "--yes"):
                file.write_text(text)
            else:
                self.states = []  # fleet.toml was edited by hand

    def remove(self) -> None:
        """Remove a service or a resource."""
        for service, resource in self.any_resource():
            names = [service.name, *self.random.choice([[], [resource.name]])]
            applied = self.random.choice([[], [], ["--assume-applied"]])
            self.run("remove", *names, "--yes", *applied)

    def any_resource(self) -> Iterator[tuple[ServiceDescription, ResourceDescription]]:
        """Yield a resource with its service, if there is one."""
        found = [(each, one) for each in self.description.services for one in each.resources]
        if found:
            yield self.random.choice(found)


def without_record(tree: Tree) -> Tree:
    """Return a tree as an undo leaves it, which takes its own record away."""
    return {path: what for path, what in tree.items() if path != ".scaffold/undo.json"}


def generated_tree(root: Path) -> Tree:
    """Return what does not depend on the way to a description."""
    return {
        path: what
        for path, what in picture(root).items()
        if not path.startswith(_APART) and "/.env" not in path and path not in _KEPT
    }


@pytest.mark.parametrize("seed", range(SEED, SEED + SEQUENCES))
async def test_however_a_fleet_came_about_it_is_as_described_at_once(
    empty: Path,
    tmp_path: Path,
    new_database: NewDatabase,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    lived, direct = (
        GeneratedWorkspace(Path(shutil.copytree(empty, tmp_path / name / "fleet")))
        for name in ("lived", "direct")
    )
    for name, value in lived.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(lived.root)
    async with new_database() as url, new_database() as fresh:
        life = Life(Random(seed), lived.root, url)
        monkeypatch.setenv("DATABASE_URL", url)
        for _ in range(STEPS):
            life.step()
        life.migrate()

        text = (lived.root / "fleet.toml").read_text()
        (direct.root / "fleet.toml").write_text(text)
        direct.python("-m", "scaffold", "apply")
        direct.python("-m", "db_manager", "migrate", DATABASE_URL=fresh)

        assert generated_tree(lived.root) == generated_tree(direct.root), life.story()
        assert await read_schema(url) == await read_schema(fresh), life.story()
    shutil.rmtree(tmp_path)
