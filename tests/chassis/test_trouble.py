"""A database in trouble: what PostgreSQL answers then is 503, whichever way it is asked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from quart import Quart
from sqlalchemy import text

from quart_fleet.database import Database, Statement, Transaction
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.logs import CountedWarnings
from quart_fleet.web._envelope import Envelope
from quart_fleet.web._error_responses import ErrorResponses
from tests.chassis.users import ADD, close_others, config, count

Way = Callable[[Database, str], Awaitable[object]]


def raising(code: str) -> str:
    """Return what PostgreSQL answers with an error of this SQLSTATE."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'in trouble' USING ERRCODE = '{code}'; END $$"


async def by_transaction(database: Database, code: str) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute(Statement(text(raising(code))))


async def by_connection(database: Database, code: str) -> None:
    async with database.connect() as connection:
        await connection.execute(raising(code))


async def by_session(database: Database, code: str) -> None:
    async with database.sessions()() as session:
        await session.execute(text(raising(code)))


async def by_joined_session(database: Database, code: str) -> None:
    async with Transaction(database) as transaction, transaction.session() as session:
        await session.execute(text(raising(code)))


async def by_commit(database: Database, code: str) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute(Statement(text("CREATE TEMPORARY TABLE late (id int)")))
        await transaction.execute(
            Statement(
                text(
                    "CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS"
                    f" $$ BEGIN RAISE EXCEPTION 'in trouble' USING ERRCODE = '{code}'; END $$"
                )
            )
        )
        await transaction.execute(
            Statement(
                text(
                    "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY"
                    " DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.fail()"
                )
            )
        )
        await transaction.execute(Statement(text("INSERT INTO late VALUES (1)")))
        await transaction.commit()


WAYS = (by_transaction, by_connection, by_session, by_joined_session, by_commit)


@pytest.fixture
def app(database: Database) -> Quart:
    """Its routes are the ways; the query says by which code PostgreSQL fails."""
    app = Quart(__name__)
    ErrorResponses(Envelope, {}).register(app)
    for way in WAYS:

        async def route(code: str, way: Way = way) -> str:
            await way(database, code)
            return ""

        app.add_url_rule(f"/{way.__name__}/<code>", way.__name__, route)
    return app


@pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
@pytest.mark.parametrize(
    "code",
    [
        *("55P03", "25006", "40001", "40P01", "53100", "53200", "53300", "53400", "55000", "55006"),
        *("57014", "57P01", "57P03", "57P05", "08006", "08P01", "25P03", "25P04", "58030", "72000"),
        *("28P01", "3D000", "53ZZZ", "57ZZZ"),
    ],
)
async def test_what_the_database_cannot_do_now_is_503_and_says_when_to_come_back(
    way: str, code: str, app: Quart, caplog: pytest.LogCaptureFixture
) -> None:
    response = await app.test_client().get(f"/{way}/{code}")

    assert response.status_code == 503
    assert await response.get_json() == {"message": "Database unavailable", "success": False}
    assert response.headers["Retry-After"] == "1"
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.exc_info for record in lines] == [None]


@pytest.mark.parametrize("way", WAYS)
async def test_a_database_that_had_no_space_is_not_ready_for_a_while(
    way: Way, database_url: str
) -> None:
    async with Database(config(database_url)) as database:
        with pytest.raises(DatabaseUnavailableError):
            await way(database, "53200")
        await database.ping()
        with pytest.raises(DatabaseUnavailableError):
            await way(database, "53100")

        with pytest.raises(DatabaseUnavailableError) as refused:
            await database.ping()

        assert isinstance(refused.value.__cause__, asyncpg.DiskFullError)
        database._full_until = 0  # the while is over
        await database.ping()


async def test_a_query_that_is_too_large_says_nothing_of_the_disk(database_url: str) -> None:
    async with Database(config(database_url)) as database:
        for source in ("dsm_impl.c", "buffile.c", "md.c"):
            error = asyncpg.DiskFullError("No space left on device")
            error.server_source_filename = source
            database.note_full_disk(error)
            assert (database._full_until > 0) == (source == "md.c")


@pytest.mark.parametrize("code", ["42601", "42P01", "55P02", "25P02", "XX000"])
@pytest.mark.parametrize("way", ["by_transaction", "by_connection", "by_session"])
async def test_a_mistake_of_the_code_is_500(way: str, code: str, app: Quart) -> None:
    response = await app.test_client().get(f"/{way}/{code}")

    assert response.status_code == 500


@pytest.mark.parametrize("code", ["23000", "23ZZZ", "40002", "44000"])
async def test_a_rule_of_the_database_without_words_of_its_own_is_a_conflict(
    code: str, app: Quart
) -> None:
    response = await app.test_client().get(f"/by_transaction/{code}")

    assert response.status_code == 409


async def test_a_session_raises_what_a_unit_of_work_raises(database_url: str) -> None:
    unreachable = config("postgresql://app@127.0.0.1:1/app?sslmode=disable")
    async with Database(unreachable) as away:
        with pytest.raises(DatabaseUnavailableError):
            async with away.sessions()() as session:
                await session.execute(text("SELECT 1"))
    async with Database(config(database_url)) as small, small.sessions()() as session:
        await session.execute(text("SELECT 1"))
        await close_others(small)
        with pytest.raises(DatabaseUnavailableError):
            await session.execute(text("SELECT 1"))


async def test_a_session_that_gets_no_connection_is_503(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.database._sessions.CONNECT_TIMEOUT", 0.01)
    app = Quart(__name__)
    ErrorResponses(Envelope, {}).register(app)
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:

        @app.get("/")
        async def ask() -> str:
            async with small.sessions()() as first, small.sessions()() as second:
                await first.execute(text("SELECT 1"))
                await second.execute(text("SELECT 1"))
            return ""

        response = await app.test_client().get("/")

    assert response.status_code == 503


# What PostgreSQL has rolled back for the sake of another transaction.

STUMBLE = Statement(text("SELECT stumble(:times)"))


@pytest.fixture
async def stumbling(database: Database) -> Database:
    """A function that fails as often as it is told to, as a serialization does."""
    async with database.connect() as connection:
        await connection.execute("""
            CREATE SEQUENCE IF NOT EXISTS tries;
            ALTER SEQUENCE tries RESTART;
            CREATE OR REPLACE FUNCTION stumble(times int) RETURNS int LANGUAGE plpgsql AS $$
                DECLARE try int := nextval('tries');
                BEGIN
                    IF try <= times THEN RAISE 'try %', try USING ERRCODE = '40001'; END IF;
                    RETURN try;
                END $$
        """)
    return database


async def test_the_first_statement_is_repeated_once(stumbling: Database) -> None:
    async with Transaction(stumbling) as transaction:
        row = await transaction.fetch_first(STUMBLE, {"times": 1})
        await transaction.commit()
    assert row is not None
    assert row["stumble"] == 2

    async with Transaction(stumbling) as transaction:
        with pytest.raises(asyncpg.SerializationError):
            await transaction.fetch_first(STUMBLE, {"times": 4})


async def test_a_later_statement_is_not_repeated(stumbling: Database) -> None:
    """What was answered before may not hold any more, and was handed out."""
    async with Transaction(stumbling) as transaction:
        await transaction.fetch_first(ADD, {"name": "ada"})
        with pytest.raises(asyncpg.SerializationError, match="try 1"):
            await transaction.fetch_first(STUMBLE, {"times": 1})

    assert await count(stumbling) == 0


async def test_a_deadlock_at_the_first_statement_ends_well(stumbling: Database) -> None:
    """One of two transactions is rolled back by PostgreSQL, and begins again."""
    async with stumbling.connect() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS counters (id int, n int DEFAULT 0)")
        await connection.execute("TRUNCATE counters; INSERT INTO counters VALUES (1), (2)")
    both = asyncio.Barrier(2)

    async def add(first: int, second: int) -> None:
        # Both rows in one statement, locked in the order of the ids that are asked for.
        statement = Statement(
            text(
                "WITH one AS (UPDATE counters SET n = n + 1 WHERE id = :first RETURNING pg_sleep(0.2))"
                ", two AS (UPDATE counters SET n = n + 1"
                " WHERE id = :second AND EXISTS (SELECT FROM one)) SELECT 1 FROM one"
            )
        )
        await both.wait()
        async with Transaction(stumbling) as transaction:
            await transaction.execute(statement, {"first": first, "second": second})
            await transaction.commit()

    await asyncio.gather(add(1, 2), add(2, 1))

    async with stumbling.connect() as connection:
        assert await connection.fetchval("SELECT sum(n) FROM counters") == 4
        await connection.execute("DROP TABLE counters")


# What the log says of it.


async def test_an_outage_is_one_line_for_each_kind(
    app: Quart, caplog: pytest.LogCaptureFixture
) -> None:
    client = app.test_client()

    for code in ("53100", "57P01", "53100", "53100"):
        await client.get(f"/by_transaction/{code}")

    said = ("DiskFullError('in trouble')", "AdminShutdownError('in trouble')")
    assert caplog.messages == [
        f"GET /by_transaction/{code}: Database unavailable: {cause}"
        for code, cause in zip(("53100", "57P01"), said, strict=True)
    ]


async def test_warnings_of_a_kind_are_counted_for_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.logs.INTERVAL", 0.01)
    warnings = CountedWarnings(logging.getLogger("tests"))

    for _ in range(3):
        warnings.warn("away", "it is away")
    async with asyncio.timeout(60):
        while len(caplog.messages) < 2:  # noqa: ASYNC110  # there is no signal
            await asyncio.sleep(0.01)

    assert caplog.messages == ["it is away", "it is away (2 more like this)"]
    warnings.tell()


async def test_what_was_counted_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    warnings = CountedWarnings(logging.getLogger("tests"))
    for _ in range(3):
        warnings.warn("away", "it is away")

    warnings.tell()

    assert caplog.messages == ["it is away", "it is away (2 more like this)"]


# The same, provoked really.

PROVOKED = {
    "55P03": ("SET LOCAL lock_timeout = 10", "LOCK TABLE users"),
    "57014": ("SET LOCAL statement_timeout = 10", "SELECT pg_sleep(60)"),
    "53400": (
        "SET LOCAL temp_file_limit = '1kB'",
        "SET LOCAL work_mem = '64kB'",
        "SELECT * FROM generate_series(1, 100000) AS n ORDER BY md5(n::text) OFFSET 99999",
    ),
    "25006": ("SET TRANSACTION READ ONLY", "DELETE FROM users"),
    "55000": ("DISCARD SEQUENCES", "SELECT lastval()"),
    "22003": ("INSERT INTO users (username, email, age) VALUES ('a', 'a', 2147483648)",),
    "22012": ("SELECT 1 / 0",),
}


@pytest.mark.parametrize("code", PROVOKED)
async def test_what_postgresql_really_answers(
    code: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    app = Quart(__name__)
    ErrorResponses(Envelope, {}).register(app)

    @app.get("/")
    async def ask() -> str:
        async with Transaction(database) as transaction, transaction.connection() as connection:
            for statement in PROVOKED[code]:
                await connection.execute(statement)
        return ""

    async with database.connect() as holder, holder.transaction():
        if code == "55P03":
            await holder.execute("LOCK TABLE users")
        response = await app.test_client().get("/")

    told = {"22003": 422, "22012": 500}
    assert response.status_code == told.get(code, 503)
    assert ("Traceback" in caplog.text) == (told.get(code) == 500)
