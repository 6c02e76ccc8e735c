"""What is wrong with a workspace is told with its remedy, and the remedy mends it."""

import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quart_fleet.testing import NewDatabase
from tests.ports import reserve_port
from tests.scaffold.commands import Completed, done, picture, refused, scaffold
from tests.scaffold.test_fleet import describe, edit
from tests.workspace import python_path

PRODUCT = "services/product_service"


@pytest.fixture(scope="session")
def shop(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two services on ports that nothing has, that tests only read."""
    folder = shutil.copytree(fresh, tmp_path_factory.mktemp("patients") / "shop")
    done(scaffold(folder, "product-service", str(reserve_port()), "name:str(80)"))
    done(scaffold(folder, "user-service", str(reserve_port())))
    return folder


@pytest.fixture
def patient(shop: Path, tmp_path: Path) -> Path:
    """The shop, a test's own."""
    return shutil.copytree(shop, tmp_path / "shop")


def run(workspace: Path, *arguments: str, url: str | None = None) -> Completed:
    """Run a module as the workspace's owner does, with or without a database's address."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=workspace,
        env=os.environ
        | {"PYTHONPATH": python_path(workspace), "PYTHONDONTWRITEBYTECODE": "1"}
        | ({"DATABASE_URL": url} if url else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def findings(
    workspace: Path, url: str | None = None, *, wrong: bool | None = None
) -> dict[str, str]:
    """Return what doctor finds: remedies by problems."""
    completed = run(workspace, "scaffold", "doctor", "--json", url=url)
    found = json.loads(completed.stdout)["findings"]
    assert completed.returncode == any(each["is_wrong"] for each in found), completed.stderr
    return {each["problem"]: each["remedy"] for each in found if wrong in (None, each["is_wrong"])}


def test_a_fresh_workspace_and_a_generated_fleet_are_well_and_stay_as_they_are(
    fresh: Path, shop: Path
) -> None:
    before = picture(shop)

    assert findings(fresh) == {}
    assert done(run(shop, "scaffold", "doctor")) == "✓ Nothing is wrong.\n"

    assert picture(shop) == before


@pytest.mark.slow
def test_every_fault_of_files_is_told_at_once_with_its_remedy(patient: Path) -> None:
    describe(patient, '\nname = "str(80)', '\nname = "str(90)')
    edit(patient, f"{PRODUCT}/bootstrap.py", "blueprints=[controllers.bp]", "blueprints=[]")
    (patient / PRODUCT / "domain/entities/product.py").unlink()
    (patient / PRODUCT / ".env").unlink()
    (patient / ".secrets/roles/user_service").unlink()
    (patient / "services/user_service/app.py").unlink()
    (patient / "services/compose.yaml").write_text("include:\n  - mail_service/compose.yaml\n")
    (patient / "vendor").rename(patient / "elsewhere")
    model = patient / "shared/models/product.py"
    lines = model.read_text().rstrip()
    model.write_text(f"{lines}\n    weight: Mapped[int] = mapped_column(Integer)\n")
    marks = "<<<<<<< ours\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n"
    interface = patient / PRODUCT / "domain/repositories/product_repository.py"
    interface.write_text(interface.read_text() + marks)

    found = findings(patient)

    expected = {
        "fleet.toml says what is not applied yet, of product-service.": "python -m scaffold apply",
        f"{PRODUCT}/.env is missing.": "python -m scaffold env",
        ".secrets/roles/user_service is missing.": "python -m scaffold env",
        "services/user_service lacks app.py.": "python -m scaffold apply --restore",
        "user-service: 1 deleted (services/user_service/app.py).": (
            "python -m scaffold apply --restore writes them again"
        ),
        "services/mail_service/compose.yaml is missing, which a compose file includes.": (
            "take its line out"
        ),
        "services/compose.yaml does not include product-service.": (
            "add the line '- product_service/compose.yaml' to it"
        ),
        "shared/models/product.py has weight, which fleet.toml has not.": (
            "python -m scaffold field product-service product weight:TYPE"
        ),
    }
    assert {problem: found.get(problem) for problem in expected} == expected
    rest = "\n".join(found.keys() - expected.keys())
    assert (
        f"{PRODUCT}/domain/repositories/product_repository.py has undecided conflicts (line "
        in rest
    )
    assert "does not tell its routes" not in rest  # for the conflict
    assert "product-service: 2 edited (" in rest
    assert f"product-service: 1 deleted ({PRODUCT}/domain/entities/product.py)." in rest
    assert "requirements.lock names vendor/quart_fleet-" in rest


@pytest.mark.slow
def test_a_folder_in_place_of_a_file_is_a_finding(patient: Path) -> None:
    module = patient / "services/user_service/app.py"
    module.unlink()
    module.mkdir()

    told = findings(patient)

    assert any("app.py" in problem for problem in told)


@pytest.mark.slow
def test_a_conflict_is_told_once(patient: Path) -> None:
    controllers = patient / PRODUCT / "infrastructure/web/controllers.py"
    marks = "<<<<<<< ours\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n"
    controllers.write_text(controllers.read_text() + marks)

    [problem] = findings(patient)

    assert problem.startswith(f"{PRODUCT}/infrastructure/web/controllers.py has undecided conf")


@pytest.mark.slow
def test_a_conflict_that_was_given_up_is_noted_by_apply(patient: Path) -> None:
    """As by `git checkout .`, which leaves what is not in git."""
    model = "shared/models/product.py"
    (patient / ".scaffold/conflicts").write_text(f"{model}\n")

    [(problem, remedy)] = findings(patient).items()
    assert problem == f"{model} is decided, which is not noted yet."
    done(run(patient, *remedy.split()[2:]))  # without `python -m`

    assert findings(patient) == {}


@pytest.mark.slow
def test_the_remedies_mend_what_they_are_for(patient: Path) -> None:
    describe(patient, '\nname = "str(80)', '\nname = "str(90)')
    (patient / PRODUCT / ".env").unlink()
    (patient / PRODUCT / "app.py").unlink()
    shutil.rmtree(patient / "vendor")

    for remedy in findings(patient, wrong=True).values():
        done(run(patient, *remedy.split()[2:]))

    assert findings(patient) == {}


@pytest.mark.slow
def test_a_blueprint_that_is_not_registered_is_missed(patient: Path) -> None:
    edit(patient, f"{PRODUCT}/bootstrap.py", "blueprints=[controllers.bp]", "blueprints=[]")

    found = findings(patient, wrong=True)
    remedy = found.pop("No route of product-service leads to products.")

    assert list(found) == ["1 file is generated otherwise now."]  # the OpenAPI document
    assert (
        "blueprints"
        in subprocess.run(
            remedy.split(), cwd=patient, capture_output=True, text=True, check=False
        ).stdout
    )


@pytest.mark.parametrize("part", [".scaffold", ".scaffold/generated"])
@pytest.mark.slow
def test_a_lost_baseline_is_told_as_what_it_is(patient: Path, part: str) -> None:
    shutil.rmtree(patient / part)

    [(problem, remedy)] = findings(patient, wrong=True).items()

    assert problem == ".scaffold/ does not have what was generated of product-service."
    assert remedy == "git checkout -- .scaffold, or else: python -m scaffold upgrade"


@pytest.mark.slow
def test_a_description_that_cannot_be_read_is_shown(patient: Path) -> None:
    describe(patient, '\nname = "str(80)', '\nname = "strr(80)')

    [(problem, _)] = findings(patient, wrong=True).items()

    assert problem.startswith("fleet.toml, line ")
    assert "'strr' is no type" in problem


@pytest.mark.slow
def test_a_port_of_another_program_is_told(patient: Path) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        port = other.server_address[1]
        edit(patient, f"{PRODUCT}/.env.example", "SERVICE_PORT=", "SERVICE_PORT_WAS=")
        settings = patient / PRODUCT / "settings.py"
        text = settings.read_text()
        old = next(line for line in text.splitlines() if "service_port" in line.lower())
        settings.write_text(text.replace(old, f"{old.partition('=')[0]}= {port}"))
        found = findings(patient)
        other.shutdown()

    assert f"Port {port} of product-service belongs to another program here." in found


@pytest.mark.slow
async def test_the_database_is_held_against_revisions_and_models(
    patient: Path, new_database: NewDatabase
) -> None:
    async with new_database() as url:
        [(behind, remedy)] = findings(patient, url, wrong=True).items()
        assert behind == "The database is behind by 2 revisions."
        done(run(patient, *remedy.split()[2:], url=url))
        assert findings(patient, url) == {}

        model = patient / "shared/models/product.py"
        model.write_text(
            f"{model.read_text().rstrip()}\n    weight: Mapped[int | None] = mapped_column()\n"
        )
        [(drift, _)] = findings(patient, url, wrong=True).items()
        assert drift.startswith("Models and database differ: ")
        assert "weight" in drift


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_told(patient: Path) -> None:
    [(problem, _)] = findings(patient, "postgresql://a@127.0.0.1:1/b", wrong=True).items()

    assert "127.0.0.1:1" in problem


@pytest.mark.slow
def test_two_newest_revisions_are_told_with_the_way_to_join_them(patient: Path) -> None:
    versions = patient / "db_manager/migrations/versions"
    [products] = versions.glob("*products.py")
    text = products.read_text()
    [identity] = [line for line in text.splitlines() if line.startswith("revision")]
    (versions / "twin.py").write_text(
        text.replace(identity, 'revision: str = "aaaaaaaaaaaa"').replace("products", "twins")
    )

    found = findings(patient, wrong=True)
    [(problem, remedy)] = found.items()
    assert problem.startswith("There are several newest revisions: ")
    done(run(patient, *remedy.split()[2:]))

    assert findings(patient, wrong=True) == {}


def test_outside_of_a_workspace_it_is_refused(tmp_path: Path) -> None:
    assert "is in no workspace" in refused(run(tmp_path, "scaffold", "doctor"))
