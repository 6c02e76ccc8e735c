"""The database that a process has open, on a real PostgreSQL."""

import asyncio
import gc
import threading
from contextlib import suppress
from socket import EAI_AGAIN, EAI_NONAME, gaierror, getaddrinfo
from typing import Any, NoReturn

import asyncpg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from quart_fleet.database import Database, Statement, Transaction
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel
from tests.chassis.serving import TIMEOUT
from tests.chassis.users import close_others, config
from tests.contract.gate import opened


async def test_a_connection_that_the_server_closed_fails_no_request(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        await small.ping()
        await close_others(database)

        await small.ping()


async def test_connections_are_acquired_in_the_order_of_asking(database_url: str) -> None:
    served = list[int]()

    async def ask(number: int, small: Database) -> None:
        async with small.connect():
            served.append(number)
            await asyncio.sleep(0)

    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        await asyncio.gather(*(ask(number, small) for number in range(20)))

    assert served == list(range(20))


async def test_a_process_opens_no_more_connections_than_its_pool_has(database_url: str) -> None:
    open_now, most = 0, 0
    three = asyncio.Barrier(3)

    async def ask(small: Database) -> None:
        nonlocal open_now, most
        async with small.connect():
            open_now += 1
            most = max(most, open_now)
            await three.wait()
            await asyncio.sleep(0.01)  # time enough for a fourth
            open_now -= 1

    async with Database(config(database_url, DB_POOL_SIZE=3)) as small:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*(ask(small) for _ in range(30)))

    assert most == 3


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@127.0.0.1:1/nowhere",
        "postgresql:///postgres?host=/nonexistent",
    ],
)
async def test_a_server_that_is_away_raises_database_unavailable(url: str) -> None:
    async with Database(config(url)) as database:
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()


async def test_a_database_that_does_not_exist_raises_database_unavailable(
    database_url: str,
) -> None:
    absent = database_url.replace("/test_", "/absent_")
    async with Database(config(absent)) as database:
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()


async def test_a_database_that_is_not_open_refuses_statements(database_url: str) -> None:
    database = Database(config(database_url))

    with pytest.raises(RuntimeError, match="not open"):
        await database.ping()


class RecordingServer:
    """A server that records whether it is entered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_entered = False

    async def __aenter__(self) -> str:
        self.is_entered = True
        return self.url

    async def __aexit__(self, *exception: object) -> None:
        self.is_entered = False


async def test_the_embedded_server_is_entered_while_the_database_is_open(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    server = RecordingServer(database_url)

    async with Database(DatabaseSettings.load(), server) as database:
        entered_inside = server.is_entered
        await database.ping()

    assert (entered_inside, server.is_entered) == (True, False)


async def test_a_configured_database_leaves_the_embedded_server_alone(database_url: str) -> None:
    server = RecordingServer("postgresql://app@db/")

    async with Database(config(database_url), server) as database:
        await database.ping()

        assert not server.is_entered


async def test_sessions_are_ordinary_orm_sessions(database: Database) -> None:
    sessions = database.sessions()
    async with sessions() as session, session.begin():
        session.add(UserModel(username="ada", email="ada@example.com"))

    async with sessions() as session:
        user = (await session.scalars(select(UserModel))).one()

    assert (user.username, user.is_active) == ("ada", True)


async def test_db_echo_logs_every_statement(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="quart_fleet.database._engine"):
        async with Database(config(database_url, DB_ECHO=True)) as database:
            await database.ping()

    assert "SELECT 1" in caplog.text


async def test_db_echo_shows_the_values_of_statements_that_name_no_secret(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        async with Database(config(database_url, DB_ECHO=True)) as database:
            async with database.connect() as connection:
                await connection.fetchval("SELECT $1::text AS username", "ada")
                await connection.fetchval("SELECT $1::text AS api_token", "hunter2")
            async with database.sessions()() as session:
                await session.execute(text("SELECT CAST(:it AS text)"), {"it": "hunter2"})
                with pytest.raises(DBAPIError) as raised:
                    await session.execute(text("SELECT CAST(:it AS text) / 1"), {"it": "hunter2"})

    assert "SELECT $1::text AS username ('ada',)" in caplog.messages
    assert "SELECT $1::text AS api_token ***" in caplog.messages
    assert "hunter2" not in caplog.text
    assert "hunter2" not in str(raised.value)


async def test_settings_and_locks_of_a_connect_block_are_cleared(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        async with small.connect() as connection:
            await connection.execute("SET statement_timeout = 7000")
            await connection.execute("SELECT pg_advisory_lock(7)")

        async with small.connect() as connection:
            timeout = await connection.fetchval("SHOW statement_timeout")
            locks = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )

    assert (timeout, locks) == ("0", 0)


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_a_connection_reads_json_as_values_and_takes_it_as_text(
    kind: str, database: Database
) -> None:
    async with database.connect() as connection:
        value = await connection.fetchval(f"SELECT $1::{kind}", '{"a": [1, null, "é"]}')

    assert value == {"a": [1, None, "é"]}


@pytest.fixture
async def read_only_url(fresh_database_url: str) -> str:
    """A database whose new sessions only read, as those of a standby do."""
    name = fresh_database_url.partition("?")[0].rpartition("/")[2]
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await connection.close()
    return fresh_database_url


async def test_a_server_that_only_reads_is_not_ready(read_only_url: str) -> None:
    async with Database(config(read_only_url)) as database:
        with pytest.raises(DatabaseUnavailableError) as refused:
            await database.ping()

    assert isinstance(refused.value.__cause__, asyncpg.ReadOnlySQLTransactionError)


async def test_one_that_only_reads_is_ready_where_a_standby_is_asked_for(
    read_only_url: str,
) -> None:
    async with Database(config(f"{read_only_url}&target_session_attrs=read-only")) as database:
        await database.ping()


async def test_a_write_to_one_that_only_reads_is_unavailable_and_its_connection_is_closed(
    read_only_url: str,
) -> None:
    write = Statement(text("CREATE TABLE notes (id int)"))
    backend = Statement(select(func.pg_backend_pid().label("process")))
    processes = set[int]()
    async with Database(config(read_only_url, DB_POOL_SIZE=1)) as database:
        for _ in range(2):
            async with Transaction(database) as transaction:
                row = await transaction.fetch_first(backend)
                assert row is not None
                processes.add(row["process"])
                with pytest.raises(DatabaseUnavailableError):
                    await transaction.execute(write)

    assert len(processes) == 2


@pytest.mark.parametrize("answer", [EAI_AGAIN, EAI_NONAME])
async def test_a_host_whose_name_is_gone_is_unavailable_before_the_resolver_says_so(
    answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    unhandled = list[dict[str, object]]()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    answered = threading.Event()

    def look_up(*_: object, **__: object) -> NoReturn:
        """As a resolver whose name server does not answer."""
        answered.wait(TIMEOUT)
        raise gaierror(answer, "no answer")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    # Well before the resolver and the connection would be given up.
    url = f"postgresql://app@gone.internal/shop?connect_timeout={TIMEOUT:.0f}"
    async with asyncio.timeout(TIMEOUT / 2), Database(config(url)) as database:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailableError):
                await database.ping()
        answered.set()
        with pytest.raises(DatabaseUnavailableError) as told:
            await database.ping()
    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)

    assert isinstance(told.value.__cause__, gaierror)
    assert not unhandled


async def test_a_lookup_that_is_late_serves_the_next_caller(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr("quart_fleet.database._connector.LOOKUP_TIMEOUT", 0.01)
    release, found = threading.Event(), getaddrinfo

    def look_up(*arguments: Any, **options: Any) -> Any:
        release.wait(TIMEOUT)
        return found(*arguments, **options)

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    async with opened(database_url) as gate:
        url = gate.url.replace("127.0.0.1", "localhost")
        async with Database(config(url)) as database:
            with pytest.raises(DatabaseUnavailableError):
                await database.ping()
            release.set()
            async with asyncio.timeout(TIMEOUT):
                while True:
                    with suppress(DatabaseUnavailableError):
                        await database.ping()
                        break
