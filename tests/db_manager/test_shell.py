"""`shell` opens psql where the commands work, or as a service logs in, and shows no password."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.db_manager.outcome import fetch
from tests.db_manager.workspace_copy import WorkspaceCopy

SECRET = "s3cret-of-the-owner"
WHO = ("-XAtc", "SELECT current_user, current_setting('search_path')")


def with_login(url: str, **parameters: str) -> str:
    """Return a URL with a password, which the tests' server does not ask for."""
    parts = urlsplit(url)
    query = "&".join([parts.query, *(f"{name}={value}" for name, value in parameters.items())])
    return parts._replace(netloc=f"postgres:{SECRET}@", query=query).geturl()


@pytest.fixture
def with_service(copy: WorkspaceCopy) -> WorkspaceCopy:
    """A workspace with a service, of which only what names it is there."""
    folder = copy.folder / "services" / "user_service"
    folder.mkdir(parents=True)
    (folder / "app.py").touch()
    return copy


@pytest.mark.slow
def test_the_given_database_is_opened_with_its_settings(copy: WorkspaceCopy) -> None:
    copy.url = with_login(copy.url, search_path="%22my%20own%22")

    opened = copy.run("shell", *WHO)

    assert (opened.code, opened.out, opened.err) == (0, 'postgres|"my own"\n', "")


@pytest.mark.slow
def test_no_list_of_processes_shows_the_password(copy: WorkspaceCopy) -> None:
    address = copy.url
    copy.url = with_login(address)
    process = copy.start("shell", "-XAtc", "SELECT pg_sleep(60)")
    try:
        shown = list(until_sleeping(address))
    finally:
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sl'"
        )
        fetch(address, query)
        process.communicate(timeout=60)

    assert any("pg_sleep" in line and "psql" in line for line in shown)
    assert [line for line in shown if SECRET in line] == []


def until_sleeping(url: str) -> Iterator[str]:
    """Yield the command lines of all processes, looked at until the statement runs and once more."""
    deadline = time.monotonic() + 60
    is_running = False
    while not is_running:
        assert time.monotonic() < deadline
        is_running = bool(fetch(url, "SELECT FROM pg_stat_activity WHERE query ~ '^SELECT pg_sl'"))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.slow
def test_a_service_logs_in_with_its_own_rights(with_service: WorkspaceCopy) -> None:
    copy = with_service
    copy.url = ""
    before = copy.run("shell", "user-service", *WHO)
    assert copy.run("migrate").code == 0

    opened = copy.run("shell", "user-service", *WHO)
    owner = copy.run("shell", *WHO)
    refused = copy.run("shell", "User-Service", "-XAtc", "CREATE TABLE public.mine ()")

    assert before.code == 2
    assert "The login user_service is made by: python -m db_manager migrate" in before.err
    assert opened.out.startswith("user_service|")
    assert owner.out.startswith("postgres|")
    assert refused.code == 1
    assert "permission denied for schema public" in refused.err


def test_a_services_own_address_wins(with_service: WorkspaceCopy) -> None:
    copy = with_service
    own = copy.folder / "services" / "user_service" / ".env"
    own.write_text(f"DATABASE_URL={with_login(copy.url, application_name='mine')}\n")
    copy.url = ""

    opened = copy.run("shell", "user_service", "-XAtc", "SHOW application_name")

    assert (opened.code, opened.out) == (0, "mine\n")


@pytest.mark.slow
def test_an_unknown_service_is_named_and_where_psql_comes_from(
    with_service: WorkspaceCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = with_service.run("shell", "mail-service")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("EMBEDDED_POSTGRES_BIN", "/nonexistent")

    missing = with_service.run("shell")

    assert unknown.code == missing.code == 1
    assert unknown.err == "Error: There is no service 'mail-service'. Services: user-service.\n"
    assert "psql is not installed. It comes with PostgreSQL:" in missing.err
