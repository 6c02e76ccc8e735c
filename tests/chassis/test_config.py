"""Settings: what is read, what wins, what is refused and in which words."""

from pathlib import Path

import pytest

from quart_fleet.errors import ConfigurationError
from quart_fleet.settings import SAMPLE_SECRET_KEY, DatabaseSettings, ServiceSettings


@pytest.fixture(autouse=True)
def a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("DEBUG", "TESTING", "SECRET_KEY", "DATABASE_URL", "DB_ECHO", "DB_POOL_SIZE", "HOST"),
        *("DATABASE_POOLER", "CORS_ORIGINS"),
        *("SERVICE_NAME", "SERVICE_PORT", "PORT", "SERVICE_REGISTRY_URL", "MAX_CONTENT_LENGTH"),
    ):
        monkeypatch.delenv(name, raising=False)


def load(folder: Path, dotenv: str = "DEBUG=True") -> ServiceSettings:
    (folder / ".env").write_text(dotenv, encoding="utf-8")
    return ServiceSettings.load(folder)


def test_the_dotenv_of_the_folder_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, "DEBUG=True\nSERVICE_NAME=user-service\nSERVICE_PORT=8081\n")

    assert (config.debug, config.service_name, config.service_port) == (True, "user-service", 8081)


@pytest.mark.parametrize("variable", ["SERVICE_PORT", "PORT"])
def test_the_environment_wins_over_the_dotenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "9000")

    assert load(tmp_path, "DEBUG=True\nSERVICE_PORT=8081").service_port == 9000


def test_service_port_wins_over_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "9001")
    monkeypatch.setenv("PORT", "9000")

    assert load(tmp_path).service_port == 9001


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    config = load(tmp_path, "DEBUG=True\nDATABASE_URL=\nSERVICE_PORT=\n")

    assert (config.database_url, config.service_port) == (None, 8080)


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", None),
        ("*", None),
        ("https://a.example", {"https://a.example"}),
        (
            " https://a.example , http://localhost:3000,null",
            {"https://a.example", "http://localhost:3000", "null"},
        ),
    ],
)
def test_allowed_origins_are_separated_by_commas(
    tmp_path: Path, value: str, origins: set[str] | None
) -> None:
    assert load(tmp_path, f"DEBUG=True\nCORS_ORIGINS={value}").cors_origins == origins


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    config = load(tmp_path)

    with pytest.raises(ValueError, match="frozen"):
        config.service_port = 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "maybe"),
        ("TESTING", "2"),
        ("DB_ECHO", "loud"),
        ("DB_POOL_SIZE", "0"),
        ("MAX_CONTENT_LENGTH", "-1"),
        ("DATABASE_URL", "mysql://localhost/fleet"),
        ("DATABASE_URL", "postgresql://localhost:port/fleet"),
        ("DATABASE_URL", "localhost"),
        ("DATABASE_URL", "postgresql://localhost/fleet?sslmode=often"),
        ("DATABASE_POOLER", "odyssey"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://App.example.com"),
        ("CORS_ORIGINS", "https://a.example,,https://b.example"),
        ("CORS_ORIGINS", "https://a.example,*"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        load(tmp_path)


@pytest.mark.parametrize("variable", ["SERVICE_PORT", "PORT"])
@pytest.mark.parametrize("value", ["http", "0", "65536"])
def test_a_bad_port_is_refused_by_both_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Which of them was set is not known any more."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=r"^SERVICE_PORT or PORT: "):
        load(tmp_path, "DEBUG=True\nSERVICE_PORT=8081\n")


def test_all_bad_values_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, "DEBUG=maybe\nSERVICE_PORT=x\n")

    assert [line.partition(":")[0] for line in refusal.value.message.splitlines()[:2]] == [
        "DEBUG",
        "SERVICE_PORT or PORT",
    ]


def test_a_refusal_does_not_show_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://ada:hunter2@localhost/fleet")

    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path)

    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize("line", ["=hunter2", "SECRET_KEY hunter2", "SECRET_KEY: hunter2", "'"])
def test_an_unreadable_line_of_the_dotenv_is_refused_by_its_place_alone(
    tmp_path: Path, line: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, f"DEBUG=True\n{line}\n")

    assert refusal.value.message == (
        f"{tmp_path / '.env'}, line 2 cannot be read: expected NAME=value"
    )


@pytest.mark.parametrize(
    "url", ["postgresql://app:4711 #s3cret@db/shop", "postgresql://a:b c\t#@d"]
)
def test_a_password_that_would_be_cut_in_the_dotenv_is_refused(tmp_path: Path, url: str) -> None:
    """What is left of it would be a host and a port, which messages show."""
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, f"DEBUG=True\nDATABASE_URL={url}\n")

    assert refusal.value.message == (
        f"{tmp_path / '.env'}, line 2: ` #` begins a comment. Write DATABASE_URL='...'"
    )


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_PASSWORD=s3 #cret",
        "SECRET_KEY=s3 #cret",
        "export API_TOKEN = s3 #cret",
        "DATABASE_URL=postgresql://h/db?user=u&password=s3 #cret",
    ],
)
def test_a_secret_that_would_be_cut_in_the_dotenv_is_refused(tmp_path: Path, line: str) -> None:
    name = line.removeprefix("export ").partition("=")[0].strip()
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, f"DEBUG=True\n\n# A secret.\n\n{line}\n")

    assert refusal.value.message == (
        f"{tmp_path / '.env'}, line 5: ` #` begins a comment. Write {name}='...'"
    )


@pytest.mark.parametrize(
    "line",
    [
        "SECRET_KEY=pa${ss}word",
        "SECRET_KEY='pa${ss}word'",
        'DATABASE_PASSWORD="pa${ss}word"',
        "DATABASE_URL='postgresql://u:pa${ss}word@h/db'",
        "SECRET_KEY=${LATER}\nLATER=ss",
    ],
)
def test_what_a_reference_would_leave_out_of_the_dotenv_is_refused(
    tmp_path: Path, line: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"\.env, line 2: \$\{\.\.\.\} stands") as refusal:
        load(tmp_path, f"DEBUG=True\n{line}\n")

    assert "ss" not in refusal.value.message.partition("line 2")[2]


def test_the_dotenv_refers_to_what_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_SHELL", "b")

    config = load(tmp_path, "DEBUG=True\nOWN=a\nSECRET_KEY=${OWN}${OF_SHELL}${NONE:-c}$d\n")

    assert config.secret_key.get_secret_value() == "abc$d"


@pytest.mark.parametrize(
    "line",
    [
        "SECRET_KEY=mine # of this machine",
        "SECRET_KEY='s3 #cret' #mine",
        "DATABASE_URL=postgresql://db/shop #tests",
        "SERVICE_NAME=shop #mine",
        "DATABASE_URL=postgresql://app:4711@db/shop # as ada@example.com says",
        "DATABASE_URL='postgresql://app:4711 #s3cret@db/shop'",
        "DATABASE_URL=postgresql://db/shop # of the tests",
        "DATABASE_URL=postgresql://db:5432/shop # ask ada@example.com",
        "DATABASE_URL=postgresql:///app  # was postgresql://u:p@h/app",
        "# DATABASE_URL=postgresql://app:4711 #s3cret@db/shop",
    ],
)
def test_other_comments_of_the_dotenv_are_read_as_such(tmp_path: Path, line: str) -> None:
    load(tmp_path, f"TESTING=True\n{line}\n")


def test_a_dotenv_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\n")

    with pytest.raises(ConfigurationError, match=r"^UTF-16 instead of UTF-8 in .*: line 1"):
        ServiceSettings.load(tmp_path)


@pytest.mark.parametrize("secret", [None, SAMPLE_SECRET_KEY, "", " "])
def test_a_service_refuses_to_run_on_the_sample_secret(tmp_path: Path, secret: str | None) -> None:
    line = "" if secret is None else f"SECRET_KEY='{secret}'"

    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, f"DEBUG=False\n{line}\nDATABASE_URL=postgresql://db/fleet\n")

    [reason, _remedy] = refusal.value.message.splitlines()
    assert reason.startswith("SECRET_KEY: set one of your own")


def test_a_service_refuses_to_run_on_an_embedded_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, "DEBUG=False\nSECRET_KEY=of-my-own\n")

    [reason, _remedy] = refusal.value.message.splitlines()
    assert reason == (
        "DATABASE_URL: set it (the embedded PostgreSQL is for DEBUG=True and TESTING=True)"
    )


def test_all_that_only_development_may_run_on_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, "DEBUG=False\n")

    lines = refusal.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["SECRET_KEY", "DATABASE_URL"]
    assert lines[2] == f"Set it in the environment or {tmp_path / '.env'}."


def test_without_a_dotenv_the_refusal_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        ServiceSettings.load(tmp_path)

    assert refusal.value.message.splitlines()[-1] == (
        f"Set it in the environment, or make {tmp_path / '.env'}, for development: "
        "python -m scaffold env"
    )


@pytest.mark.parametrize(
    "lines",
    ["DEBUG=True", "TESTING=True", "SECRET_KEY=of-my-own\nDATABASE_URL=postgresql://db/fleet"],
)
def test_development_tests_and_settings_of_its_own_let_a_service_run(
    tmp_path: Path, lines: str
) -> None:
    assert load(tmp_path, lines).service_name == "service"


def test_secrets_stay_out_of_the_repr(tmp_path: Path) -> None:
    config = load(tmp_path, "SECRET_KEY=hush\nDATABASE_URL=postgresql://ada:hunter2@h/fleet\n")

    assert "hush" not in repr(config)
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgresql://ada:pw@db.example:5433/fleet", "postgresql://ada:pw@db.example:5433/fleet"),
        ("postgres://ada@db.example/fleet", "postgresql://ada@db.example/fleet"),
        ("postgresql+asyncpg://ada@db.example/fleet", "postgresql://ada@db.example/fleet"),
        (
            "postgres://ada@db.example/x?ssl=require",
            "postgresql://ada@db.example/x?sslmode=require",
        ),
        ("postgres://localhost/fleet", "postgresql://localhost/fleet?sslmode=disable"),
        ("postgres://127.0.0.1/x?sslmode=require", "postgresql://127.0.0.1/x?sslmode=require"),
        ("postgresql:///fleet?host=/run/postgresql", "postgresql:///fleet?host=/run/postgresql"),
        ("postgresql://ada@/fleet?host=/tmp/a%20b", "postgresql://ada@/fleet?host=/tmp/a%20b"),
    ],
)
def test_a_database_is_named_in_every_usual_way(
    monkeypatch: pytest.MonkeyPatch, given: str, read: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", given)

    assert DatabaseSettings.load().database_url == read


class ShopSettings(ServiceSettings):
    """What a service writes: defaults of its own, and a setting of its own."""

    service_name: str = "shop-service"
    service_port: int = 8085
    currency: str = "EUR"


def test_a_service_has_defaults_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEBUG=True\n", encoding="utf-8")

    config = ShopSettings.load(tmp_path)

    assert (config.service_name, config.service_port) == ("shop-service", 8085)


@pytest.mark.parametrize("variable", ["SERVICE_PORT", "PORT"])
def test_the_environment_wins_over_the_defaults_of_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / ".env").write_text("DEBUG=True\n", encoding="utf-8")
    monkeypatch.setenv(variable, "9000")
    monkeypatch.setenv("SERVICE_NAME", "shop-two")

    config = ShopSettings.load(tmp_path)

    assert (config.service_name, config.service_port) == ("shop-two", 9000)


def test_a_port_out_of_range_is_refused_where_a_service_has_a_default_of_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("DEBUG=True\nSERVICE_PORT=70000\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"^SERVICE_PORT or PORT: .* from 1 to 65535"):
        ShopSettings.load(tmp_path)


def test_a_setting_of_the_services_own_is_read_from_its_name_in_capitals(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEBUG=True\nCURRENCY=CHF\n", encoding="utf-8")

    assert ShopSettings.load(tmp_path).currency == "CHF"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secrets, as a container has it at /run/secrets."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    return folder


def test_a_setting_may_be_a_file(secrets: Path) -> None:
    (secrets / "SECRET_KEY").write_text("of-the-file\n")
    (secrets / "DATABASE_PASSWORD").write_text("p@ss/w:rd#\n")
    (secrets / "DATABASE_URL").write_text("postgresql://user_service@db:5432/fleet")

    config = ServiceSettings.load()

    assert config.secret_key.get_secret_value() == "of-the-file"
    assert config.database_url == "postgresql://user_service:p%40ss%2Fw%3Ard%23@db:5432/fleet"
    assert "p@ss" not in repr(config)
    assert "p%40ss" not in repr(config)


def test_the_environment_and_the_dotenv_win_over_files(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "HOST").write_text("1.1.1.1")
    (secrets / "SERVICE_NAME").write_text("of-the-file")
    monkeypatch.setenv("HOST", "0.0.0.0")

    config = load(tmp_path, "DEBUG=True\nSERVICE_NAME=of-the-dotenv")

    assert (config.host, config.service_name) == ("0.0.0.0", "of-the-dotenv")


def test_a_password_in_the_address_wins(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "DATABASE_PASSWORD").write_text("of-the-file")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:own@db/fleet")

    assert DatabaseSettings.load().database_url == "postgresql://u:own@db/fleet"


def test_a_secret_that_cannot_be_used_is_named_and_not_shown(secrets: Path) -> None:
    (secrets / "SERVICE_PORT").write_text("hunter2")

    with pytest.raises(ConfigurationError) as refusal:
        ServiceSettings.load()

    assert "SERVICE_PORT" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_secret_that_cannot_be_read_is_named(secrets: Path) -> None:
    (secrets / "SECRET_KEY").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="secret_key"):
        ServiceSettings.load()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("SERVICE_PORT=abc", "SERVICE_PORT or PORT: write a whole number"),
        ("DB_POOL_SIZE=1.5", "DB_POOL_SIZE: write a whole number"),
        ("DB_ECHO=perhaps", "DB_ECHO: write True or False"),
        (
            "CORS_ORIGINS=https://u:s3cret@app.example.com",
            "CORS_ORIGINS: write each origin like https://app.example.com, and nothing after it",
        ),
        *(
            (
                f"FORWARDED_ALLOW_IPS={value}",
                "TRUSTED_PROXIES or FORWARDED_ALLOW_IPS: write addresses, networks such as 10.0.0.0/8, or *, "
                "comma-separated",
            )
            for value in ("10.0.0.0/33", "10.0.0.1/8", "proxy.example.com", "10.0.0.1,")
        ),
    ],
)
def test_a_value_is_refused_in_words_that_hold_no_piece_of_it(
    tmp_path: Path, line: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, f"DEBUG=True\n{line}")

    assert str(refusal.value).splitlines()[0] == words


@pytest.mark.parametrize("value", ["*", "10.0.0.0/8, ::1", "fd00::/8"])
def test_proxies_are_addresses_and_networks(tmp_path: Path, value: str) -> None:
    assert load(tmp_path, f"DEBUG=True\nFORWARDED_ALLOW_IPS={value}").trusted_proxies == value
