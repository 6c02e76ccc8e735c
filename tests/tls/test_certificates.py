"""What providers' certificates do, and what is said of those that are refused: on a real server."""

from collections.abc import Iterator

import pytest

from db_manager.connection import open_target
from db_manager.errors import ManagerError
from quart_fleet.database import Database
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.settings import DatabaseSettings
from tests.tls.authority import Authority, Pair
from tests.tls.server import Server

ALL = "host all all 127.0.0.1/32 trust"


def config(url: str) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"DATABASE_URL": url})


@pytest.fixture
def good(server: Server, authority: Authority) -> Iterator[Server]:
    """The server, which is itself again after the test."""
    yield server
    server.install(authority.sign("again", alternative="DNS:localhost"), authority.certificate)
    server.admit(ALL)
    server.reload()


async def settings_of(url: str, *names: str) -> list[str]:
    """Connect as a service does, and return settings of its session."""
    async with Database(config(url)) as database, database.connect() as connection:
        return [await connection.fetchval("SELECT current_setting($1)", name) for name in names]


async def is_encrypted(url: str) -> bool:
    async with Database(config(url)) as database, database.connect() as connection:
        found: bool = await connection.fetchval(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
        return found


async def refusal(url: str) -> str:
    """Return what the database manager says; a service says the same in its log, and 503."""
    async with Database(config(url)) as database:
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()
    with pytest.raises(ManagerError) as refused:
        async with open_target(config(url)):
            pass
    return str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "?sslmode=require",
        "?sslmode=require&channel_binding=require",
        "?ssl=true",
        "?sslmode=verify-full&sslrootcert={root}",
        "?sslmode=verify-ca&sslrootcert={root}&connect_timeout=10&application_name=till",
        "?sslmode=require&sslrootcert={root}&gssencmode=disable&keepalives=1",
        "?sslmode=prefer",
    ],
)
async def test_what_providers_hand_out_leads_to_an_encrypted_session(
    query: str, server: Server, authority: Authority
) -> None:
    assert await is_encrypted(server.url(query.format(root=authority.certificate)))


async def test_a_local_address_without_a_word_is_not_encrypted(server: Server) -> None:
    assert not await is_encrypted(server.url())


async def test_the_session_is_as_the_address_says(server: Server) -> None:
    query = (
        "?application_name=till&options=-c%20search_path%3Dbilling%20-c%20lock_timeout%3D1234"
        "&statement_timeout=5678&connect_timeout=7&keepalives_idle=30&client_encoding=utf8"
    )

    found = await settings_of(
        server.url(query), "application_name", "search_path", "lock_timeout", "statement_timeout"
    )

    assert found == ["till", "billing", "1234ms", "5678ms"]


async def test_a_schema_as_prisma_names_it_is_the_search_path(server: Server) -> None:
    assert await settings_of(server.url('?schema=My "own"'), "search_path") == ['"My ""own"""']


async def test_of_several_servers_the_one_that_answers_and_writes_is_used(server: Server) -> None:
    hosts = f"127.0.0.1:1,localhost:{server.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"

    assert await settings_of(url, "port") == [str(server.port)]
    async with open_target(config(url)) as target:
        assert target.place == f"postgres at 127.0.0.1:{server.port}"


async def test_a_client_shows_its_certificate(good: Server, authority: Authority) -> None:
    pair = authority.sign("postgres", alternative="DNS:client")
    good.admit("hostssl all all 127.0.0.1/32 cert")
    good.reload()

    query = f"?sslmode=require&sslcert={pair.certificate}&sslkey={pair.key}"
    assert await is_encrypted(good.url(query))
    message = await refusal(good.url("?sslmode=require"))
    assert "PostgreSQL refuses the login: postgres at localhost" in message
    assert "by sslcert and sslkey in DATABASE_URL" in message


async def test_a_server_that_wants_tls_says_so(good: Server) -> None:
    good.admit("hostssl all all 127.0.0.1/32 trust")
    good.reload()

    message = await refusal(good.url("?sslmode=disable"))

    assert "no encryption). Write sslmode=require in DATABASE_URL." in message


async def test_a_certificate_of_another_authority(good: Server, stranger: Authority,
                                                  authority: Authority) -> None:  # fmt: skip
    good.install(stranger.sign("server", alternative="DNS:localhost"), stranger.certificate)
    good.reload()

    for mode in ("verify-full", "verify-ca", "require"):
        message = await refusal(good.url(f"?sslmode={mode}&sslrootcert={authority.certificate}"))

        assert message.startswith(
            "The certificate of PostgreSQL is of another authority than the trusted one: "
            f"postgres at localhost:{good.port} ("
        )
        assert message.endswith("by sslrootcert in DATABASE_URL.")


async def test_one_that_the_system_does_not_trust(server: Server) -> None:
    message = await refusal(server.url("?sslmode=verify-full&sslrootcert=system"))

    assert "is of another authority than the trusted one" in message


@pytest.mark.parametrize(
    ("first", "last"),
    [("20200101000000Z", "20210101000000Z"), ("20900101000000Z", "20910101000000Z")],
    ids=["expired", "not yet valid"],
)
async def test_a_certificate_at_the_wrong_time(
    first: str, last: str, good: Server, authority: Authority
) -> None:
    pair = authority.sign("old", alternative="DNS:localhost", first=first, last=last)
    good.install(pair, authority.certificate)
    good.reload()

    message = await refusal(good.url(f"?sslmode=verify-full&sslrootcert={authority.certificate}"))

    assert message.startswith("The certificate of PostgreSQL is not valid now: ")
    assert "Renew it on the server" in message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_of_another_host(host: str, good: Server, authority: Authority) -> None:
    good.install(authority.sign("other", alternative="DNS:db.example"), authority.certificate)
    good.reload()
    root = f"sslrootcert={authority.certificate}"

    message = await refusal(good.url(f"?sslmode=verify-full&{root}", host))

    assert message.startswith("The certificate of PostgreSQL is another host's: ")
    assert "sslmode=verify-ca" in message
    assert await is_encrypted(good.url(f"?sslmode=verify-ca&{root}", host))


async def test_a_server_without_tls(database_url: str) -> None:
    from tests.contract.gate import opened  # noqa: PLC0415

    async with opened(database_url) as gate:
        message = await refusal(gate.url.replace("sslmode=disable", "sslmode=require"))

    assert message.startswith("PostgreSQL offers no TLS, which sslmode asks for: ")
    assert "(ssl = on), or write sslmode=disable" in message


def test_a_pair_that_is_none_is_refused_at_start(authority: Authority) -> None:
    one, other = (authority.sign(name, alternative="DNS:a") for name in ("one", "two"))
    pair = Pair(one.certificate, other.key)

    with pytest.raises(ValueError, match="sslcert cannot be used: with its key it is no pair"):
        config(f"postgresql://a@b/c?sslmode=require&sslcert={pair.certificate}&sslkey={pair.key}")
