"""Templates that a workspace has taken over win, and reach every service by `apply`."""

import shutil
from pathlib import Path

import pytest

from tests.scaffold.commands import done, picture, refused, scaffold

README = "scaffold/templates/service/README.md.jinja"
ENTITY = "resource/domain/entities/_resource_.py"


@pytest.fixture(scope="session")
def ten_services(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with ten services, two of which keep something, that tests only read."""
    folder = shutil.copytree(fresh, tmp_path_factory.mktemp("templates") / "fleet")
    lines = [f"[s{number}-service]\nport = {8100 + number}\n" for number in range(8)]
    for name, port in (("apple", 8090), ("pear", 8091)):
        lines += [f"[{name}-service]\nport = {port}", f'[{name}-service.{name}]\nkind = "str(9)"\n']
    (folder / "fleet.toml").write_text("\n".join(lines))
    done(scaffold(folder, "apply"))
    return folder


@pytest.fixture
def fleet(ten_services: Path, tmp_path: Path) -> Path:
    """The ten services, a test's own."""
    return shutil.copytree(ten_services, tmp_path / "fleet")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.mark.slow
def test_an_edited_template_reaches_ten_services_and_their_edits_stay(fleet: Path) -> None:
    copied = done(scaffold(fleet, "templates", "copy", "service/README.md"))
    assert copied.startswith(f"✓ {README} is the workspace's.")
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"
    mine = fleet / "services/s3_service/README.md"
    mine.write_text(f"Mine.\n\n{mine.read_text()}")
    append(fleet / README, "\nAsk the owners of {{ service.name }} in the channel.\n")

    assert "10 changed" in done(scaffold(fleet, "apply"))

    texts = {path.parent.name: path.read_text() for path in fleet.glob("services/*/README.md")}
    services = {name: text for name, text in texts.items() if name.endswith("_service")}
    assert len(services) == 10
    for name, text in services.items():
        assert text.endswith(f"\nAsk the owners of {name.replace('_', '-')} in the channel.\n")
    assert services["s3_service"].startswith("Mine.\n")


@pytest.mark.slow
def test_a_template_of_a_resource_and_a_new_one_win_too(fleet: Path) -> None:
    done(scaffold(fleet, "templates", "copy", f"{ENTITY}.jinja"))
    append(
        fleet / f"scaffold/templates/{ENTITY}.jinja",
        "\n\nOWNER = {{ resource.singular|py }}\n",
    )
    new = fleet / "scaffold/templates/service/OWNERS.jinja"
    new.parent.mkdir()
    new.write_text("{{ service.title }}\n")

    done(scaffold(fleet, "apply"))

    pear = fleet / "services/pear_service"
    assert pear.joinpath("domain/entities/pear.py").read_text().endswith('OWNER = "pear"\n')
    assert len([*fleet.glob("services/*/OWNERS")]) == 10
    new.unlink()
    done(scaffold(fleet, "apply"))
    assert [*fleet.glob("services/*/OWNERS")] == []


def test_a_copy_is_undone(fleet: Path) -> None:
    before = picture(fleet)
    done(scaffold(fleet, "templates", "copy", ENTITY))

    done(scaffold(fleet, "undo"))

    (fleet / ".scaffold/undo.json").unlink(missing_ok=True)
    before.pop(".scaffold/undo.json", None)
    assert picture(fleet) == before


def test_the_list_says_which_are_the_workspaces_own(workspace: Path) -> None:
    done(scaffold(workspace, "templates", "copy", ENTITY))
    done(scaffold(workspace, "templates", "copy", "service/README.md"))
    append(workspace / README, "More.\n")

    lines = done(scaffold(workspace, "templates", "list")).splitlines()

    assert f"{ENTITY}  own, not edited" in lines
    assert "service/README.md  own" in lines
    assert "service/app.py" in lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ nothing }}", "service/README.md.jinja: 'nothing' is undefined. Nothing was written."),
        ("{% if %}", ", line 1: Expected an expression"),
    ],
)
def test_a_mistake_in_a_template_is_told_with_its_place(
    workspace: Path, text: str, problem: str
) -> None:
    done(scaffold(workspace, "templates", "copy", "service/README.md"))
    (workspace / README).write_text(text)
    before = picture(workspace)

    message = refused(scaffold(workspace, "mail-service", "8081", "--bare"))

    assert problem in message
    assert picture(workspace) == before


@pytest.mark.slow
def test_what_cannot_be_copied_is_refused(workspace: Path) -> None:
    copy = ("templates", "copy")

    near = refused(scaffold(workspace, *copy, "service/READMEE.md"), exit_code=2)
    done(scaffold(workspace, *copy, "service/README.md"))

    assert "(did you mean 'service/README.md'?)" in near
    assert "is there already" in refused(scaffold(workspace, *copy, "service/README.md"))
    repository = Path(__file__).parents[2]
    assert "its templates are in" in refused(scaffold(repository, *copy, ENTITY), exit_code=2)


@pytest.mark.slow
def test_a_renamed_template_carries_edits_to_the_new_name(fleet: Path) -> None:
    own = fleet / "scaffold/templates/service/owners.py.jinja"
    own.parent.mkdir(parents=True)
    lines = [f'NAME_{number} = "{{{{ service.name }}}}"' for number in range(20)]
    own.write_text("\n".join(lines) + "\n")
    done(scaffold(fleet, "apply"))
    edited, deleted = (fleet / f"services/s{number}_service/owners.py" for number in (3, 4))
    append(edited, "MINE = 1\n")
    deleted.unlink()
    own.write_text("\n".join(["FIRST = 0", *lines]) + "\n")
    own.rename(own.with_name("keepers.py.jinja"))

    completed = scaffold(fleet, "apply")

    done(completed)
    assert [*fleet.glob("services/*/owners.py")] == []
    texts = {path.parent.name: path.read_text() for path in fleet.glob("services/*/keepers.py")}
    assert len(texts) == 9
    assert "s4_service" not in texts
    assert "services/s4_service/keepers.py" in completed.stderr
    for name, text in texts.items():
        assert text.startswith('FIRST = 0\nNAME_0 = "')
        assert text.endswith("MINE = 1\n") == (name == "s3_service")
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"
    done(scaffold(fleet, "undo"))
    assert edited.read_text().endswith("MINE = 1\n")
