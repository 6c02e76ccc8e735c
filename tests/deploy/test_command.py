"""`python -m scaffold deploy k8s`: what it writes, keeps and refuses."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.deploy.fleet import Fleet, Target
from tests.deploy.documents import build, containers, of_kind, pods
from tests.deploy.schemas import find_fault
from tests.scaffold.commands import done, picture, refused, scaffold

BASE = Path("deploy/k8s/base")
OVERLAY = Path("deploy/k8s/overlays/production/kustomization.yaml")
POSTGRES = Path("deploy/k8s/overlays/production/postgres.yaml")
DEV = Path("deploy/k8s/overlays/dev/postgres.yaml")


@pytest.mark.slow
def test_writing_twice_gives_the_same_bytes(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    before = picture(workspace)

    printed = done(scaffold(workspace, "deploy", "k8s"))

    assert "unchanged  deploy/k8s/base/services/user-service.yaml\n" in printed
    assert picture(workspace) == before


def test_without_a_registry_images_are_those_that_compose_builds(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))

    text = (workspace / BASE / "kustomization.yaml").read_text()
    assert 'newName: "shop-user-service"\n' in text
    assert 'newName: "shop-migrate"\n' in text


@pytest.mark.slow
def test_a_new_service_joins_the_base_and_overlays_stay(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    (workspace / OVERLAY).write_text("mine")
    done(scaffold(workspace, "order-service", "8082"))

    printed = done(scaffold(workspace, "deploy", "k8s"))

    assert f"keep       {OVERLAY}\n" in printed
    assert (workspace / OVERLAY).read_text() == "mine"
    assert (workspace / BASE / "services/order-service.yaml").is_file()
    ingress = (workspace / BASE / "ingress.yaml").read_text()
    assert ingress.count('path: "/api/v1/') == 2


@pytest.mark.slow
def test_force_writes_overlays_anew(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    before = picture(workspace)
    (workspace / OVERLAY).write_text("mine")

    done(scaffold(workspace, "deploy", "k8s", "--force"))

    assert picture(workspace) == before


@pytest.mark.slow
def test_a_path_of_two_services_is_refused(workspace: Path) -> None:
    done(scaffold(workspace, "team-service", "8082"))
    controllers = workspace / "services/team_service/infrastructure/web/controllers.py"
    controllers.write_text(controllers.read_text().replace('"/teams"', '"/users"'))
    before = picture(workspace)

    message = refused(scaffold(workspace, "deploy", "k8s"))

    assert "/api/v1/users belongs to team-service and to user-service" in message
    assert picture(workspace) == before


@pytest.mark.slow
def test_a_fleet_without_paths_has_no_ingress(workspace: Path) -> None:
    shutil.rmtree(workspace / "services/user_service")
    done(scaffold(workspace, "metrics-service", "8082", "--bare"))

    done(scaffold(workspace, "deploy", "k8s"))

    assert not (workspace / BASE / "ingress.yaml").exists()
    assert "ingress.yaml" not in (workspace / BASE / "kustomization.yaml").read_text()


def test_a_workspace_without_services_has_nothing_to_deploy(workspace: Path) -> None:
    shutil.rmtree(workspace / "services/user_service")

    assert "There is no service to deploy" in refused(scaffold(workspace, "deploy", "k8s"))


@pytest.mark.slow
def test_a_dry_run_and_a_diff_write_nothing(workspace: Path) -> None:
    before = picture(workspace)

    listed = done(scaffold(workspace, "deploy", "k8s", "--dry-run"))
    diff = done(scaffold(workspace, "deploy", "k8s", "--diff"))

    assert f"create     {OVERLAY}\n" in listed
    assert "+++ b/deploy/k8s/base/migrate.yaml\n" in diff
    assert picture(workspace) == before


@pytest.mark.slow
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
        ("--ingress-class", "Nginx"),
        ("--ingress-class", "a b"),
        ("--gateway", "public"),
        ("--gateway", "infra/Public"),
        ("--pull-secret", "Registry"),
    ],
)
def test_what_kubernetes_would_refuse_is_misuse(
    arguments: tuple[str, str], workspace: Path
) -> None:
    before = picture(workspace)

    message = refused(scaffold(workspace, "deploy", "k8s", *arguments), exit_code=2)

    assert arguments[0] in message
    assert picture(workspace) == before


@pytest.mark.slow
def test_a_class_of_the_ingress_is_written(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s", "--ingress-class", "nginx"))

    assert '  ingressClassName: "nginx"\n' in (workspace / BASE / "ingress.yaml").read_text()


@pytest.mark.slow
def test_without_a_class_the_clusters_default_serves(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))

    assert "ingressClassName" not in (workspace / BASE / "ingress.yaml").read_text()


@pytest.mark.slow
def test_a_secret_for_the_registry_reaches_every_pod_that_pulls_from_it(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s", "--pull-secret", "registry"))

    for overlay in ("dev", "production"):
        for pod in pods(build(workspace / "deploy/k8s/overlays" / overlay)):
            [container, *_] = pod["spec"]["containers"]
            pulled = [{"name": "registry"}] if container["name"] != "postgres" else None
            assert pod["spec"].get("imagePullSecrets") == pulled


def test_every_release_has_a_migration_of_its_own(workspace: Path) -> None:
    tags = {
        "0.2.0": "migrate-0-2-0",
        "latest": "migrate-latest",
        "v1": "migrate-v1",
        "V1": "migrate-v1-[0-9a-f]{6}",
        "1.0_rc.1": "migrate-1-0-rc-1-[0-9a-f]{6}",
        "_": "migrate-[0-9a-f]{6}",
        "a" * 128: "migrate-a{40}-[0-9a-f]{6}",
    }
    target = Target("", "", "", "api.example.com", "ingress-nginx", "", "")

    for tag, name in tags.items():
        fleet = Fleet("shop", replace(target, tag=tag), (), (), ())
        assert re.fullmatch(name, fleet.migration), fleet.migration


@pytest.mark.slow
def test_a_tag_reaches_every_image_and_the_migration(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    done(scaffold(workspace, "team-service", "8082"))

    done(scaffold(workspace, "deploy", "k8s", "--tag", "0.2.0"))

    kustomization = (workspace / BASE / "kustomization.yaml").read_text()
    assert kustomization.count('newTag: "0.2.0"\n') == 3
    job = (workspace / BASE / "migrate.yaml").read_text()
    assert '  name: "migrate-0-2-0"\n' in job
    assert "argocd.argoproj.io/hook-delete-policy: BeforeHookCreation\n" in job
    assert "kustomize.toolkit.fluxcd.io/force: enabled\n" in job


@pytest.mark.slow
def test_a_kept_overlay_with_tags_of_its_own_is_told(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    with (workspace / OVERLAY).open("a") as file:
        file.write("\nimages:\n  - name: shop-migrate\n    newTag: 0.1.0\n")

    completed = scaffold(workspace, "deploy", "k8s", "--tag", "0.2.0")

    assert f"{OVERLAY} sets tags itself, which win over --tag 0.2.0" in completed.stderr


@pytest.fixture
def earlier(workspace: Path) -> Path:
    """The workspace with a base and overlays as an earlier version wrote them."""
    done(scaffold(workspace, "deploy", "k8s"))
    (workspace / BASE / "network.yaml").write_text("kind: NetworkPolicy\n")
    (workspace / BASE / "migrate.yaml").write_text("kind: Job\n")
    for path, new, old in (
        (OVERLAY, "DATABASE_ADDRESS=", "DATABASE_URL=postgresql://fleet@"),
        (POSTGRES, "      postInitSQL:\n        - ALTER ROLE fleet CREATEROLE\n", ""),
        (POSTGRES, '      max_db_connections: "40"\n', ""),
        (POSTGRES, ":18-standard-trixie", ":17"),
        (
            DEV,
            "          env:\n",
            "          env:\n            - {name: POSTGRES_USER, value: fleet}\n",
        ),
    ):
        text = (workspace / path).read_text()
        assert new in text
        (workspace / path).write_text(text.replace(new, old))
    return workspace


@pytest.mark.slow
def test_a_kept_overlay_is_told_what_the_new_base_asks_of_it(earlier: Path) -> None:
    first = scaffold(earlier, "deploy", "k8s", "--namespace", "shop").stderr.splitlines()
    second = scaffold(earlier, "deploy", "k8s", "--namespace", "shop").stderr.splitlines()

    lines = {line.partition(". ")[2] or line for line in first}
    assert {
        f"Write in its place: DATABASE_ADDRESS=postgres-{server}:5432/fleet?sslmode=require"
        for server in ("rw", "pooler")
    } <= lines
    assert sum(line.startswith(f"{OVERLAY} sets DATABASE_URL") for line in first) == 2
    [owner] = [line for line in first if line.startswith(f"{POSTGRES} lets fleet make no roles")]
    assert (
        "kubectl -n shop exec service/postgres-rw -c postgres -- "
        "psql -c 'ALTER ROLE fleet CREATEROLE'"
    ) in owner
    assert any(line.startswith(f"{POSTGRES} lets PgBouncer open") for line in first)
    assert any(line.startswith(f"{DEV} has fleet for its superuser") for line in first)
    once = [line for line in first if line not in second]
    assert [line.partition(" ")[0] for line in once] == ["Each", "The"]


@pytest.mark.slow
def test_a_kept_overlay_cannot_make_services_log_in_as_the_owner(earlier: Path) -> None:
    done(scaffold(earlier, "deploy", "k8s"))

    documents = build(earlier / OVERLAY.parent)

    for deployment in of_kind(documents, "Deployment"):
        for container in containers(deployment["spec"]["template"]):
            # What a container's own `env` says wins over what it has from a ConfigMap.
            assert {
                "name": "DATABASE_URL",
                "value": "postgresql://user_service@$(DATABASE_ADDRESS)",
            } in container["env"]
    addresses = {each["data"].get("DATABASE_ADDRESS") for each in of_kind(documents, "ConfigMap")}
    assert addresses == {"postgres-rw:5432/fleet"}


@pytest.mark.slow
def test_overlays_of_this_version_are_told_nothing(workspace: Path) -> None:
    done(scaffold(workspace, "deploy", "k8s"))
    done(scaffold(workspace, "team-service", "8082"))

    assert scaffold(workspace, "deploy", "k8s").stderr == ""


@pytest.mark.parametrize(
    ("project", "namespace"),
    [("2024", "2024"), ("my_fleet", "my-fleet"), ("shop_", "shop"), ("a" * 80, "a" * 59)],
)
def test_a_namespace_is_what_kubernetes_takes_of_the_projects_name(
    project: str, namespace: str
) -> None:
    target = Target("", "", "0.1.0", "api.example.com", "ingress-nginx", "", "")

    assert Fleet(project, target, (), (), ()).namespace == namespace


@pytest.mark.slow
def test_a_gateway_leads_to_the_fleet_in_place_of_an_ingress(workspace: Path) -> None:
    done(scaffold(workspace, "team-service", "8082"))

    done(scaffold(workspace, "deploy", "k8s", "--gateway", "infra/public"))

    documents = build(workspace / OVERLAY.parent)
    assert of_kind(documents, "Ingress") == []
    leads: dict[str, str] = {}
    for route in of_kind(documents, "HTTPRoute"):
        assert find_fault(route) is None
        assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "infra"}]
        assert route["spec"]["hostnames"] == ["api.example.com"]
        [rule] = route["spec"]["rules"]
        [backend] = rule["backendRefs"]
        leads |= {match["path"]["value"]: backend["name"] for match in rule["matches"]}
    assert leads == {"/api/v1/teams": "team-service", "/api/v1/users": "user-service"}
    assert {"name": "team-service", "port": 80} in [
        {"name": each["metadata"]["name"], "port": each["spec"]["ports"][0]["port"]}
        for each in of_kind(documents, "Service")
    ]
