"""Each container has its own secrets, as files, and logs in to the database as itself."""

import asyncio
import re
import subprocess
from pathlib import Path
from secrets import token_hex

import asyncpg
import pytest

from tests.deploy.documents import Document, Documents, build, containers, keys, of_kind, pods
from tests.deploy.test_references import PAGE, SERVICES
from tests.requirement import get_program

OWNER = {("postgres-app", "password")}
OWNERS = {
    "migrate": OWNER | {(service, "DATABASE_PASSWORD") for service in SERVICES},
    "postgres": OWNER | {("postgres-app", "superuser_password")},
}
"""What the containers may read that are no service's."""

Read = set[tuple[str, str]]
"""Secrets, each with a key of its, or with `*` for all."""


def role_of(service: str) -> str:
    """Return as what a service logs in."""
    return service.replace("-", "_")


def files_of(pod: Document, container: Document, folder: str) -> dict[str, tuple[str, str]]:
    """Return the secret, and its key, behind each file of a folder."""
    volumes = {each["name"]: each for each in pod["spec"].get("volumes", [])}
    files = {}
    for mount in container.get("volumeMounts", []):
        if mount["mountPath"] != folder:
            continue
        volume = volumes.get(mount["name"], {})
        sources = [each["secret"] for each in volume.get("projected", {}).get("sources", [])]
        for secret in [*sources, *([volume["secret"]] if "secret" in volume else [])]:
            name = secret.get("name") or secret["secretName"]
            for item in secret.get("items", [{"path": "*", "key": "*"}]):
                files[item["path"]] = (name, item["key"])
    return files


def read_by(pod: Document, container: Document) -> Read:
    """Return all that a container may read, wherever it is mounted."""
    folders = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
    return {each for folder in folders for each in files_of(pod, container, folder).values()}


def test_no_secret_is_a_variable(documents: Documents) -> None:
    words = {str(step) for each in documents for place in keys(each) for step in place}

    assert words.isdisjoint({"secretKeyRef", "secretRef"})
    for pod in pods(documents):
        for container in containers(pod):
            for variable in container.get("env", []):
                secret = re.search("PASSWORD|SECRET", variable["name"])
                assert not secret or variable["name"].endswith("_FILE")
    for map_ in of_kind(documents, "ConfigMap"):
        assert "@" not in map_["data"].get("DATABASE_ADDRESS", "")


def test_a_service_reads_its_own_secret_and_waits_with_its_password_alone(
    documents: Documents,
) -> None:
    for deployment in of_kind(documents, "Deployment"):
        pod, name = deployment["spec"]["template"], deployment["metadata"]["name"]
        [waiting], [service] = pod["spec"]["initContainers"], pod["spec"]["containers"]
        assert files_of(pod, service, "/run/secrets") == {"*": (name, "*")}
        assert read_by(pod, service) == {(name, "*")}
        assert files_of(pod, waiting, "/run/secrets") == {
            "DATABASE_PASSWORD": (name, "DATABASE_PASSWORD")
        }
        assert read_by(pod, waiting) == {(name, "DATABASE_PASSWORD")}


def test_the_migration_reads_the_owners_password_and_those_of_the_roles(
    documents: Documents,
) -> None:
    [job] = of_kind(documents, "Job")
    pod = job["spec"]["template"]
    [container] = pod["spec"]["containers"]

    assert files_of(pod, container, "/run/secrets") == {
        "DATABASE_PASSWORD": ("postgres-app", "password")
    }
    assert files_of(pod, container, "/run/roles") == {
        role_of(service): (service, "DATABASE_PASSWORD") for service in SERVICES
    }


def test_every_other_container_reads_no_secret_of_a_service(documents: Documents) -> None:
    for pod in pods(documents):
        for container in containers(pod):
            if container["name"] in OWNERS:
                assert read_by(pod, container) == OWNERS[container["name"]]


def test_each_service_logs_in_as_itself_and_the_migration_as_the_owner(
    documents: Documents,
) -> None:
    users = {
        each["metadata"]["name"]: role_of(each["metadata"]["name"])
        for each in of_kind(documents, "Deployment")
    } | {"migrate-0-1-0": "fleet"}
    for document in (*of_kind(documents, "Deployment"), *of_kind(documents, "Job")):
        for container in containers(document["spec"]["template"]):
            names = [each["name"] for each in container["env"]]
            assert names.index("DATABASE_ADDRESS") < names.index("DATABASE_URL")
            user = users[document["metadata"]["name"]]
            assert {
                "name": "DATABASE_URL",
                "value": f"postgresql://{user}@$(DATABASE_ADDRESS)",
            } in container["env"]


def test_every_container_has_a_limit_of_storage(documents: Documents) -> None:
    specs = [pod["spec"] for pod in pods(documents)]
    specs += [each["spec"]["template"]["spec"] for each in of_kind(documents, "Pooler")]
    limited = [
        container["resources"]
        for spec in specs
        for container in (*spec.get("initContainers", []), *spec["containers"])
    ] + [each["spec"]["resources"] for each in of_kind(documents, "Cluster")]

    assert len(limited) >= 2 * len(SERVICES) + 2
    for resources in limited:
        for kind in ("requests", "limits"):
            assert "ephemeral-storage" in resources[kind]


def test_every_volume_in_memory_or_on_the_node_has_a_limit(documents: Documents) -> None:
    for pod in pods(documents):
        for volume in pod["spec"].get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"]


def test_the_page_makes_every_secret_that_is_read(fleet: Path) -> None:
    page = PAGE.read_text().replace("\\\n", " ")
    [options] = re.findall(r"kubectl -n shop create secret generic user-service(.*)", page)
    dev = build(fleet / "deploy/k8s/overlays/dev")
    read = {
        each
        for pod in pods(dev)
        for container in containers(pod)
        for each in read_by(pod, container)
    }

    assert re.findall(r"--from-literal=(\w+)=", options) == ["SECRET_KEY", "DATABASE_PASSWORD"]
    assert "`postgres-app`, which the operator makes in production" in " ".join(page.split())
    for name, key in read - {(service, key) for service, key in read if service in SERVICES}:
        assert name == "postgres-app"
        assert f"a `{key}`" in page


@pytest.mark.slow
def test_the_image_of_development_makes_an_owner_who_is_no_superuser(
    fleet: Path, database_url: str, tmp_path: Path
) -> None:
    name, password = f"fleet_{token_hex(4)}", tmp_path / "owner_password"
    password.write_text("of the owner's")
    script = (fleet / "deploy/k8s/overlays/dev/owner.sql").read_text()
    assert script.count("/run/secrets/owner_password") == 1
    owned = tmp_path / "owner.sql"
    owned.write_text(
        script.replace("/run/secrets/owner_password", str(password)).replace("fleet", name)
    )

    # As the image runs it: docker_process_sql of its entry point.
    subprocess.run(
        [
            get_program("psql"),
            "-v",
            "ON_ERROR_STOP=1",
            "--no-psqlrc",
            "-d",
            database_url,
            "-f",
            owned,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )

    role, owner = asyncio.run(_take_back(database_url, name))

    assert (role["rolcanlogin"], role["rolcreaterole"], role["rolsuper"]) == (True, True, False)
    assert role["rolpassword"].startswith("SCRAM-SHA-256$")
    assert owner == name


async def _take_back(url: str, name: str) -> tuple[asyncpg.Record, str]:
    """Drop the role and its database; return what they were."""
    connection = await asyncpg.connect(url)
    role = await connection.fetchrow("SELECT * FROM pg_authid WHERE rolname = $1", name)
    owner: str = await connection.fetchval(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", name
    )
    await connection.execute(f"DROP DATABASE {name}")
    await connection.execute(f"DROP ROLE {name}")
    await connection.close()
    return role, owner
