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


@pytest.mark.parametrize("line", ["=value", "SERVICE_PORT 8081", "DEBUG: True", "'"])
def test_a_bad_line_of_the_dotenv_is_shown_with_its_place(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, f"DEBUG=True\n{line}\n")

    assert refusal.value.message.startswith(f"{tmp_path / '.env'}, line 2: ")


def test_a_name_that_nobody_asks_for_is_pointed_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(tmp_path, "DEBUG=True\nPORT=9000\nSERVICE_PROT=8081\n")

    assert config.service_port == 9000
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / '.env'}, line 3: SERVICE_PROT is no setting of this service"
    ]


def test_a_dotenv_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\n")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        ServiceSettings.load(tmp_path)


@pytest.mark.parametrize("secret", [None, SAMPLE_SECRET_KEY, "", " "])
def test_a_service_refuses_to_run_on_the_sample_secret(tmp_path: Path, secret: str | None) -> None:
    line = "" if secret is None else f"SECRET_KEY='{secret}'"

    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        load(tmp_path, f"DEBUG=False\n{line}\n")


@pytest.mark.parametrize("mode", ["DEBUG=True", "TESTING=True", "SECRET_KEY=of-my-own"])
def test_development_tests_and_a_secret_of_ones_own_are_fine(tmp_path: Path, mode: str) -> None:
    assert load(tmp_path, mode).service_name == "service"


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


def test_a_setting_of_the_services_own_is_asked_for_by_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class ShopConfig(ServiceSettings):
        currency: str

    (tmp_path / ".env").write_text("DEBUG=True\ncurrency=EUR\n", encoding="utf-8")

    assert ShopConfig.load(tmp_path).currency == "EUR"
    assert caplog.records == []
