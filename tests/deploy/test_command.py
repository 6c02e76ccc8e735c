"""`python -m scaffold deploy k8s`: what it writes, keeps and refuses."""

import json
import shutil
from pathlib import Path

import pytest

from tests.scaffold.commands import done, picture, refused, scaffold

BASE = Path("deploy/k8s/base")
OVERLAY = Path("deploy/k8s/overlays/production/kustomization.yaml")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a user service."""
    root = tmp_path_factory.mktemp("deployed") / "shop"
    done(scaffold(root.parent, "init", str(root)))
    done(scaffold(root, "user-service", "8081"))
    return root


@pytest.fixture
def workspace(generated: Path, tmp_path: Path) -> Path:
    """The same, of the test's own, without what the command does not read."""
    ignored = shutil.ignore_patterns("scaffold", "tests", "nix")
    return shutil.copytree(generated, tmp_path / "shop", ignore=ignored)


def test_writing_twice_gives_the_same_bytes(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    before = picture(workspace)

    printed = done(scaffold(workspace, "deploy", "k8s"))

    assert "unchanged  deploy/k8s/base/services/user-service.yaml\n" in printed
    assert picture(workspace) == before


def test_without_a_registry_images_are_those_that_compose_builds(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))

    text = (workspace / BASE / "kustomization.yaml").read_text()
    assert "newName: shop-user-service\n" in text
    assert "newName: shop-migrate\n" in text


def test_a_new_service_joins_the_base_and_overlays_stay(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    (workspace / OVERLAY).write_text("mine")
    done(scaffold(workspace, "order-service", "8082"))

    printed = done(scaffold(workspace, "deploy", "k8s"))

    assert f"keep       {OVERLAY}\n" in printed
    assert (workspace / OVERLAY).read_text() == "mine"
    assert (workspace / BASE / "services/order-service.yaml").is_file()
    ingress = (workspace / BASE / "ingress.yaml").read_text()
    assert ingress.count("path: /api/v1/") == 2


def test_force_writes_overlays_anew(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    before = picture(workspace)
    (workspace / OVERLAY).write_text("mine")

    done(scaffold(workspace, "deploy", "k8s", "--force"))

    assert picture(workspace) == before


def test_a_route_of_ones_own_is_found(workspace: Path) -> None:
    controllers = workspace / "services/user_service/infrastructure/web/controllers.py"
    with controllers.open("a") as file:
        file.write(
            '\n\n@bp.get("/teams/<int:number>")\nasync def team(number: int) -> Response: ...\n'
        )

    done(scaffold(workspace, "deploy", "k8s"))

    assert "path: /api/v1/teams\n" in (workspace / BASE / "ingress.yaml").read_text()


def test_a_path_of_two_services_is_refused(workspace: Path) -> None:
    done(scaffold(workspace, "team-service", "8082"))
    controllers = workspace / "services/team_service/infrastructure/web/controllers.py"
    controllers.write_text(controllers.read_text().replace('"/teams"', '"/users"'))
    before = picture(workspace)

    message = refused(scaffold(workspace, "deploy", "k8s"))

    assert "/api/v1/users belongs to team-service and to user-service" in message
    assert picture(workspace) == before


def test_a_fleet_without_paths_has_no_ingress(workspace: Path) -> None:
    shutil.rmtree(workspace / "services/user_service")
    done(scaffold(workspace, "metrics-service", "8082", "--bare"))

    done(scaffold(workspace, "deploy", "k8s"))

    assert not (workspace / BASE / "ingress.yaml").exists()
    assert "ingress.yaml" not in (workspace / BASE / "kustomization.yaml").read_text()


def test_a_workspace_without_services_has_nothing_to_deploy(workspace: Path) -> None:
    shutil.rmtree(workspace / "services/user_service")

    assert "There is no service to deploy" in refused(scaffold(workspace, "deploy", "k8s"))


def test_a_dry_run_and_a_diff_write_nothing(workspace: Path) -> None:
    before = picture(workspace)

    listed = done(scaffold(workspace, "deploy", "k8s", "--dry-run"))
    diff = done(scaffold(workspace, "deploy", "k8s", "--diff"))

    assert f"create     {OVERLAY}\n" in listed
    assert "+++ b/deploy/k8s/base/migrate.yaml\n" in diff
    assert picture(workspace) == before


def test_a_program_reads_the_result(workspace: Path) -> None:
    result = json.loads(done(scaffold(workspace, "deploy", "k8s", "--json")))

    assert all((workspace / path).is_file() for path in result["created"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--registry", "http://registry"),
        ("--namespace", "Shop"),
        ("--namespace", "x" * 63),
        ("--tag", "a b"),
        ("--host", "example"),
        ("--host", "a.example\n"),
        ("--ingress-namespace", "-"),
    ],
)
def test_what_kubernetes_would_refuse_is_misuse(
    arguments: tuple[str, str], workspace: Path
) -> None:
    before = picture(workspace)

    message = refused(scaffold(workspace, "deploy", "k8s", *arguments), exit_code=2)

    assert arguments[0] in message
    assert picture(workspace) == before
