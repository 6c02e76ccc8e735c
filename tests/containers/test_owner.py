"""The script by which PostgreSQL's container makes the owner, run by psql on real servers."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
import pytest

from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.postgres import _programs as programs
from tests.postgres.owner import ask
from tests.requirement import get_program
from tests.workspace import GeneratedWorkspace

PASSWORD = 'it\'s \\ a "secret"'
RULES = "local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n"
"""Roles log in by password, as those outside of the container do."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A server on which the script ran."""

    url: str

    async def connect(self, role: str, password: str) -> asyncpg.Connection:
        """Log in to the owner's database."""
        return await asyncpg.connect(self.url, user=role, password=password, database="fleet")


@pytest.fixture(scope="module", params=["found first", "of the wheel"])
def owned(
    request: pytest.FixtureRequest,
    workspace: GeneratedWorkspace,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Owned]:
    """A server of the PostgreSQL that this machine has, and one of the image's major version."""
    psql, folder = get_program("psql"), tmp_path_factory.mktemp("owner")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    script = (workspace.root / "db_manager/owner.sql").read_text()
    assert "/run/secrets/owner_password" in script
    (folder / "owner.sql").write_text(script.replace("/run/secrets", str(folder)))
    (folder / "owner_password").write_text(PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "of the wheel":
            patch.setenv("PATH", "/nowhere")
            patch.setattr(programs, "SYSTEM_FOLDERS", ())
        with EmbeddedPostgres(folder / ".postgres", durable=False) as url:
            # As the image's entry point runs what is in /docker-entrypoint-initdb.d.
            command = [
                psql,
                "-v",
                "ON_ERROR_STOP=1",
                "--no-psqlrc",
                "-f",
                str(folder / "owner.sql"),
            ]
            subprocess.run([*command, url], env=environment, check=True, capture_output=True)
            [rules] = (folder / ".postgres").rglob("pg_hba.conf")
            rules.write_text(RULES)
            reload = [psql, "--no-psqlrc", "-c", "SELECT pg_reload_conf()", url]
            subprocess.run(reload, env=environment, check=True, capture_output=True)
            yield Owned(url)


async def test_the_owner_owns_its_database_and_is_no_superuser(owned: Owned) -> None:
    database = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'fleet'"
    rights = (
        "SELECT row(rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls)::text"
        " FROM pg_roles WHERE rolname = 'fleet'"
    )

    assert await ask(owned.url, database) == "fleet"
    assert await ask(owned.url, rights) == "(f,t,f,f,f)"


async def test_the_owner_makes_what_revisions_and_roles_need(owned: Owned) -> None:
    connection = await owned.connect("fleet", PASSWORD)
    try:
        await connection.execute("CREATE EXTENSION pg_trgm; CREATE TABLE users (id bigint)")
        await connection.execute("CREATE ROLE user_service LOGIN PASSWORD 'x'")
        await connection.execute("ALTER ROLE user_service PASSWORD 'y'")
        await connection.execute("GRANT SELECT ON users TO user_service")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("COPY users FROM PROGRAM 'id'")
    finally:
        await connection.close()

    service = await owned.connect("user_service", "y")
    try:
        assert await service.fetch("SELECT * FROM users") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("CREATE TABLE mine (id bigint)")
    finally:
        await service.close()


async def test_the_owner_logs_in_with_the_password_of_the_file_alone(owned: Owned) -> None:
    await (await owned.connect("fleet", PASSWORD)).close()

    with pytest.raises(asyncpg.InvalidPasswordError):
        await owned.connect("fleet", "another")
