"""What the Dockerfiles build runs: its commands in a clean folder, and then the service."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.containers.dockerfile import read_stages
from tests.containers.image import Image, build
from tests.generated.test_generated_services import get
from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace, run

pytestmark = pytest.mark.slow

USER_SERVICE = "services/user_service/Dockerfile"
MIGRATE = "db_manager/Dockerfile"
PROXIES = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
"""As a company's engine hands them to each container; nothing listens there."""
PAGE = """
from quart import render_template


@bp.get("/page")
async def page() -> str:
    return await render_template("page.html")
"""


@pytest.fixture(scope="module")
def with_page(lived_in: Path) -> Path:
    """The workspace, whose user service has a template."""
    folder = lived_in / "services/user_service"
    controllers = folder / "infrastructure/web/controllers.py"
    controllers.write_text(controllers.read_text() + PAGE)
    (folder / "templates").mkdir()
    (folder / "templates/page.html").write_text("A page of {{ config.SERVICE_NAME }}")
    return lived_in


@pytest.fixture(scope="module")
def system() -> dict[str, str]:
    """Python, and the settings by which pip finds its index on this machine."""
    packages = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return packages | {"PATH": path, "HOME": os.environ.get("HOME", "/")}


@pytest.fixture(scope="module")
def service(
    with_page: Path, system: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Image:
    """The user service's image."""
    return build(with_page, USER_SERVICE, tmp_path_factory.mktemp("image"), system)


@pytest.fixture(scope="module")
def migrate(
    lived_in: Path, system: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Image:
    """The image that migrates."""
    return build(lived_in, MIGRATE, tmp_path_factory.mktemp("migrate"), system)


@pytest.fixture
def migrated_url(lived_in: Path, migrate: Image, fresh_database_url: str) -> str:
    """A database that the image brought to its newest revision."""
    final = read_stages(lived_in / MIGRATE)[-1]
    words = [*final.get("ENTRYPOINT").words, *final.get("CMD").words]
    process = migrate.start(words, DATABASE_URL=fresh_database_url)
    printed, _ = process.communicate(timeout=120)
    assert (process.returncode, "Migrated " in printed) == (0, True), printed
    return fresh_database_url


@pytest.fixture
def running(lived_in: Path, service: Image, migrated_url: str) -> Iterator[tuple[int, str]]:
    """The service's port, and the settings of its container."""
    port = str(reserve_port())
    words = read_stages(lived_in / USER_SERVICE)[-1].get("CMD").words
    process = service.start(
        words, DATABASE_URL=migrated_url, SECRET_KEY="of the tests", PORT=port, **PROXIES
    )
    try:
        _wait_until_healthy(lived_in, service, port, process)
        yield int(port), migrated_url
    finally:
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "Traceback" not in log, log


def _wait_until_healthy(
    root: Path, image: Image, port: str, process: "subprocess.Popen[str]"
) -> None:
    for _ in range(120):
        assert process.poll() is None, process.stdout and process.stdout.read()
        if _health(root, image, port) == 0:
            return
    raise AssertionError("the health check never passed")


def _health(root: Path, image: Image, port: str) -> int:
    check = read_stages(root / USER_SERVICE)[-1].get("HEALTHCHECK")
    process = image.start(check.words, PORT=port, **PROXIES)
    process.communicate(timeout=60)
    return process.returncode


def test_the_service_answers(running: tuple[int, str]) -> None:
    address = f"http://127.0.0.1:{running[0]}/api/v1"

    assert get(f"{address}/") == {"message": "Welcome to user-service"}
    ready = get(f"{address}/health/ready")
    assert isinstance(ready, dict)
    assert ready["status"] == "ready"
    assert get(f"{address}/users") == []


def test_a_template_is_found_in_the_image(running: tuple[int, str]) -> None:
    with urlopen(f"http://127.0.0.1:{running[0]}/api/v1/page") as answer:
        assert answer.read() == b"A page of user-service"


def test_nothing_is_written_where_the_file_system_is_read_only(
    service: Image, running: tuple[int, str]
) -> None:
    before = service.files()

    get(f"http://127.0.0.1:{running[0]}/api/v1/users")

    assert service.files() == before


def test_the_health_check_fails_where_nothing_answers(lived_in: Path, service: Image) -> None:
    assert _health(lived_in, service, str(reserve_port())) != 0


def test_no_secret_and_no_test_is_in_the_image(service: Image) -> None:
    app = [path for path in service.files() if path.parts[1] == "app"]

    assert app
    assert [path for path in app if path.name.startswith(".env") or "tests" in path.parts] == []


def test_what_installs_packages_is_left_behind(service: Image) -> None:
    assert [path for path in service.files() if path.name == "pip"] == []


def test_two_services_share_no_code_but_the_mechanism(service: Image) -> None:
    assert [path.name for path in (service.root / "app/services").iterdir()] == ["user_service"]


def test_the_workspace_is_not_needed(workspace: GeneratedWorkspace, service: Image) -> None:
    assert str(workspace.root) not in str(service.settings)


def test_an_image_makes_the_secrets_of_a_clone_as_the_page_says(
    workspace: GeneratedWorkspace, migrate: Image, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(workspace.root, clone, ignore=shutil.ignore_patterns(".secrets", ".env"))
    page = (clone / "docs/cluster.md").read_text()
    [line] = [line for line in page.splitlines() if line.startswith("    docker run ")]
    program, arguments = re.findall(r"--entrypoint (\w+) \$\(.*\) (.*)", line)[0]

    run([program, *arguments.split()], clone, migrate.environment)

    files = {path.name for path in (clone / ".secrets").rglob("*") if path.is_file()}
    assert {"postgres_password", "owner_password", "user_service", "metrics_service"} < files
