"""Messages name the database that answers, wherever its address comes from."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.db_manager.outcome import USERS, execute, fetch
from tests.db_manager.workspace_copy import WorkspaceCopy
from tests.workspace import python_path


@pytest.fixture
def socket_folder(copy: WorkspaceCopy) -> str:
    """Where the server's socket is."""
    return parse_qs(urlsplit(copy.url).query)["host"][0]


@pytest.fixture
def database(copy: WorkspaceCopy) -> str:
    """The name of the test's database."""
    return urlsplit(copy.url).path[1:]


def run(copy: WorkspaceCopy, url: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run a command with an address of these parts; return its code and all that it prints."""
    process = subprocess.run(
        [sys.executable, "-m", "db_manager", *arguments],
        cwd=copy.folder,
        env=os.environ | {"DATABASE_URL": url, "PYTHONPATH": python_path(copy.folder)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout + process.stderr


def addresses(folder: str, database: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return ways to give one address, of which DATABASE_URL says more or less."""
    where = {"PGHOST": folder, "PGUSER": "postgres"}
    yield f"postgresql:///{database}", where
    yield f"postgresql://?dbname={database}", where
    yield "postgresql://", where | {"PGDATABASE": database}
    yield f"postgresql:///{database}?host={folder}&port=5432", {"PGUSER": "postgres"}
    yield f"postgresql://postgres@?host={folder}&dbname={database}", {}
    yield f"postgresql:///{database}?host=/nowhere,{folder}&port=5432,5432", {"PGUSER": "postgres"}


@pytest.mark.slow
def test_the_server_is_asked_before_anything_is_destroyed(
    copy: WorkspaceCopy, socket_folder: str, database: str
) -> None:
    for url, variables in addresses(socket_folder, database):
        code, printed = run(copy, url, "reset", **variables)

        assert code == 1
        assert f": {database} at {socket_folder}.\n" in printed, (url, printed)
        code, printed = run(copy, url, "migrate", **variables)
        assert f"{database} at {socket_folder}" in printed, (url, printed)


def test_a_service_file_is_refused_by_name(
    copy: WorkspaceCopy, socket_folder: str, database: str, tmp_path: Path
) -> None:
    services = tmp_path / "services.conf"
    services.write_text(f"[shop]\nhost={socket_folder}\ndbname={database}\nuser=postgres\n")

    code, printed = run(
        copy, "postgresql://?service=shop", "drop-tables", "--yes", PGSERVICEFILE=str(services)
    )

    assert code == 1
    assert "DATABASE_URL: service cannot be used" in printed


@asynccontextmanager
async def tcp(folder: str) -> AsyncIterator[int]:
    """Forward a port to the server's socket."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(carry(reader, up_writer), carry(up_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_forwarded_address_is_told_beside_the_answer(
    copy: WorkspaceCopy, socket_folder: str, database: str
) -> None:
    async with tcp(socket_folder) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/{database}"
        code, printed = await asyncio.to_thread(run, copy, url, "reset")

    assert code == 1
    assert f"{database} at {socket_folder} (reached as 127.0.0.1:{port}).\n" in printed


@pytest.mark.slow
def test_another_applications_revisions_are_no_reason_to_reset(
    copy: WorkspaceCopy, database: str
) -> None:
    execute(
        copy.url,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('0123456789ab')",
        "CREATE TABLE theirs (id int)",
    )

    for command in (["migrate"], ["reset", "--yes"], ["drop-tables", "--yes"]):
        outcome = copy.run(*command)
        assert outcome.code == 1
        assert "Of another application" in outcome.err
    copy.set_in_project('version_table = "alembic_version_ours"')
    for command in (["migrate"], ["check"], ["reset", "--yes"], ["drop-tables", "--yes"]):
        outcome = copy.run(*command)
        assert outcome.code == 0, outcome.err
    assert fetch(copy.url, "SELECT version_num FROM alembic_version") == [("0123456789ab",)]
    assert fetch(copy.url, "SELECT count(*) FROM theirs") == [(0,)]


def test_another_applications_revisions_are_no_reason_to_create_tables(
    copy: WorkspaceCopy,
) -> None:
    execute(
        copy.url,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('theirs')",
    )

    outcome = copy.run("create-tables")

    assert outcome.code == 1
    assert "Of another application" in outcome.err
    assert "reset" not in outcome.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('unmanaged = "jobs_*"', 'unmanaged is a list: ["jobs_*"].'),
        (f'version_table = "{"x" * 64}"', "version_table has 1 to 63 characters."),
        ('version_table = ""', "version_table has 1 to 63 characters."),
    ],
)
def test_a_setting_that_means_nothing_is_told(copy: WorkspaceCopy, line: str, told: str) -> None:
    copy.set_in_project(line)

    outcome = copy.run("status")

    assert (outcome.code, outcome.err) == (1, f"Error: pyproject.toml: [tool.scaffold] {told}\n")


@pytest.mark.parametrize("name", ["shared.nothing:load", "shared.models:nothing", "shared.models"])
def test_models_that_there_are_not_are_told_by_the_setting(copy: WorkspaceCopy, name: str) -> None:
    project = copy.folder / "pyproject.toml"
    project.write_text(project.read_text().replace("shared.models:load_metadata", name))

    outcome = copy.run("status")

    assert outcome.code == 1
    assert outcome.err == (
        f"Error: pyproject.toml: [tool.scaffold] names {name}, which there is not: write module:name.\n"
    )


def test_a_schema_that_there_is_not_is_told(copy: WorkspaceCopy) -> None:
    copy.url += f"{'&' if '?' in copy.url else '?'}schema=nowhere"

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert outcome.err.startswith("Error: The search_path names no schema that is there: ")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n", "Conflict marks in"),
        ("class Broken(:\n", "Syntax error in"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError"),
        ("from shared.models.base import BaseModel\n\n\nclass A(BaseModel):\n    pass\n", "line 5"),
    ],
    ids=["conflict", "syntax", "import", "no table"],
)
def test_a_model_that_cannot_be_loaded_is_told_in_one_line(
    copy: WorkspaceCopy, model: str, message: str
) -> None:
    copy.add_model("broken", model)

    outcome = copy.run("check")

    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert "shared/models/broken.py: line" in outcome.err
    assert message in outcome.err


@pytest.mark.slow
def test_a_type_that_needs_a_conversion_is_told_with_the_remedy(copy: WorkspaceCopy) -> None:
    copy.add_revision(
        "aaaaaaaaaaa1", USERS, 'op.alter_column("users", "username", type_=sa.Integer())'
    )
    revision = copy.versions / "aaaaaaaaaaa1_by_hand.py"
    revision.write_text(f"import sqlalchemy as sa\n{revision.read_text()}")

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert 'postgresql_using="COLUMN::TYPE"' in outcome.err


def test_several_statements_in_one_call_are_told_with_the_remedy(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", "3ef43f3fe70a", 'op.execute("SELECT 1; SELECT 2")')

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert "give each statement an op.execute of its own" in outcome.err


@pytest.mark.skipif(os.getuid() != 0, reason="only root may be another user")
def test_a_user_without_a_name_is_told_what_to_name(copy: WorkspaceCopy) -> None:
    copy.url = "postgresql://127.0.0.1:1/shop"
    # Once as root: what is imported late may lie where another user cannot read.
    program = """
import os, sys
from contextlib import suppress
from db_manager.cli import main
with suppress(SystemExit):
    main(["status"])
print("-----", file=sys.stderr, flush=True)
os.environ.pop("HOME", None)
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
main(["status"])
"""
    process = copy.start_python("-c", program)
    _, printed = process.communicate(timeout=60)
    said = printed.partition("-----\n")[2]

    assert process.returncode == 1
    assert "Traceback" not in said, said
    assert len(said.splitlines()) <= 2, said
    assert "12345" in said
