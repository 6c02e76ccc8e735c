"""What a workspace cannot take, and the messages that say so."""

import sys
from pathlib import Path

import pytest

from tests.scaffold.commands import REPOSITORY, done, picture, refused, run, scaffold


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("json", "a module of Python"),
        ("sys", "a module of Python"),
        ("calendar", "a module of Python"),
        ("quart", "an installed package"),
        ("shared", "a part of the workspace"),
        ("tests", "a part of the workspace"),
        ("db-manager", "a part of the workspace"),
        ("app", "a part of every service"),
        ("domain", "a part of every service"),
        ("tools", "the folder tools/ of the workspace"),
    ],
)
def test_a_name_that_imports_something_else_is_refused(
    workspace: Path, name: str, meaning: str
) -> None:
    (workspace / "tools").mkdir()

    message = refused(scaffold(workspace, name, "8081", "--bare"))

    assert meaning in message


@pytest.mark.slow
def test_a_service_of_another_workspace_takes_no_name(workspace: Path, furnished: Path) -> None:
    path = f"PYTHONPATH={REPOSITORY}:{furnished}:{furnished / 'services'}"

    done(run(workspace, "env", path, sys.executable, "-m", "scaffold", "user-service", "8081"))


@pytest.mark.parametrize("spelling", ["a_b", "A-b", "aB", "a--b"])
@pytest.mark.slow
def test_another_spelling_of_a_service_is_refused(workspace: Path, spelling: str) -> None:
    done(scaffold(workspace, "a-b", "8081", "--bare"))
    before = picture(workspace)

    message = refused(scaffold(workspace, spelling, "8082", "--bare"))

    assert "fleet.toml describes a-b already" in message
    assert picture(workspace) == before


@pytest.mark.parametrize("settings", ["settings.py", ".env", ".env.example"])
def test_the_owner_of_a_port_is_named(with_user_service: Path, settings: str) -> None:
    """Services of 0.1.0 have their name and port in .env and its example."""
    folder = with_user_service / "services/user_service"
    if settings != "settings.py":
        (folder / "settings.py").unlink()
        (folder / settings).write_text("SERVICE_NAME=user-service\nSERVICE_PORT=8081\n")
    before = picture(with_user_service)

    message = refused(scaffold(with_user_service, "product-service", "8081"))

    assert "Port 8081 belongs to the service 'user-service' (services/user_service)." in message
    assert "such as 8082" in message
    assert picture(with_user_service) == before


@pytest.mark.slow
def test_the_port_that_counts_is_the_tracked_one(with_user_service: Path) -> None:
    folder = with_user_service / "services/user_service"
    (folder / ".env").write_text("SERVICE_PORT=9000\n")

    done(scaffold(with_user_service, "product-service", "9000"))
    message = refused(scaffold(with_user_service, "order-service", "8081"))

    assert "'user-service'" in message


@pytest.mark.slow
def test_a_port_in_env_is_read_in_every_spelling(workspace: Path) -> None:
    folder = workspace / "services/user_service"
    folder.mkdir()
    (folder / "app.py").touch()
    (folder / ".env").write_text(
        "# a comment\nexport SERVICE_PORT='9000'\nSERVICE_NAME=user-service\nbroken\n"
    )

    done(scaffold(workspace, "product-service", "8081"))
    message = refused(scaffold(workspace, "order-service", "9000"))

    assert "'user-service'" in message


@pytest.mark.parametrize("name", ["product", "products-service", "Product"])
@pytest.mark.slow
def test_what_another_service_keeps_is_refused(workspace: Path, name: str) -> None:
    done(scaffold(workspace, "product-service", "8081"))
    before = picture(workspace)

    message = refused(scaffold(workspace, name, "8082"))

    assert "would keep products, which the service 'product-service' already does" in message
    assert picture(workspace) == before
    done(scaffold(workspace, name, "8082", "--bare"))


@pytest.mark.slow
def test_a_resource_of_another_service_is_refused(workspace: Path) -> None:
    done(scaffold(workspace, "member-service", "8081"))
    done(scaffold(workspace, "lending-service", "8082"))

    message = refused(scaffold(workspace, "resource", "lending-service", "member", "--dry-run"))

    assert "'lending-service' would keep members, which the service 'member-service'" in message


@pytest.mark.slow
def test_a_table_of_another_model_is_refused(workspace: Path) -> None:
    done(scaffold(workspace, "new-service", "8081"))

    message = refused(scaffold(workspace, "news-service", "8082"))

    assert "The table 'news'" in message


def test_the_base_of_models_is_no_resource(workspace: Path) -> None:
    before = picture(workspace)

    message = refused(scaffold(workspace, "base-service", "8081"), exit_code=2)

    assert "shared/models/base.py is the base of every model" in message
    assert picture(workspace) == before


@pytest.mark.slow
def test_a_file_in_the_place_of_a_folder_is_named(workspace: Path) -> None:
    (workspace / "services/user_service").touch()
    before = picture(workspace)

    message = refused(scaffold(workspace, "user-service", "8081"))

    assert "services/user_service is a file where a folder is needed" in message
    assert picture(workspace) == before


@pytest.mark.slow
def test_revisions_with_two_heads_are_told(workspace: Path) -> None:
    versions = workspace / "db_manager/migrations/versions"
    for name in ("aaaa", "bbbb"):
        (versions / f"{name}.py").write_text(
            f'revision: str = "{name}"\ndown_revision: str | None = "3ef43f3fe70a"\n'
        )

    assert "has 2 heads (aaaa, bbbb)" in refused(scaffold(workspace, "order-service", "8081"))
    (versions / "cccc.py").write_text('revision = "cccc"\ndown_revision = ("aaaa", "bbbb")\n')
    done(scaffold(workspace, "order-service", "8081"))


def test_a_revision_that_is_no_python_is_named(workspace: Path) -> None:
    (workspace / "db_manager/migrations/versions/broken.py").write_text("def (")

    assert "broken.py" in refused(scaffold(workspace, "order-service", "8081"))


def test_a_model_that_is_not_generated_is_not_passed_over(workspace: Path) -> None:
    (workspace / "shared/models/user.py").unlink()
    before = picture(workspace)

    message = refused(scaffold(workspace, "user-service", "8081"))

    assert "built on shared/models/user.py, which came with the workspace" in message
    assert picture(workspace) == before
