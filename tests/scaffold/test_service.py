"""`python -m scaffold NAME PORT`: what it writes, and what it leaves alone."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from scaffold.generation.fields import Resource
from scaffold.generation.presets import preset_of
from scaffold.generation.render import format_python
from scaffold.names import ServiceName
from scaffold.revisions.writing import write_revision
from tests.scaffold.commands import REPOSITORY, done, picture, refused, run, scaffold

VERSIONS = PurePosixPath("db_manager/migrations/versions")


@pytest.mark.slow
def test_a_service_is_a_folder_with_its_settings(workspace: Path) -> None:
    output = done(scaffold(workspace, "user-service", "8081"))

    folder = workspace / "services/user_service"
    assert (folder / "domain/entities/user.py").is_file()
    settings = (folder / "settings.py").read_text()
    assert '    service_name: str = "user-service"\n    service_port: int = 8081\n' in settings
    assert "http://localhost:8081/api/v1/users" in output


@pytest.mark.slow
def test_settings_begin_as_their_example_with_a_secret_of_their_own(workspace: Path) -> None:
    done(scaffold(workspace, "user-service", "8081"))

    folder = workspace / "services/user_service"
    example = (folder / ".env.example").read_text()
    made = (folder / ".env").read_text()
    [secret] = re.findall(r"^SECRET_KEY=(.{32,})$", made, re.MULTILINE)
    assert made == example.replace("SECRET_KEY=change-me", f"SECRET_KEY={secret}")
    assert "DEBUG=True\n" in made
    assert "python -m db_manager reads the environment only." in example


@pytest.mark.slow
def test_the_word_service_may_be_written(workspace: Path, tmp_path: Path) -> None:
    other = shutil.copytree(workspace, tmp_path / "other")

    short = done(scaffold(workspace, "user-service", "8081"))
    long = done(scaffold(other, "service", "user-service", "8081"))

    assert short == long
    assert picture(workspace) == picture(other)


@pytest.mark.slow
def test_options_may_come_first(workspace: Path) -> None:
    done(scaffold(workspace, "--bare", "ping", "8081"))

    assert (workspace / "services/ping/app.py").is_file()


@pytest.mark.slow
def test_generating_twice_gives_the_same_bytes(workspace: Path, tmp_path: Path) -> None:
    other = shutil.copytree(workspace, tmp_path / "elsewhere" / "fleet")

    for root in (workspace, other):
        for name, port in (("user-service", "8081"), ("order-item", "8082"), ("news", "8083")):
            done(scaffold(root, name, port))

    assert picture(workspace) == picture(other)


@pytest.mark.slow
def test_a_user_service_takes_the_model_that_ships(workspace: Path) -> None:
    before = picture(workspace / "shared") | picture(workspace / "db_manager")

    done(scaffold(workspace, "user-service", "8081"))

    assert picture(workspace / "shared") | picture(workspace / "db_manager") == before


@pytest.mark.slow
def test_revisions_follow_each_other(workspace: Path) -> None:
    done(scaffold(workspace, "product-service", "8081"))
    done(scaffold(workspace, "order-service", "8082"))

    versions = workspace / "db_manager/migrations/versions"
    [products] = versions.glob("*_create_products.py")
    [orders] = versions.glob("*_create_orders.py")
    assert 'down_revision = "3ef43f3fe70a"' in products.read_text()
    assert f'down_revision = "{products.name[:12]}"' in orders.read_text()


@pytest.mark.slow
def test_a_bare_service_keeps_nothing(workspace: Path) -> None:
    before = picture(workspace / "shared") | picture(workspace / "db_manager")

    output = done(scaffold(workspace, "product-service", "8081", "--bare"))

    assert picture(workspace / "shared") | picture(workspace / "db_manager") == before
    assert not list((workspace / "services/product_service/domain/entities").glob("product*"))
    assert "products" not in output


@pytest.mark.slow
def test_a_command_reads_every_file_of_the_workspace_once(with_user_service: Path) -> None:
    code = (
        "import collections, os, sys\n"
        "opened = collections.Counter()\n"
        "root = os.getcwd() + os.sep\n"
        "def count(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).startswith(root):\n"
        "        opened[str(arguments[0]).removeprefix(root)] += 1\n"
        "sys.addaudithook(count)\n"
        "from scaffold.cli import main\n"
        "main(['order-service', '8082', '--dry-run'], standalone_mode=False)\n"
        "import json; print(json.dumps(opened))"
    )

    *_, printed = done(run(with_user_service, sys.executable, "-c", code)).splitlines()

    opened = json.loads(printed)
    del opened["pyproject.toml"]  # tells the workspace from the folders above and below it
    # What is compared and written.
    del opened["fleet.toml"], opened["services/compose.yaml"]
    del opened[".scaffold/generated/fingerprint"]
    # Read for its port, and as a part of what a document is made of.
    del opened["services/user_service/settings.py"]
    assert set(opened.values()) == {1}
    assert {
        *("compose.yaml", "db_manager/compose.yaml"),
        *("services/user_service/.env", "services/user_service/.env.example"),
        *("shared/models/user.py", f"{VERSIONS}/3ef43f3fe70a_create_users.py"),
    } <= opened.keys()


@pytest.mark.slow
def test_next_commands_begin_where_the_user_is(workspace: Path) -> None:
    above = done(scaffold(workspace, "ping", "8081", "--bare"))
    below = done(scaffold(workspace / "services", "pong", "8082", "--bare"))

    assert "cd .." not in above
    assert "  cd ..\n  python -m db_manager migrate\n  cd services/pong\n" in below


def test_an_existing_service_is_left_alone(with_user_service: Path) -> None:
    (with_user_service / "services/user_service/app.py").write_text("mine")
    before = picture(with_user_service)

    message = refused(scaffold(with_user_service, "user-service", "8081"))

    assert "fleet.toml describes user-service already" in message
    assert "python -m scaffold apply" in message
    assert picture(with_user_service) == before


@pytest.mark.slow
def test_a_dry_run_lists_and_writes_nothing(workspace: Path) -> None:
    before = picture(workspace)

    output = done(scaffold(workspace, "product-service", "8081", "--dry-run"))

    lines = output.splitlines()
    assert "create     services/product_service/app.py" in lines
    assert "create     shared/models/product.py" in lines
    assert picture(workspace) == before


@pytest.mark.slow
def test_a_program_reads_the_result(workspace: Path) -> None:
    result = json.loads(done(scaffold(workspace, "order-item-service", "8081", "--json")))

    assert result["service"] == {
        "name": "order-item-service",
        "package": "order_item_service",
        "port": 8081,
        "path": "services/order_item_service",
    }
    assert result["resources"] == [{"name": "order_item", "path": "order-items"}]
    assert result["urls"][-1] == "http://localhost:8081/api/v1/order-items"
    assert all((workspace / path).is_file() for path in result["created"])


@pytest.mark.slow
def test_a_model_of_ones_own_is_not_overwritten(workspace: Path) -> None:
    (workspace / "shared/models/product.py").write_text("mine")
    before = picture(workspace)

    message = refused(scaffold(workspace, "product-service", "8081"))

    assert "shared/models/product.py exists" in message
    assert picture(workspace) == before


@pytest.mark.slow
def test_a_table_that_a_revision_already_creates_gets_no_second_one(workspace: Path) -> None:
    versions = workspace / "db_manager/migrations/versions"
    (versions / "0001_mine.py").write_text(
        'revision = "0001"\ndown_revision = "3ef43f3fe70a"\n\n\n'
        'def upgrade():\n    op.create_table("products")\n'
    )
    before = picture(versions)

    done(scaffold(workspace, "product-service", "8081"))

    assert picture(versions) == before


def test_the_shipped_revision_is_what_would_be_generated_but_for_its_id() -> None:
    path = VERSIONS / "3ef43f3fe70a_create_users.py"

    user = Resource.described(
        ServiceName.parse("user-service"), replace(preset_of("user"), name="user")
    )
    revision = write_revision(None, user, parent=None)

    assert revision is not None
    text = revision.text.replace(revision.id, "3ef43f3fe70a")
    formatted = format_python({path: text}, REPOSITORY / "pyproject.toml")
    assert formatted[path] == (REPOSITORY / path).read_text()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["1st", "8081"], "begin with a letter"),
        (["class", "8081"], "keyword of Python"),
        (["user-service", "80"], "from 1024 to 65535"),
        (["init", "8081"], "init-service"),
        (["demo", "8081"], "demo-service"),
        (["service", "demo", "8081"], "demo-service"),
        (["user-service"], "Missing argument 'PORT'"),
        (["user-service", "8081", "--no-such-option"], "No such option"),
    ],
)
def test_what_can_never_work_is_misuse(workspace: Path, arguments: list[str], hint: str) -> None:
    before = picture(workspace)

    assert hint in refused(scaffold(workspace, *arguments), exit_code=2)
    assert picture(workspace) == before


def test_outside_of_a_workspace_the_way_into_one_is_shown(tmp_path: Path) -> None:
    message = refused(scaffold(tmp_path, "user-service", "8081"))

    assert "is in no workspace" in message
    assert "python -m scaffold init DIR" in message
