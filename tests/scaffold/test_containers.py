"""What a new service does to the compose files and to the secrets, and what it leaves there."""

import re
import shutil
from pathlib import Path

import pytest

from tests.scaffold.commands import REPOSITORY, done, picture, refused, scaffold

LIST = "services/compose.yaml"
NAMED = ("compose.yaml", "db_manager/compose.yaml", LIST)
"""The workspace's own compose files, which name its project."""


def entries(workspace: Path) -> list[str]:
    """Return the lines of the list that include a service."""
    lines = (workspace / LIST).read_text().splitlines()
    return [line.removeprefix("  - ") for line in lines if line.startswith("  - ")]


def without_secret(settings: str) -> list[str]:
    """Return the lines of a .env, but for its random SECRET_KEY."""
    return [line for line in settings.splitlines() if not line.startswith("SECRET_KEY=")]


def test_git_is_told_of_the_list_here_and_in_a_workspace(fresh: Path) -> None:
    attributes = (fresh / ".gitattributes").read_text()

    assert attributes == (REPOSITORY / ".gitattributes").read_text()
    assert f"/{LIST} merge=union\n" in attributes


@pytest.mark.slow
def test_a_service_is_one_line_of_a_sorted_list(workspace: Path) -> None:
    before = picture(workspace)
    lines = (workspace / LIST).read_text()

    for name, port in (("order-item", "8081"), ("user-service", "8082"), ("address", "8083")):
        done(scaffold(workspace, name, port))

    services = ("address", "order_item", "user_service")
    added = [f"  - {package}/compose.yaml\n" for package in services]
    assert (workspace / LIST).read_text() == lines + "".join(added)
    assert picture(workspace)["compose.yaml"] == before["compose.yaml"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("include: []\n", "include:\n  - ping/compose.yaml\n"),
        ("include: # mine\r\n", "include: # mine\r\n  - ping/compose.yaml\r\n"),
        ("\ufeffinclude: []\n", "\ufeffinclude:\n  - ping/compose.yaml\n"),
        (
            "include:\n    # ümlaut\n    - a/compose.yaml # mine\n    - ../redis.yaml",
            "include:\n    # ümlaut\n    - a/compose.yaml # mine\n    - ../redis.yaml\n"
            "    - ping/compose.yaml\n",
        ),
        (
            "include:\n  - path: z/compose.yaml\n\nservices:\n  redis:\n    image: redis:8\n",
            "include:\n  - ping/compose.yaml\n  - path: z/compose.yaml\n\n"
            "services:\n  redis:\n    image: redis:8\n",
        ),
        (
            "include:\n  - a/compose.yaml\n\nservices:\n  z:\n    ports:\n      - 1:1\n",
            "include:\n  - a/compose.yaml\n  - ping/compose.yaml\n\n"
            "services:\n  z:\n    ports:\n      - 1:1\n",
        ),
    ],
)
@pytest.mark.slow
def test_what_the_owner_wrote_in_the_list_stays(workspace: Path, before: str, after: str) -> None:
    (workspace / LIST).write_bytes(before.encode())

    done(scaffold(workspace, "ping", "8081", "--bare"))

    assert (workspace / LIST).read_bytes().decode() == after


@pytest.mark.parametrize(
    "entry",
    [
        "include:\n  - path: services/user_service/compose.yaml # mine\n",
        "include:\n  - path:\n      - services/user_service/compose.yaml\n",
        "services:\n  user-service:\n    extends:\n"
        "      file: services/user_service/compose.yaml\n      service: user-service\n",
        "services:\n  user-service:\n"
        "    extends: {file: services/user_service/compose.yaml, service: user-service}\n",
    ],
)
def test_a_service_that_the_owner_includes_elsewhere_is_not_listed_again(
    with_user_service: Path, entry: str
) -> None:
    (with_user_service / LIST).write_text("include:\n")
    own = (with_user_service / "compose.yaml").read_text()
    mine = entry if entry.startswith("services") else own.replace("include:\n", entry)
    (with_user_service / "compose.yaml").write_text(f"{own}{mine}" if mine is entry else mine)
    before = picture(with_user_service)

    done(scaffold(with_user_service, "apply"))

    assert picture(with_user_service) == before


@pytest.mark.slow
def test_a_list_that_nothing_includes_stays_as_it_is(workspace: Path) -> None:
    (workspace / "compose.yaml").write_text("name: fleet\n")
    before = (workspace / LIST).read_text()

    completed = scaffold(workspace, "user-service", "8081")

    done(completed)
    assert (workspace / LIST).read_text() == before
    assert "compose.yaml includes no list of services" in completed.stderr


@pytest.mark.parametrize("text", [None, "# mine\nname: fleet\n"])
@pytest.mark.slow
def test_without_a_list_nothing_is_listed_and_the_user_is_told(
    workspace: Path, text: str | None
) -> None:
    (workspace / LIST).unlink()
    if text is not None:
        (workspace / LIST).write_text(text)

    completed = scaffold(workspace, "user-service", "8081")

    done(completed)
    assert (workspace / LIST).exists() == (text is not None)
    assert text is None or (workspace / LIST).read_text() == text
    assert "with include: [services/user_service/compose.yaml]" in completed.stderr


@pytest.mark.slow
def test_a_workspace_without_compose_gets_none(workspace: Path) -> None:
    (workspace / "compose.yaml").unlink()
    (workspace / LIST).unlink()

    completed = scaffold(workspace, "user-service", "8081")

    done(completed)
    assert not (workspace / "compose.yaml").exists()
    assert not (workspace / LIST).exists()
    assert completed.stderr == ""


@pytest.mark.slow
def test_a_service_takes_the_project_that_the_workspace_names(workspace: Path) -> None:
    text = (workspace / "compose.yaml").read_text()
    renamed = text.replace('name: "fleet"', "name: shop_2 # mine")
    (workspace / "compose.yaml").write_text(renamed)

    done(scaffold(workspace, "user-service", "8081"))

    own = (workspace / "services/user_service/compose.yaml").read_text()
    assert '\nname: "shop_2" #' in own


@pytest.mark.slow
def test_a_dry_run_and_a_diff_tell_of_the_entry(workspace: Path) -> None:
    before = picture(workspace)

    listed = done(scaffold(workspace, "user-service", "8081", "--dry-run"))
    diff = done(scaffold(workspace, "user-service", "8081", "--diff"))

    assert f"change     {LIST}\n" in listed
    assert "+  - user_service/compose.yaml\n" in diff
    assert "create     .secrets/roles/user_service\n" in listed
    assert "+++ b/.secrets" not in diff
    assert re.findall("^\\+SECRET_KEY=(.*)", diff, re.MULTILINE) == ["change-me"]
    assert picture(workspace) == before


@pytest.mark.slow
def test_a_container_of_another_kind_keeps_its_name(workspace: Path) -> None:
    own = (workspace / "compose.yaml").read_text()
    mine = 'include:\n  - "more/redis.yaml" # mine\n'
    (workspace / "compose.yaml").write_text(own.replace("include:\n", mine))
    (workspace / "more").mkdir()
    (workspace / "more/redis.yaml").write_text("services:\n    redis:\n        image: redis:8\n")
    before = picture(workspace)

    for name in ("postgres", "migrate", "migrated", "redis"):
        message = refused(scaffold(workspace, name, "8081", "--bare"))
        assert f"has a {name!r} of another kind" in message
        assert f"{name}-service" in message
    assert picture(workspace) == before
    done(scaffold(workspace, "image", "8081", "--bare"))


def secrets_of(workspace: Path) -> dict[str, str]:
    """Return the secrets of the containers, by their path below .secrets/."""
    folder = workspace / ".secrets"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.slow
def test_a_service_adds_secrets_of_its_own(workspace: Path) -> None:
    done(scaffold(workspace, "user-service", "8081"))
    first = secrets_of(workspace)

    done(scaffold(workspace, "OrderItem", "8082"))

    second = secrets_of(workspace)
    assert first.keys() == {
        *("postgres_password", "owner_password", "roles/.keep"),
        *("roles/user_service", "keys/user_service"),
    }
    assert second.keys() == first.keys() | {"roles/order_item", "keys/order_item"}
    assert first.items() <= second.items()


def test_every_secret_is_another(with_user_service: Path) -> None:
    secrets = secrets_of(with_user_service)

    assert secrets.pop("roles/.keep") == ""
    assert len(set(secrets.values())) == len(secrets)
    assert all(len(secret) >= 32 and secret.isprintable() for secret in secrets.values())


def test_a_container_reads_its_secret_and_no_other_user_of_the_machine_does(
    with_user_service: Path,
) -> None:
    """A container's user has another number; what it is given is mounted past the folder."""
    folder = with_user_service / ".secrets"
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}

    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "roles").stat().st_mode & 0o777 == 0o755
    assert modes == {0o444}


def test_a_fresh_clone_gets_secrets_of_its_own(with_user_service: Path) -> None:
    service = with_user_service / "services/user_service"
    settings, secrets = (service / ".env").read_text(), secrets_of(with_user_service)
    shutil.rmtree(with_user_service / ".secrets")
    (service / ".env").unlink()

    listed = done(scaffold(with_user_service, "env"))

    files = [*(f".secrets/{path}" for path in sorted(secrets)), "services/user_service/.env"]
    assert listed == "".join(f"create     {path}\n" for path in files)
    again = (service / ".env").read_text()
    assert again != settings
    assert without_secret(again) == without_secret(settings)
    assert (service / ".env").stat().st_mode & 0o777 == 0o600
    assert {
        path for path, new in secrets_of(with_user_service).items() if new == secrets[path]
    } == {"roles/.keep"}


def test_a_container_reads_its_script_in_a_clone_that_is_the_owners_alone(workspace: Path) -> None:
    """As git clones with the umask 077: PostgreSQL's container would fill its volume by half."""
    script = workspace / "db_manager/owner.sql"
    script.write_text("CREATE ROLE fleet LOGIN;")
    script.chmod(0o600)

    done(scaffold(workspace, "env"))

    assert script.stat().st_mode & 0o777 == 0o644


def test_secrets_that_are_there_stay(with_user_service: Path) -> None:
    before = secrets_of(with_user_service)
    (with_user_service / ".secrets/keys/user_service").unlink()

    done(scaffold(with_user_service, "env"))
    done(scaffold(with_user_service, "env"))

    after = secrets_of(with_user_service)
    assert after.keys() == before.keys()
    assert {path for path in before if after[path] != before[path]} == {"keys/user_service"}


@pytest.mark.parametrize(
    "name", ["fleet", "public", "none", "pg_stats", "postgres-app", "streaming-replica"]
)
def test_no_service_logs_in_as_a_role_of_the_database_itself(workspace: Path, name: str) -> None:
    message = refused(scaffold(workspace, name, "8081", "--bare"))

    assert f"{name.replace('-', '_')!r} is another role there" in message


@pytest.mark.slow
def test_a_service_is_built_on_what_the_database_manager_is(workspace: Path) -> None:
    base = "registry.example.com/python:3.14@sha256:" + "0" * 64
    dockerfile = workspace / "db_manager/Dockerfile"
    dockerfile.write_text(f"ARG X\nFROM $X AS other\nFROM --platform=linux/arm64 {base} AS base\n")

    done(scaffold(workspace, "user-service", "8081"))

    own = (workspace / "services/user_service/Dockerfile").read_text()
    assert f"\nFROM {base} AS base\n" in own
