"""Database URLs: the forms that are read, and what messages say of them."""

import subprocess
import sys
from pathlib import Path
from string import punctuation
from urllib.parse import quote, unquote, urlsplit

import pytest
from pydantic_core import PydanticCustomError

from quart_fleet import database_url
from quart_fleet.database_url import (
    HARMLESS,
    HONOURED,
    READ_BY_DRIVER,
    REFUSED,
    SESSION_SETTINGS,
    SYNONYMS,
    client_arguments,
    connect_arguments,
    describe,
    normalise,
    pools_transactions,
)
from quart_fleet.postgres import EmbeddedPostgres

LIBPQ = """
    host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout
    client_encoding options application_name fallback_application_name keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout replication gssencmode sslmode requiressl
    sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert
    sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version
    min_protocol_version max_protocol_version krbsrvname gsslib gssdelegation scram_client_key
    scram_server_key service servicefile target_session_attrs load_balance_hosts oauth_issuer
    oauth_client_id oauth_client_secret oauth_scope
""".split()  # noqa: SIM905 - PostgreSQL 18's manual, section 34.1.2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:hunter2@db.example:5433/fleet", "fleet at db.example:5433"),
        ("postgresql://ada@db.example", "ada at db.example:5432"),
        ("postgresql:///fleet?host=/run/postgresql", "fleet at /run/postgresql"),
        ("postgresql://ada@db.example/the%20fleet", "the fleet at db.example:5432"),
        ("postgresql://", "postgres at localhost:5432"),
    ],
)
def test_a_database_is_described_without_its_password(url: str, shown: str) -> None:
    assert describe(url) == shown


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("postgresql://app:s3cr#T@db/shop", "postgresql://app:s3cr%23T@db/shop"),
        ("postgresql://app:s3/c?r@db/shop", "postgresql://app:s3%2Fc%3Fr@db/shop"),
        ("postgresql://app:s3:cr@db/shop", "postgresql://app:s3%3Acr@db/shop"),
        ("postgresql://app:s3%40cr@db/shop", "postgresql://app:s3%40cr@db/shop"),
    ],
)
def test_a_password_is_encoded_for_the_driver(url: str, encoded: str) -> None:
    assert normalise(url) == encoded
    assert describe(encoded) == "shop at db:5432"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3@cr:hush@db/shop",
        "postgresql://app:s3@cr@db/shop",
        "postgresql://app:s3@cr/hush@db/shop",
        "postgresql://app:s3@cr?hush@db/shop",
        "postgresql://app:s3cr#hush/shop",
        "postgresql://[s3cr]hush:x@db:y/shop",
        "mysql://app:s3cr@db/hush",
        "app:s3cr#hush@db/shop",
        "postgresql://db:5432/shop?user=app&password=s3cr@hush",
        "postgresql://db?user=app&password=s3cr@hush",
        "postgresql://db/shop?user=app&password=s3cr&hush",
        "postgresql://db/shop?user=app&password=s3cr&",
        "postgresql://app:%ffs3cr@db/shop",
    ],
)
def test_a_refused_url_is_not_quoted_in_part(url: str) -> None:
    with pytest.raises(PydanticCustomError) as refusal:
        normalise(url)

    message = str(refusal.value)
    assert message.endswith(
        "in the password write @ as %40, : as %3A, / as %2F, # as %23, & as %26 and % as %25"
    )
    assert not any(piece in message for piece in ("s3", "cr", "hush"))


@pytest.mark.parametrize("parameter", LIBPQ)
def test_every_parameter_of_libpq_has_its_place(parameter: str) -> None:
    places = (READ_BY_DRIVER, HONOURED, SESSION_SETTINGS, SYNONYMS, REFUSED, HARMLESS)

    assert any(parameter in place for place in places)


@pytest.mark.parametrize("place", ["db:{}", "db:1,other:{}", "/shop?host=db&port={}"])
@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_there_is_not_is_refused(place: str, port: str) -> None:
    with pytest.raises(PydanticCustomError, match="port cannot be used: write a number from 1 to"):
        normalise(f"postgresql://app:x@{place.format(port)}")


def test_what_is_harmless_in_part_says_what_to_write_instead_of_the_rest() -> None:
    assert {name for name, values in HARMLESS.items() if values is not None} <= REFUSED.keys()


@pytest.mark.parametrize(
    ("place", "is_told"),
    [
        ("db/shop?sslmode=require&channel_binding=require", True),
        ("db/shop?channel_binding=require", True),
        ("db/shop?sslmode=require&channel_binding=prefer", False),
        ("db/shop?sslmode=verify-full&sslrootcert=system&channel_binding=require", False),
        ("localhost/shop?channel_binding=require", False),
    ],
)
def test_a_channel_that_is_not_bound_is_told_where_the_server_is_not_verified(
    place: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    database_url._tell_unbound_channel.cache_clear()

    for _ in range(2):
        normalise(f"postgresql://app:x@{place}")

    told = [each.getMessage() for each in caplog.records if "channel_binding" in each.getMessage()]
    assert len(told) == is_told
    with pytest.raises(PydanticCustomError, match="channel_binding cannot be used: write disable"):
        normalise("postgresql://app:x@db/shop?channel_binding=s3cret")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        # Neon, Supabase, Vercel, Heroku, RDS, Prisma, SQLAlchemy and node-postgres, in turn.
        ("?sslmode=require&channel_binding=require", "?sslmode=require"),
        ("?pgbouncer=true&connection_limit=1", "?pgbouncer=true"),
        ("?sslmode=require&supa=base-pooler.x", "?sslmode=require"),
        ("?ssl=true", "?sslmode=require"),
        ("?connect_timeout=10&keepalives=1&keepalives_idle=30", "?connect_timeout=10"),
        ("?schema=billing", "?search_path=%22billing%22"),
        ("?ssl=require&prepared_statement_cache_size=0", "?sslmode=require&pgbouncer=true"),
        ("?sslmode=no-verify", "?sslmode=require"),
        ("?gssencmode=disable&client_encoding=UTF8&load_balance_hosts=random", ""),
        ("?options=project%3Dlate-sun-1", "?options=project%3Dlate-sun-1"),
        ("?options=-c%20search_path%3Dbilling", "?options=-c%20search_path%3Dbilling"),
        ("?fallback_application_name=shop", "?application_name=shop"),
        ("?target_session_attrs=read-write", "?target_session_attrs=read-write"),
        ("?uselibpqcompat=true&sslmode=require", "?sslmode=require"),
        ("?currentSchema=billing,public", "?search_path=%22billing%22,%20%22public%22"),
        # From a file or a secret that ends its line.
        ("\n", ""),
        ("?sslmode=require \n", "?sslmode=require"),
    ],
)
def test_what_providers_hand_out_is_read(given: str, kept: str) -> None:
    assert normalise(f"postgres://app:x@db/shop{given}") == f"postgresql://app:x@db/shop{kept}"


@pytest.mark.parametrize(
    ("given", "names", "remedy"),
    [
        ("?hostaddr=10.0.0.1", "hostaddr", "in the place of the host"),
        ("?service=prod", "service", "into DATABASE_URL"),
        ("?gssencmode=require", "gssencmode", "sslmode=require"),
        ("?client_encoding=LATIN1", "client_encoding", "UTF-8"),
        ("?require_auth=scram-sha-256", "require_auth", "sslmode=verify-full"),
        ("?replication=database", "replication", "leave it out"),
        ("?sslmod=require", "sslmod", "correct or remove it"),
        ("?connect_timeout=soon", "connect_timeout", "write a number"),
        ("?target_session_attrs=master", "target_session_attrs", "primary"),
        ("?sslmode=verify-ca&sslrootcert=system", "sslrootcert", "verify-full alone"),
        ("?sslmode=require&sslrootcert=/nope", "sslrootcert", "No such file"),
        ("?sslmode=require&sslcert=/nope&sslkey=/nope", "sslcert", "No such file"),
        ("?sslnegotiation=direct", "sslnegotiation", "sslmode=require"),
        ("?dbname=prod", "dbname", "says it twice"),
        ("?host=other", "host", "says it twice"),
        ("?user=root", "user", "says it twice"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(given: str, names: str, remedy: str) -> None:
    with pytest.raises(PydanticCustomError) as refusal:
        normalise(f"postgresql://app:hush@db/shop{given}")

    message = str(refusal.value)
    assert message.startswith(f"{names} cannot be used: ")
    assert remedy in message
    assert "hush" not in message


def test_a_verification_without_an_authority_is_refused_with_both_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(PydanticCustomError, match=r"sslrootcert=FILE.* sslrootcert=system"):
        normalise("postgresql://db/shop?sslmode=verify-full")


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.write_text("-----BEGIN s3cret-----")

    with pytest.raises(PydanticCustomError, match="sslrootcert cannot be used: ") as refusal:
        normalise(f"postgresql://db/shop?sslmode=verify-full&sslrootcert={file}")
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://app@a:5433,b:5434/shop", "shop at a:5433,b:5434"),
        ("postgresql://app@/shop?host=a:5433&host=b:5434", "shop at a:5433,b:5434"),
        ("postgresql://app@/shop?host=a,b&port=1,2", "shop at a:1,b:2"),
        ("postgresql://app@[::1]:5433/shop", "shop at ::1:5433"),
        ("postgresql://app@db?dbname=shop", "shop at db:5432"),
        ("postgresql://db:5433?dbname=shop&user=app&password=x", "shop at db:5433"),
    ],
)
def test_each_way_of_saying_the_place_is_read(url: str, place: str) -> None:
    normal = normalise(url)

    assert describe(normal) == place
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    ("variables", "url", "place"),
    [
        ({"PGHOST": "10.0.0.1", "PGPORT": "5544"}, "postgresql:///prod", "prod at 10.0.0.1:5544"),
        ({"PGHOST": "10.0.0.1"}, "postgresql://db/prod", "prod at db:5432"),
        ({"PGHOST": "/run/pg", "PGDATABASE": "prod"}, "postgresql://", "prod at /run/pg"),
        ({"PGPORT": "5544"}, "postgresql://db/prod", "prod at db:5544"),
        ({"PGPORT": "5544"}, "postgresql://db:5/prod", "prod at db:5"),
        ({"PGUSER": "ada"}, "postgresql://db", "ada at db:5432"),
        ({"PGDATABASE": "prod"}, "postgresql://ada@db", "prod at db:5432"),
        ({}, "postgresql://db/prod?port=5544", "prod at db:5544"),
        ({}, "postgresql://a,b/prod?port=1,2", "prod at a:1,b:2"),
        ({}, "postgresql+psycopg2://db/prod", "prod at db:5432"),
        ({}, "POSTGRES://db/prod", "prod at db:5432"),
    ],
)
def test_the_place_that_is_told_is_the_place_that_the_driver_goes_to(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, place: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    normal = normalise(url)

    assert describe(normal) == place
    for name in variables:
        monkeypatch.setenv(name, "1")  # what the address says is not asked for again
    assert normalise(normal) == normal


def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "abc")

    with pytest.raises(PydanticCustomError, match="port or PGPORT cannot be used: write a number"):
        normalise("postgresql://db/shop")


@pytest.mark.parametrize(
    ("variable", "parameter"),
    [
        ("PGGSSLIB", "gsslib"),
        ("PGTARGETSESSIONATTRS", "target_session_attrs"),
        ("PGSSLMODE", "sslmode"),
        ("PGSSLNEGOTIATION", "sslnegotiation"),
        ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
        ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ],
)
def test_a_variable_at_which_every_connection_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, parameter: str
) -> None:
    monkeypatch.setenv(variable, "foo")

    with pytest.raises(PydanticCustomError, match=f"{parameter} or {variable} cannot be used: "):
        normalise("postgresql://db/shop")


def test_variables_of_tls_are_not_asked_for_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLMODE", "PGSSLNEGOTIATION", "PGSSLMINPROTOCOLVERSION"):
        monkeypatch.setenv(name, "foo")

    local, plain = normalise("postgresql://localhost/shop"), "postgresql://db/shop?sslmode=disable"

    assert local == "postgresql://localhost/shop?sslmode=disable"
    assert normalise(plain) == plain


def test_the_embedded_server_says_all_that_the_driver_would_ask_the_shell_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGGSSLIB", "foo")
    url = EmbeddedPostgres(tmp_path).url()

    assert "gsslib=gssapi" in normalise(url)


def test_the_rest_of_a_password_is_no_parameters_name() -> None:
    with pytest.raises(PydanticCustomError, match=r"a parameter cannot be used: .*& .* as %26"):
        normalise("postgresql://db/shop?user=app&password=s3&cr3t=1")


def test_a_password_in_a_parameter_is_no_longer_one() -> None:
    assert normalise("postgresql://db/shop?user=app&password=a%40b") == (
        "postgresql://app:a%40b@db/shop"
    )


def test_the_driver_is_given_what_it_does_not_read_itself() -> None:
    url = normalise(
        "postgresql://db/shop?connect_timeout=3&application_name=till&schema=a%22b"
        "&sslmode=require&sslnegotiation=direct&pgbouncer=1"
    )

    assert connect_arguments(url) == {
        "dsn": "postgresql://db/shop?sslmode=require",
        "timeout": 3.0,
        "direct_tls": True,
        "server_settings": {"application_name": "till", "search_path": '"a""b"'},
    }
    assert pools_transactions(url)


def test_settings_without_a_database_do_not_load_sqlalchemy() -> None:
    code = "import sys, quart_fleet.settings; print('sqlalchemy' in sys.modules)"

    loaded = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "False"


@pytest.mark.parametrize("character", [*punctuation, " ", "é", "山", "\U0001f642"])
@pytest.mark.parametrize(
    "form",
    ["postgresql://app:{}@db/shop", "postgresql://db/shop?user=app&password={}&sslmode=require"],
)
@pytest.mark.parametrize("password", ["Ab{0}Xy", "{0}Ab", "Ab{0}1", "Ab{0}{0}Xy"])
def test_a_password_of_any_character_is_right_or_refused(
    character: str, form: str, password: str
) -> None:
    """Written as it is or escaped; the latter is never refused."""
    secret = password.format(character)

    for written in (secret, quote(secret, safe="")):
        told = ""
        try:
            url = normalise(form.format(written))
        except PydanticCustomError as refusal:
            told = refusal.message()
            url = f"postgresql://app:{quote(secret, safe='')}@db/shop"
        assert "Ab" not in told
        assert not told or written == secret
        assert unquote(urlsplit(url).password or "") == secret
        assert describe(url) == "shop at db:5432"


def test_as_many_ports_as_hosts_are_given_or_one() -> None:
    assert describe(normalise("postgresql://a,b/shop?port=1")) == "shop at a:1,b:1"
    assert describe(normalise("postgresql://a,b/shop?port=1,2")) == "shop at a:1,b:2"
    with pytest.raises(PydanticCustomError, match="as many as hosts"):
        normalise("postgresql://a,b/shop?port=1,2,3")


@pytest.mark.parametrize(
    ("url", "address", "variables"),
    [
        (
            "postgresql+asyncpg://app:s%40cret@db:5433/shop?sslmode=require&pgbouncer=true",
            "postgresql://app@db:5433/shop?sslmode=require",
            {"PGPASSWORD": "s@cret"},
        ),
        (
            "postgresql://app@a,b/shop?sslmode=require&sslnegotiation=direct&sslpassword=s3cret",
            "postgresql://app@a,b/shop?sslmode=require",
            {"PGSSLNEGOTIATION": "direct"},
        ),
        (
            "postgresql://app@localhost/shop?password=s3cret&schema=my%20own&role=reader",
            "postgresql://app@localhost/shop?sslmode=disable",
            {"PGPASSWORD": "s3cret", "PGOPTIONS": '-c role=reader -c search_path="my\\ own"'},
        ),
        (
            "postgresql://app@localhost/shop?options=-c%20jit%3Doff&application_name=me",
            "postgresql://app@localhost/shop?application_name=me&sslmode=disable",
            {"PGOPTIONS": "-c jit=off"},
        ),
    ],
)
def test_programs_get_what_they_understand_and_secrets_beside_it(
    url: str, address: str, variables: dict[str, str]
) -> None:
    found, beside = client_arguments(normalise(url))

    assert (found, beside) == (address, variables)
