"""What a new service does to compose.yaml and to .env, and what it leaves there."""

import re
from pathlib import Path

from scaffold.project import Project
from scaffold.render import render
from tests.scaffold.commands import REPOSITORY, done, picture, refused, scaffold

ENTRY = """\
  {name}:
    extends:
      file: services/{package}/compose.yaml
      service: {name}
    depends_on:
      migrate:
        condition: service_completed_successfully

"""
MARKER = "  # python -m scaffold adds new services above this line.\n"


def entry(name: str) -> str:
    """Return what compose.yaml gains for a service."""
    return ENTRY.format(name=name, package=name.replace("-", "_"))


def without_entries(text: str) -> str:
    """Return the file without services, which somebody may have tried out in a clone."""
    shape = re.escape(ENTRY).replace(r"\{name\}", r"[\w-]+").replace(r"\{package\}", r"\w+")
    return re.sub(shape, "", text)


def compose(workspace: Path) -> str:
    """Read the workspace's file."""
    return (workspace / "compose.yaml").read_text()


def test_the_repositorys_file_is_what_init_makes(fresh: Path) -> None:
    name = Project.read(REPOSITORY).name

    made = render("workspace/compose.yaml.jinja", {"name": name})
    assert made == without_entries(compose(REPOSITORY))
    assert compose(fresh) == made.replace(name, "fleet")


def test_entries_are_told_from_the_rest(furnished: Path, fresh: Path) -> None:
    assert without_entries(compose(furnished)) == compose(fresh) != compose(furnished)


def test_services_are_added_one_after_the_other(workspace: Path) -> None:
    before = compose(workspace)

    done(scaffold(workspace, "user-service", "8081"))
    done(scaffold(workspace, "order-item", "8082"))

    added = entry("user-service") + entry("order-item") + MARKER
    assert compose(workspace) == before.replace(MARKER, added)


def test_what_somebody_wrote_stays(workspace: Path) -> None:
    mine = "# mine\r\n  redis:\n    image: redis:8 # ümlaut\n"
    (workspace / "compose.yaml").write_bytes(
        (compose(workspace).replace(MARKER, mine + MARKER)).encode()
    )

    done(scaffold(workspace, "user-service", "8081"))

    text = (workspace / "compose.yaml").read_bytes().decode()
    assert mine + entry("user-service") + MARKER in text


def test_an_entry_that_was_changed_stays_even_by_force(with_user_service: Path) -> None:
    text = compose(with_user_service).replace("condition: service_completed", "condition: mine")
    (with_user_service / "compose.yaml").write_text(text)

    done(scaffold(with_user_service, "user-service", "8081", "--force"))

    assert compose(with_user_service) == text


def test_without_the_marked_line_the_file_stays_and_the_user_is_told(workspace: Path) -> None:
    text = compose(workspace).replace(MARKER, "")
    (workspace / "compose.yaml").write_text(text)

    completed = scaffold(workspace, "user-service", "8081")

    done(completed)
    assert compose(workspace) == text
    assert "extends: {file: services/user_service/compose.yaml" in completed.stderr


def test_a_workspace_without_compose_gets_none(workspace: Path) -> None:
    (workspace / "compose.yaml").unlink()

    completed = scaffold(workspace, "user-service", "8081")

    done(completed)
    assert not (workspace / "compose.yaml").exists()
    assert completed.stderr == ""


def test_a_service_takes_the_project_that_the_workspace_names(workspace: Path) -> None:
    text = compose(workspace).replace("name: fleet", 'name: "shop_2" # mine')
    (workspace / "compose.yaml").write_text(text)

    done(scaffold(workspace, "user-service", "8081"))

    own = (workspace / "services/user_service/compose.yaml").read_text()
    assert "\nname: shop_2 #" in own


def test_a_dry_run_and_a_diff_tell_of_the_entry(workspace: Path) -> None:
    before = picture(workspace)

    listed = done(scaffold(workspace, "user-service", "8081", "--dry-run"))
    diff = done(scaffold(workspace, "user-service", "8081", "--diff"))

    assert "change     compose.yaml\n" in listed
    assert "+      file: services/user_service/compose.yaml\n" in diff
    assert picture(workspace) == before


def test_a_container_of_another_kind_keeps_its_name(workspace: Path) -> None:
    before = picture(workspace)

    for name in ("postgres", "migrate", "migrated"):
        message = refused(scaffold(workspace, name, "8081", "--bare"))
        assert f"has a {name!r} of another kind" in message
        assert f"{name}-service" in message
    assert picture(workspace) == before


def test_secrets_are_made_once(workspace: Path) -> None:
    done(scaffold(workspace, "user-service", "8081"))
    first = (workspace / ".env").read_text()

    done(scaffold(workspace, "order-service", "8082"))
    listed = done(scaffold(workspace, "env"))

    assert (workspace / ".env").read_text() == first
    assert listed == "keep       .env\n"


def test_a_fresh_clone_gets_secrets_of_its_own(with_user_service: Path) -> None:
    (with_user_service / ".env").unlink()

    listed = done(scaffold(with_user_service, "env"))

    assert listed == "create     .env\n"
    lines = dict(
        line.split("=", 1)
        for line in (with_user_service / ".env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert lines.keys() == {"SECRET_KEY", "POSTGRES_PASSWORD", "PGPASSWORD"}
    assert lines["POSTGRES_PASSWORD"] == lines["PGPASSWORD"] != lines["SECRET_KEY"]
    assert all(len(value) >= 32 for value in lines.values())
