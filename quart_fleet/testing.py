"""The pytest plugin of a workspace: real PostgreSQL for every test that asks for it.

    pytest -p quart_fleet.testing

`database` is this process's database, open and empty; `database_url` is its URL, at the newest
revision. In the tests of a service, `database` logs in as the service does: with the rights on its
own tables alone; `owner_database` has all rights. `fresh_database_url` is the URL of an empty
database of one test, `new_database` makes such databases for fixtures that serve more than one.

One embedded server serves a whole run, its workers and the runs that its tests start; the first
test that asks starts it. The revisions are run once, into a template that each process copies.
Settings of the developer's shell are removed from the environment: no test may depend on them.

`list_by` answers a ListQuery from objects in memory, for fakes.
"""

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from operator import attrgetter
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from quart_fleet.conventions import role_of, without_foreign_variables
from quart_fleet.paging import ListQuery, Page
from quart_fleet.unfinished import settle
from quart_fleet.workspace import Workspace

if TYPE_CHECKING:
    import asyncpg

    from quart_fleet.database import Database

_FOLDER = "QUART_FLEET_TEST_FOLDER"
"""The variable that tells workers and inner runs where the run's server is."""

_GIVEN = "TEST_DATABASE_URL"
"""The variable that names a server to run the tests on, in place of one of their own.

Its user may create databases; those of a run have its number and are dropped at its end."""

_LAYERS = ("domain", "application", "infrastructure")

_owned_folder = pytest.StashKey[Path]()

NewDatabase = Callable[[], AbstractAsyncContextManager[str]]
"""Gives the URL of an empty database, which is dropped at the end of the block."""


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Undo what a killed generator left half-written, before a conftest imports it."""
    settle(early_config.rootpath)


def pytest_configure(config: pytest.Config) -> None:
    """Remove the settings of the developer's shell, and choose the folder of the run's server."""
    for name in os.environ.keys() - without_foreign_variables(os.environ).keys():
        del os.environ[name]
    if _FOLDER not in os.environ:
        folder = Path(tempfile.gettempdir(), f"pg-test-{token_hex(4)}")
        config.stash[_owned_folder] = folder
        os.environ[_FOLDER] = str(folder)


def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Take no class or function of a service's layers for a test: not `TestimonialEntity`."""
    top, _, below = str(getattr(obj, "__module__", "")).partition(".")
    is_tested = top == "shared" or below.partition(".")[0] in _LAYERS
    return [] if is_tested else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's server, if a test started it, and remove its folder."""
    folder = config.stash.get(_owned_folder, None)
    if folder is None:
        return
    if _GIVEN in os.environ:
        asyncio.run(_drop_databases(_given_server(), _run()))
    del os.environ[_FOLDER]
    if folder.exists():
        from quart_fleet.postgres import EmbeddedPostgres  # noqa: PLC0415

        EmbeddedPostgres(folder, durable=False).stop()
        shutil.rmtree(folder, ignore_errors=True)


ItemT = TypeVar("ItemT")


def list_by(objects: Iterable[ItemT], query: ListQuery) -> Page[ItemT]:
    """Return what a repository of these objects finds; text is in the order of its code points."""
    found = list(objects)
    for condition in query.conditions:
        value_of: Callable[[ItemT], Any] = attrgetter(condition.field)
        least, greatest = condition.least, condition.greatest
        if condition.values:
            found = [each for each in found if value_of(each) in condition.values]
        if least is not None or greatest is not None:
            found = [each for each in found if value_of(each) is not None]
        if least is not None:
            found = [each for each in found if value_of(each) >= least]
        if greatest is not None:
            found = [each for each in found if value_of(each) <= greatest]
    if query.search is not None:
        sought, fields = query.search.text.lower(), query.search.fields
        found = [
            each
            for each in found
            if any(sought in (getattr(each, field) or "").lower() for field in fields)
        ]
    for key in reversed(query.order):
        value_of = attrgetter(key.field)
        valued = [each for each in found if value_of(each) is not None]
        missing = [each for each in found if value_of(each) is None]
        found = sorted(valued, key=value_of, reverse=key.descending) + missing
    following = [each for each in found if _is_beyond(query, each)]
    items = following[: query.limit]
    is_more = len(following) > len(items)
    return Page(
        items,
        tuple(getattr(items[-1], key.field) for key in query.varying) if is_more else None,
        len(found) if query.is_counted else None,
    )


def _is_beyond(query: ListQuery, each: object) -> bool:
    """Whether an object comes after the last one of the page before."""
    if query.after is None:
        return True
    for key, last in zip(query.varying, query.after, strict=True):
        value: Any = getattr(each, key.field)
        if value != last:
            if value is None or last is None:
                return value is None
            is_less: bool = value < last
            return is_less is key.descending
    return False


@pytest.fixture(scope="session")
def _workspace(pytestconfig: pytest.Config) -> Workspace:
    configured = pytestconfig.inipath
    return Workspace.find(configured.parent if configured else pytestconfig.rootpath)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _server_url() -> AsyncIterator[str]:
    if _GIVEN in os.environ:
        yield _given_server()
        return
    from quart_fleet.postgres import EmbeddedPostgres  # noqa: PLC0415
    from quart_fleet.postgres._server import remove_abandoned  # noqa: PLC0415

    remove_abandoned(Path(tempfile.gettempdir()), "pg-test-*")
    async with EmbeddedPostgres(Path(os.environ[_FOLDER]), durable=False) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def database_url(_workspace: Workspace, _server_url: str) -> AsyncIterator[str]:
    """The URL of this process's database, at the newest revision."""
    template = await _ensure_template(_workspace, _server_url)
    name = f"test_{_run()}_{os.getpid()}"
    yield await _create_database(_server_url, name, template)
    await _drop_database(_server_url, name)


@pytest.fixture(scope="session")
def new_database(_server_url: str) -> NewDatabase:
    """Make empty databases, each for a block: for fixtures that serve more than one test."""

    @asynccontextmanager
    async def create() -> AsyncIterator[str]:
        name = f"test_{_run()}_{os.getpid()}_{token_hex(4)}"
        url = await _create_database(_server_url, name)
        try:
            yield url
        finally:
            await _drop_database(_server_url, name)

    return create


@pytest_asyncio.fixture(loop_scope="session")
async def fresh_database_url(new_database: NewDatabase) -> AsyncIterator[str]:
    """The URL of a new, empty database, dropped after the test."""
    async with new_database() as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _open_database(database_url: str) -> AsyncIterator["Database"]:
    async with _opened(database_url) as database:
        yield database


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _logins(
    _workspace: Workspace, _open_database: "Database", database_url: str
) -> AsyncIterator[Mapping[Path, "Database"]]:
    """This process's database by the folder of each service, with that service's rights."""
    roles = set() if _GIVEN in os.environ else _roles(_workspace)
    folders = [each.parent for each in _workspace.root.glob("services/*/app.py")]
    async with AsyncExitStack() as stack:
        yield {
            folder: await stack.enter_async_context(
                _opened(database_url.replace("//postgres@", f"//{role_of(folder.name)}@"))
            )
            for folder in folders
            if role_of(folder.name) in roles
        }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _emptying(_workspace: Workspace, _open_database: "Database") -> str:
    from quart_fleet.database._emptying import prepare_emptying  # noqa: PLC0415

    models = _workspace.load_metadata().tables.values()
    async with _open_database.connect() as connection:
        return await prepare_emptying(connection, [(each.schema, each.name) for each in models])


@pytest_asyncio.fixture(loop_scope="session")
async def database(
    request: pytest.FixtureRequest,
    _open_database: "Database",
    _emptying: str,
    _logins: Mapping[Path, "Database"],
) -> "Database":
    """This process's database, open and as its revisions leave it.

    Tables of models are empty, and their ids begin at 1, but for rows that revisions insert. A
    service's tests have the service's own rights; on the server of TEST_DATABASE_URL, all.
    """
    async with _open_database.connect() as connection:
        await connection.execute(_emptying)
    owned = (_logins[each] for each in request.path.parents if each in _logins)
    return next(owned, _open_database)


@pytest_asyncio.fixture(loop_scope="session")
async def owner_database(
    database: "Database",  # noqa: ARG001 - empties it
    _open_database: "Database",
) -> "Database":
    """The same database with all rights: for rows of other services' tables."""
    return _open_database


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator["Database"]:
    from quart_fleet.database import Database  # noqa: PLC0415
    from quart_fleet.settings import DatabaseSettings  # noqa: PLC0415

    async with Database(DatabaseSettings.model_validate({"DATABASE_URL": url})) as database:
        yield database


def _roles(workspace: Workspace) -> set[str]:
    """Return the roles of services; where no model says its service, all use the owner's."""
    from quart_fleet.models import owning_roles  # noqa: PLC0415

    owners = owning_roles(workspace.load_metadata().tables.values()).values()
    return {*owners, *workspace.roles()} if owners else set()


async def _ensure_template(workspace: Workspace, server_url: str) -> str:
    """Return the database that has the workspace's revisions; of several processes one makes it.

    Its name depends on the revisions: runs within a run may be of other workspaces.
    """
    import asyncpg  # noqa: PLC0415

    content = hashlib.sha256(os.fsencode(workspace.root))
    for revision in sorted(workspace.versions.glob("*.py")):
        if not revision.name.startswith(".#"):  # an editor's lock
            content.update(revision.read_bytes())
    name = f"template_{_run()}_{content.hexdigest()[:16]}"
    connection = await _connect(server_url)
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtext($1))", name)
        exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
        if not await connection.fetchval(exists, name):
            if _GIVEN not in os.environ:
                for role in _roles(workspace):
                    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                        await connection.execute(f'CREATE ROLE "{role}" LOGIN')
            draft = f"{name}_draft"  # a run that was interrupted leaves it half-migrated
            url = await _create_database(server_url, draft)
            process = await asyncio.create_subprocess_exec(  # as the workspace's owner would
                *(sys.executable, "-m", "db_manager", "migrate"),
                cwd=workspace.root,
                env=os.environ | {"DATABASE_URL": url},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            if process.returncode != 0:
                raise pytest.UsageError(f"The test database cannot be migrated:\n{output.decode()}")
            await connection.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')
    finally:
        await connection.close()  # which releases the lock
    return name


async def _create_database(server_url: str, name: str, template: str = "template1") -> str:
    """Make a database anew, as a copy of another, and return its URL."""
    await _execute(
        server_url,
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f'CREATE DATABASE "{name}" TEMPLATE "{template}"',
    )
    parts = urlsplit(server_url)
    return f"postgresql://{parts.netloc}/{name}?{parts.query}"


async def _drop_database(server_url: str, name: str) -> None:
    await _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _drop_databases(server_url: str, run: str) -> None:
    """Drop what a run has made and left, as the templates."""
    import asyncpg  # noqa: PLC0415

    try:
        connection = await _connect(server_url)
    except (OSError, asyncpg.PostgresError):
        return  # nothing was made there, as each test with a database has said
    try:
        left = "SELECT datname FROM pg_database WHERE datname ~ $1"
        for row in await connection.fetch(left, f"^(test|template)_{run}_"):
            await connection.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
    finally:
        await connection.close()


def _run() -> str:
    """Return what tells the databases of this run from those of others on the same server."""
    return Path(os.environ[_FOLDER]).name.rpartition("-")[2]


def _given_server() -> str:
    """Return the URL of the server that TEST_DATABASE_URL names; raises UsageError."""
    from quart_fleet.settings import DatabaseSettings  # noqa: PLC0415

    try:
        url = DatabaseSettings.model_validate({"DATABASE_URL": os.environ[_GIVEN]}).database_url
    except ValueError as error:
        raise pytest.UsageError(f"{_GIVEN}: {error}") from None
    return str(url)


async def _connect(url: str) -> "asyncpg.Connection":
    """Connect as services do: with nothing of what the shell says about other servers."""
    import asyncpg  # noqa: PLC0415

    from quart_fleet.database_url import connect_arguments  # noqa: PLC0415

    return await asyncpg.connect(**connect_arguments(url))


async def _execute(url: str, *statements: str) -> None:

    connection = await _connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
