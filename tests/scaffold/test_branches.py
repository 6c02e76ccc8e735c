"""Services on branches of git: what a merge makes of them, and what a checkout leaves behind."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.requirement import get_program
from tests.scaffold.commands import Completed, done, refused, run, scaffold
from tests.workspace import python_path

LIST = "services/compose.yaml"
AUTHOR = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def git(folder: Path, *arguments: str) -> Completed:
    """Run git with no settings but the author's."""
    variables = [f"{name}={value}" for name, value in AUTHOR.items()]
    return run(folder, "env", *variables, "git", *arguments)


def commit(folder: Path) -> None:
    """Commit everything that git does not ignore."""
    done(git(folder, "add", "--all"))
    done(git(folder, "commit", "--quiet", "--message", "Go on"))


def branch_with(folder: Path, service: str, port: str) -> None:
    """Make a branch of main that adds a service, and return to main."""
    done(git(folder, "checkout", "--quiet", "-b", service, "main"))
    done(scaffold(folder, service, port))
    commit(folder)
    done(git(folder, "checkout", "--quiet", "main"))


def contracts(folder: Path, *options: str) -> Completed:
    """Check the workspace's own packages."""
    path = python_path(folder)
    command = (sys.executable, "-m", "scaffold", "contracts", *options)
    return run(folder, "env", "-u", "PYTHONSAFEPATH", f"PYTHONPATH={path}", *command)


def waits_of(folder: Path) -> dict[str, Any]:
    """Return what Docker Compose has each service of the fleet wait for."""
    command = [get_program("docker-compose"), "config", "--format", "json"]
    services = json.loads(done(run(folder, *command)))["services"]
    return {name: service.get("depends_on") for name, service in services.items()}


@pytest.fixture
def repository(fresh: Path, tmp_path: Path) -> Path:
    """A workspace in git, on a branch called main."""
    folder = shutil.copytree(fresh, tmp_path / "fleet")
    done(git(folder, "init", "--quiet", "--initial-branch", "main"))
    commit(folder)
    return folder


def merge_all(folder: Path, *branches: str) -> None:
    """Merge branches that add services to one place of fleet.toml, which alone wants a command."""
    first, *others = branches
    done(git(folder, "merge", "--quiet", "--no-edit", first))
    for name in others:
        assert git(folder, "merge", "--no-edit", name).returncode == 1
        assert done(git(folder, "diff", "--name-only", "--diff-filter=U")) == "fleet.toml\n"
        done(scaffold(folder, "apply"))
        commit(folder)


def assert_both_are_composed(repository: Path) -> None:
    """Both services are in the fleet, and each waits for the migrations."""
    waits = waits_of(repository)
    expected = {"migrate": {"condition": "service_completed_successfully", "required": True}}
    assert waits["order-service"] == waits["product-service"] == expected


@pytest.mark.slow
def test_two_branches_that_each_add_a_service_merge_by_themselves(repository: Path) -> None:
    branch_with(repository, "order-service", "8081")
    branch_with(repository, "product-service", "8082")

    merge_all(repository, "order-service", "product-service")

    done(contracts(repository))
    assert_both_are_composed(repository)


@pytest.mark.slow
def test_without_attributes_both_sides_of_a_list_are_kept_by_hand(repository: Path) -> None:
    (repository / ".gitattributes").unlink()
    commit(repository)
    branch_with(repository, "order-service", "8081")
    branch_with(repository, "product-service", "8082")
    done(git(repository, "merge", "--quiet", "--no-edit", "order-service"))

    assert git(repository, "merge", "--no-edit", "product-service").returncode == 1
    unmerged = done(git(repository, "diff", "--name-only", "--diff-filter=U"))
    assert unmerged == f".scaffold/generated/fingerprint\nfleet.toml\n{LIST}\n"
    lines = (repository / LIST).read_text().splitlines(keepends=True)
    both = [line for line in lines if not line.startswith(("<<<<", "====", ">>>>"))]
    (repository / LIST).write_text("".join(both))
    done(scaffold(repository, "apply"))
    commit(repository)

    assert_both_are_composed(repository)


@pytest.mark.slow
def test_a_port_that_two_branches_took_is_found_once_they_are_merged(repository: Path) -> None:
    branch_with(repository, "order-service", "8081")
    branch_with(repository, "product-service", "8081")
    done(git(repository, "merge", "--quiet", "--no-edit", "order-service"))
    done(contracts(repository))
    git(repository, "merge", "--no-edit", "product-service")

    path = "services/product_service/settings.py"
    line = (repository / path).read_text().splitlines().index("    service_port: int = 8081") + 1
    completed = contracts(repository)
    assert completed.returncode == 1
    assert completed.stdout == (
        f"{path}:{line}: port 8081 is also that of 'order-service' "
        f"(services/order_service/settings.py:{line}): give one of them another, such as 8082.\n"
    )
    [sentence] = json.loads(contracts(repository, "--json").stdout)["shared_ports"]
    assert f"{sentence}\n" == completed.stdout


@pytest.mark.slow
def test_what_a_checkout_leaves_of_a_service_takes_no_port_and_no_name(repository: Path) -> None:
    branch_with(repository, "product-service", "8081")
    left = repository / "services/product_service"
    for path in ("__pycache__/app.cpython-311.pyc", ".mypy_cache/x.json", "tests/.venv/x.py"):
        (left / path).parent.mkdir(parents=True, exist_ok=True)
        (left / path).touch()
    assert (left / ".env").is_file()

    assert "8081/api" in done(scaffold(repository, "order-service", "8081"))
    assert "product_service" not in done(contracts(repository))
    message = refused(scaffold(repository, "product-service", "8081"))
    assert "Port 8081 belongs to the service 'order-service'" in message
    assert "such as 8082" in message


@pytest.mark.slow
def test_settings_that_a_checkout_left_are_kept_and_told(repository: Path) -> None:
    branch_with(repository, "product-service", "8081")
    settings = b"DEBUG=True\nSERVICE_PORT=8081\n"
    (repository / "services/product_service/.env").write_bytes(settings)

    completed = scaffold(repository, "product-service", "8082")

    done(completed)
    assert (repository / "services/product_service/.env").read_bytes() == settings
    assert completed.stderr == (
        "services/product_service/.env stays, with SERVICE_PORT=8081: "
        "edit it to move the service to 8082.\n"
    )


@pytest.mark.slow
def test_branches_that_add_resources_to_different_services_merge_by_themselves(
    repository: Path,
) -> None:
    for port, service in ((8081, "order-service"), (8082, "product-service")):
        done(scaffold(repository, service, str(port), "name:str(80)"))
    commit(repository)
    for service, resource in (("order-service", "invoice"), ("product-service", "category")):
        done(git(repository, "checkout", "--quiet", "-b", resource, "main"))
        done(scaffold(repository, "resource", service, resource, f"{resource}_code:str(9)"))
        commit(repository)
        done(git(repository, "checkout", "--quiet", "main"))

    for resource in ("invoice", "category"):
        done(git(repository, "merge", "--quiet", "--no-edit", resource))

    assert done(scaffold(repository, "apply")) == "✓ Nothing to write.\n"
    assert "has 2 heads" in refused(
        scaffold(repository, "field", "order-service", "invoice", "paid:bool=false")
    )


@pytest.mark.slow
@pytest.mark.parametrize("side", ["--ours", "--theirs"])
def test_whichever_side_of_a_conflict_is_kept_apply_brings_the_other(
    repository: Path, fresh: Path, tmp_path: Path, side: str
) -> None:
    order = ("order-service", "8081", "name:str(80)")
    steps: dict[str, tuple[str, ...]] = {
        "invoice": ("resource", "order-service", "invoice", "code:str(9)"),
        "voucher": ("resource", "order-service", "voucher", "worth:decimal"),
    }
    done(scaffold(repository, *order))
    settings = repository / "services/order_service/bootstrap.py"
    settings.write_text(settings.read_text() + "\n\nOURS = True\n")
    commit(repository)
    for name, step in steps.items():
        done(git(repository, "checkout", "--quiet", "-b", name, "main"))
        done(scaffold(repository, *step))
        commit(repository)
        done(git(repository, "checkout", "--quiet", "main"))
    done(git(repository, "merge", "--quiet", "--no-edit", "invoice"))
    assert git(repository, "merge", "--no-edit", "voucher").returncode == 1
    unmerged = done(git(repository, "diff", "--name-only", "--diff-filter=U")).split()
    assert "services/order_service/bootstrap.py" in unmerged
    kept = [path for path in unmerged if path.startswith(("services/", "shared/"))]
    done(git(repository, "checkout", side, "--", *kept))

    done(scaffold(repository, "apply"))

    direct = shutil.copytree(fresh, tmp_path / "direct")
    done(scaffold(direct, *order))
    for step in steps.values():
        done(scaffold(direct, *step))
    assert "OURS = True\n" in settings.read_text()
    settings.write_text(settings.read_text().replace("\n\nOURS = True\n", ""))
    assert_same_code(repository, direct)


SHOP = ("shop-service", "8081", "name:str(40)", "kind:enum(a, b)=a")
ONE = [("field", "shop-service", "shop", "x:int?")]
LONGER = ("field", "shop-service", "shop", "name:str(40):length(2)")
WIDER = ("field", "shop-service", "shop", "y:int?", "kind:enum(a, b, c)=a")
SHELF = ("resource", "shop-service", "shelf", "row:int")
GO = ("resource", "shop-service", "shop", "--action", "go=kind: a -> b")


def merge_sides(folder: Path, two: list[tuple[str, ...]]) -> list[str]:
    """Merge two branches that change one service, and return the paths of the conflicts."""
    done(scaffold(folder, *SHOP))
    commit(folder)
    for name, steps in (("one", ONE), ("two", two)):
        done(git(folder, "checkout", "--quiet", "-b", name, "main"))
        for step in steps:
            done(scaffold(folder, *step))
        commit(folder)
    done(git(folder, "checkout", "--quiet", "one"))
    assert git(folder, "merge", "--no-edit", "two").returncode == 1
    return done(git(folder, "diff", "--name-only", "--diff-filter=U")).split()


def make_direct(fresh: Path, folder: Path, two: list[tuple[str, ...]]) -> Path:
    """Return a workspace in which the steps of both branches follow each other."""
    direct = shutil.copytree(fresh, folder)
    for step in (SHOP, *ONE, *two):
        done(scaffold(direct, *step))
    return direct


def assert_same_code(folder: Path, direct: Path) -> None:
    """What is generated in one workspace is what is generated in the other."""
    differing = ("diff", "--recursive", "--brief", "--exclude=.env", "--exclude=__pycache__")
    for part in ("services", "shared"):
        assert done(run(folder, *differing, str(folder / part), str(direct / part))) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("two", "is_committed"),
    [([WIDER, SHELF], True), ([WIDER, SHELF], False), ([GO, LONGER], False)],
)
def test_what_the_other_side_changed_of_a_resource_comes_to_the_side_that_is_kept(
    repository: Path, fresh: Path, tmp_path: Path, two: list[tuple[str, ...]], is_committed: bool
) -> None:
    unmerged = merge_sides(repository, two)
    direct = make_direct(fresh, tmp_path / "direct", two)
    code = [path for path in unmerged if path.startswith(("services/", "shared/"))]
    tests = "services/shop_service/tests/test_shop_api.py"
    done(git(repository, "checkout", "one", "--", tests, *code))
    for path in ("fleet.toml", ".scaffold/described/shop-service.toml"):
        shutil.copy(direct / path, repository / path)
    if is_committed:
        commit(repository)

    done(scaffold(repository, "apply"))

    assert_same_code(repository, direct)


@pytest.mark.slow
def test_sides_that_differ_in_one_resource_are_left_to_their_owner(repository: Path) -> None:
    done(scaffold(repository, "order-service", "8081", "name:str(80)"))
    commit(repository)
    for width in ("90", "100"):
        done(git(repository, "checkout", "--quiet", "-b", width, "main"))
        done(scaffold(repository, "field", "order-service", "order", f"name:str({width})"))
        commit(repository)
        done(git(repository, "checkout", "--quiet", "main"))
    done(git(repository, "merge", "--quiet", "--no-edit", "90"))

    assert git(repository, "merge", "--no-edit", "100").returncode == 1

    assert "whose sides differ in order-service.order: keep what is right" in refused(
        scaffold(repository, "apply")
    )
