"""The rows that services begin with in development, stored as each service may: `services/*/seeds.py`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import asyncpg
from sqlalchemy.exc import DBAPIError

from db_manager.connection import Target, load_config
from db_manager.errors import ManagerError
from db_manager.runner import Say
from db_manager.workspace import find_service, get_workspace, told_by_file
from quart_fleet.conventions import role_of
from quart_fleet.database import Database, SQLAlchemyUnitOfWork, Transaction
from quart_fleet.database.explanations import driver_error, reason_of
from quart_fleet.database_url import describe
from quart_fleet.errors import ServiceError, ValidationFailedError
from quart_fleet.files import shown
from quart_fleet.seeding import Ids, Seed, Seeds

_ALONE = "SELECT pg_advisory_xact_lock(hashtext('db_manager seeds'))"
_ROLES = """
    SELECT rolname, CASE WHEN current_setting('server_version_num')::int >= 160000
                         THEN pg_has_role(oid, 'SET') ELSE pg_has_role(oid, 'MEMBER') END AS is_ours
    FROM pg_roles WHERE rolname = ANY($1)
"""


@dataclass(frozen=True, slots=True)
class ServiceSeed:
    """The rows of a resource, and the service that keeps it."""

    seed: Seed
    folder: Path

    @property
    def role(self) -> str:
        """By which the service logs in."""
        return role_of(self.folder.name)

    @property
    def place(self) -> str:
        """Where they are written."""
        return f"{shown(self.folder / 'seeds.py')}: {self.seed.resource}"

    def __str__(self) -> str:
        """Return the name by which a line speaks of it."""
        return f"{self.folder.name.replace('_', '-')}.{self.seed.resource}"


class Work(SQLAlchemyUnitOfWork):
    """One transaction, for the repositories of all services."""

    transaction: Transaction

    def _open_repositories(self, transaction: Transaction) -> None:
        self.transaction = transaction


def choose_seeds(service: str | None) -> list[ServiceSeed]:
    """Return the seeds of a service and of what they refer to, or of all, each behind the latter.

    Raises ManagerError.
    """
    named = None if service is None else find_service(service)
    every = {one.seed.resource: one for one in read_seeds()}
    for one in every.values():
        for name in one.seed.refers_to:
            if name not in every:
                raise ManagerError(
                    f"{one.place} refers to {name!r}, of which no service has seeds."
                )
    wanted = [name for name, one in every.items() if named in (None, one.folder)]
    if named is not None and not wanted:
        raise ManagerError(f"{shown(named / 'seeds.py')} has no seeds.")
    graph: TopologicalSorter[str] = TopologicalSorter()
    known = set[str]()
    while wanted:
        name = wanted.pop(0)
        if name not in known:
            known.add(name)
            graph.add(name, *every[name].seed.refers_to)
            wanted += every[name].seed.refers_to
    try:
        return [every[name] for name in graph.static_order()]
    except CycleError as error:
        raise ManagerError(
            f"Seeds refer to each other in a circle: {' -> '.join(reversed(error.args[1]))}."
        ) from None


def read_seeds() -> Iterator[ServiceSeed]:
    """Import the seeds of every service; raises ManagerError."""
    for file in sorted(get_workspace().root.glob("services/*/seeds.py")):
        package = file.parent.name
        try:
            with told_by_file():
                seeds = getattr(import_module(f"{package}.seeds"), "SEEDS", None)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise ManagerError(
                f"{package} cannot be imported: make install at the workspace's root."
            ) from None
        if not isinstance(seeds, Seeds):
            raise ManagerError(f"{shown(file)} has no SEEDS = Seeds() of quart_fleet.seeding.")
        yield from (ServiceSeed(each, file.parent) for each in seeds.all)


async def store_seeds(target: Target, seeds: Sequence[ServiceSeed], say: Say) -> list[str]:
    """Store what is missing of all, or nothing; return a line for each resource.

    Args:
        target: the database, by its owner.
        seeds: each behind those that it refers to.
        say: takes a line for the user.
    """
    config = load_config().model_copy(update={"database_url": target.url, "db_echo": False})
    for folder in dict.fromkeys(each.folder for each in seeds):
        refuse_other_database(folder, target)
    stored, lines = dict[str, Ids](), list[str]()
    async with Database(config) as database, Work(database) as work:
        async with work.transaction.connection() as connection:
            await connection.execute(_ALONE)
            roles = {
                each["rolname"]: each["is_ours"]
                for each in await connection.fetch(_ROLES, [each.role for each in seeds])
            }
        lent = []
        for role in [each for each, is_ours in roles.items() if not is_ours]:
            try:
                async with work.savepoint(), work.transaction.connection() as connection:
                    await connection.execute(f'GRANT "{role}" TO CURRENT_USER')
            except asyncpg.PostgresError as error:
                say(f"With the rights of the owner, not of {role} ({reason_of(error)}).")
            else:
                roles[role] = True
                lent.append(role)
        for each in seeds:
            async with work.transaction.connection() as connection:
                await connection.execute("RESET ROLE")
                if roles.get(each.role):
                    await connection.execute(f'SET LOCAL ROLE "{each.role}"')
            names = each.seed.refers_to
            with told_by_file():
                try:
                    done = await each.seed.store(work.transaction, [stored[name] for name in names])
                except (ServiceError, asyncpg.PostgresError, DBAPIError) as error:
                    raise ManagerError(f"{each.place}: {explain_refusal(error)}") from error
            stored[each.seed.resource] = done.ids
            present = len(done.ids) - done.added
            lines.append(
                f"{each}: {done.added} stored" + f", {present} there before" * bool(present)
            )
        async with work.transaction.connection() as connection:
            await connection.execute("RESET ROLE")
            for role in lent:
                await connection.execute(f'REVOKE "{role}" FROM CURRENT_USER')
        await work.commit()
    return lines


def refuse_other_database(folder: Path, target: Target) -> None:
    """Raise ManagerError where a service's own .env names another database than is migrated."""
    with told_by_file():
        own = get_workspace().load_settings().load(folder).database_url
    if own is not None and describe(own) != describe(target.url):
        raise ManagerError(
            f"{shown(folder / '.env')} names another database, {describe(own)}, than that of the "
            f"database manager, {target.place}: set DATABASE_URL for this command."
        )


def explain_refusal(error: Exception) -> str:
    """Say in a line why a row is not stored, without a value of it."""
    if isinstance(error, ValidationFailedError):
        return "; ".join(f"{name}: {reason}" for name, reason in error.errors.items())
    return str(error) if isinstance(error, ServiceError) else reason_of(driver_error(error))
