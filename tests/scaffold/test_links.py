"""Links that lead out of a workspace: nothing is written through them, and each is named in a line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scaffold.commands import done, is_secret, scaffold


def move_out(workspace: Path, path: str, outside: Path) -> None:
    """Move a file or folder out, and leave a link to it."""
    target = outside / Path(path).name
    shutil.move(workspace / path, target)
    (workspace / path).symlink_to(target)


def link_file(workspace: Path, outside: Path) -> str:
    move_out(workspace, "services/user_service/README.md", outside)
    return "services/user_service/README.md is a link that leads out of the workspace: remove it."


def link_service(workspace: Path, outside: Path) -> str:
    move_out(workspace, "services/user_service", outside)
    return "services/user_service is a link that leads out of the workspace: remove it."


def link_layer(workspace: Path, outside: Path) -> str:
    move_out(workspace, "services/user_service/domain", outside)
    return "services/user_service/domain is a link that leads out of the workspace: remove it."


def link_baseline(workspace: Path, outside: Path) -> str:
    move_out(workspace, ".scaffold", outside)
    return ".scaffold is a link that leads out of the workspace: remove it."


def link_services(workspace: Path, outside: Path) -> str:
    move_out(workspace, "services", outside)
    return "services is a link that leads out of the workspace: remove it."


def link_versions(workspace: Path, outside: Path) -> str:
    move_out(workspace, "db_manager/migrations/versions", outside)
    return "versions is a link that leads out of the workspace: remove it."


def link_description(workspace: Path, outside: Path) -> str:
    move_out(workspace, "fleet.toml", outside)
    return "fleet.toml is a link that leads out of the workspace: remove it."


def link_nowhere(workspace: Path, outside: Path) -> str:
    shutil.rmtree(workspace / "services/user_service/domain")
    (workspace / "services/user_service/domain").symlink_to("gone")
    return "services/user_service/domain is a link that leads nowhere: remove it."


def link_nowhere_outside(workspace: Path, outside: Path) -> str:
    (workspace / "services/mail_service").symlink_to(outside / "gone")
    return "services/mail_service is a link that leads out of the workspace: remove it."


LINKS = [
    *(link_file, link_service, link_layer, link_baseline, link_services, link_versions),
    *(link_description, link_nowhere, link_nowhere_outside),
]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.slow
def test_nothing_is_written_through_a_link(
    with_user_service: Path, tmp_path: Path, link: Callable[[Path, Path], str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    told = link(with_user_service, outside)
    before, there = held(with_user_service), held(outside)
    refusals = 0

    for command in (
        ("apply", "--restore"),
        ("mail-service", "8082", "subject:str"),
        ("resource", "user-service", "card", "number:str"),
        ("remove", "user-service", "--yes"),
    ):
        completed = scaffold(with_user_service, *command)
        assert "Traceback" not in completed.stderr
        assert held(outside) == there, command
        if completed.returncode:
            assert told in completed.stderr.replace(f"{with_user_service}/", "")
            assert completed.stderr.count("\n") == 1
            assert held(with_user_service) == before
        elif "Nothing to write" not in completed.stdout:
            done(scaffold(with_user_service, "undo", "--yes"))
        refusals += completed.returncode
    assert refusals


def held(folder: Path) -> dict[Path, bytes | None]:
    """Return all that is in a folder, but for secrets; links as what they lead to."""
    return {
        path: path.read_bytes() if path.is_file() and not is_secret(path) else None
        for path in folder.rglob("*")
        if path.name != "undo.json"
    }


@pytest.mark.slow
def test_a_link_within_the_workspace_is_followed(with_user_service: Path) -> None:
    service = with_user_service / "services/user_service"
    (service / "domain").rename(service / "core")
    (service / "domain").symlink_to("core")

    done(scaffold(with_user_service, "resource", "user-service", "card", "number:str"))

    assert (service / "core/entities/card.py").is_file()
    assert (service / "domain").is_symlink()


@pytest.mark.slow
def test_a_workspace_may_be_a_link_itself(with_user_service: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(with_user_service)

    done(scaffold(tmp_path / "other", "mail-service", "8082", "subject:str"))

    assert (with_user_service / "services/mail_service/app.py").is_file()
