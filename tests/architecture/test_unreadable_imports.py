"""What cannot be read is an error, never a pass; and what is read is this workspace, as it is."""

import json
import os
from pathlib import Path

import grimp
import pytest

from scaffold.contracts import check as contracts
from scaffold.contracts.linter import UnknownModuleError, find_broken
from scaffold.contracts.rules import Rule
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace
from tests.architecture.generated import USER, DamageableWorkspace
from tests.workspace import FRAMEWORK


def refusal(workspace: DamageableWorkspace) -> str:
    """Return why the check refused, in as many lines as it has reasons."""
    run = workspace.scaffold("contracts")
    assert (run.returncode, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr
    return run.stderr


@pytest.mark.parametrize(
    "folder", [USER, f"{USER}/domain", f"{USER}/infrastructure/web", "shared", "shared/models"]
)
def test_a_folder_that_is_no_package_is_refused(
    workspace: DamageableWorkspace, folder: str
) -> None:
    with workspace.without(f"{folder}/__init__.py"):
        assert f"{folder} has no __init__.py" in refusal(workspace)


@pytest.mark.parametrize("layer", ["app.py", "bootstrap.py", "infrastructure", "domain"])
def test_a_service_without_a_layer_is_refused(workspace: DamageableWorkspace, layer: str) -> None:
    with workspace.without(f"{USER}/{layer}"):
        assert f"{USER} has no {layer.removesuffix('.py')}:" in refusal(workspace)


def test_a_syntax_error_is_refused_with_its_line(workspace: DamageableWorkspace) -> None:
    file = f"{USER}/domain/planted.py"
    with workspace.planted(file, "import json\ndef (:\n"):
        assert f"Syntax error in {file}: line 2. " in refusal(workspace)


def test_a_relative_import_that_leaves_its_service_is_refused(
    workspace: DamageableWorkspace,
) -> None:
    file = f"{USER}/domain/planted.py"
    with workspace.planted(file, "\nfrom ...product_service import domain\n"):
        assert f"{file}:2: a relative import leaves user_service" in refusal(workspace)


@pytest.mark.parametrize("module", ["application/use_cases/user_use_cases", "domain/entities/user"])
def test_an_import_of_a_module_that_is_gone_is_refused(
    workspace: DamageableWorkspace, module: str
) -> None:
    with workspace.without(f"{USER}/{module}.py"):
        lines = refusal(workspace)

    assert f"{USER}/tests/fakes.py:" in lines or f"{USER}/bootstrap.py:" in lines
    assert f": user_service.{module.replace('/', '.')} does not exist: restore it" in lines


def test_a_relative_import_of_a_module_that_never_was_is_refused(
    workspace: DamageableWorkspace,
) -> None:
    file = f"{USER}/domain/planted.py"
    with workspace.planted(file, "\nfrom .entities.missing import Missing\n"):
        assert f"{file}:2: user_service.domain.entities.missing does not" in refusal(workspace)


def test_a_service_that_python_cannot_name_is_refused(workspace: DamageableWorkspace) -> None:
    with workspace.copied(USER, "services/user-copy"):
        assert "services/user-copy cannot be imported" in refusal(workspace)


def test_a_service_that_another_package_hides_is_refused(workspace: DamageableWorkspace) -> None:
    with workspace.copied(USER, "services/shared"):
        assert "services/shared is hidden by another package" in refusal(workspace)


def test_a_linter_that_stops_is_reported_in_one_line(workspace: DamageableWorkspace) -> None:
    with workspace.copied(USER, "services/grimp"):
        assert "The linter stopped before it was done: " in refusal(workspace)


@pytest.mark.slow
def test_a_virtual_environment_in_a_service_is_not_read(workspace: DamageableWorkspace) -> None:
    with workspace.copied(f"{USER}/domain", f"{USER}/venv"):
        (workspace.root / USER / "venv" / "__init__.py").unlink()
        (workspace.root / USER / "venv" / "pyvenv.cfg").touch()

        run = workspace.scaffold("contracts")

    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_a_new_service_is_covered_at_once(workspace: DamageableWorkspace) -> None:
    with workspace.copied("services/product_service", "services/order_service"):
        run = workspace.scaffold("contracts")

    assert "services/order_service/app.py" in run.stdout
    assert "services never import each other" in run.stdout


@pytest.mark.slow
def test_a_service_without_tests_is_checked(workspace: DamageableWorkspace) -> None:
    with workspace.without(f"{USER}/tests"):
        run = workspace.scaffold("contracts")

    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_the_answer_is_never_an_old_one(workspace: DamageableWorkspace) -> None:
    path = workspace.root / USER / "domain" / "planted.py"
    with workspace.planted(f"{USER}/domain/planted.py", "import quart\n"):
        before = path.stat()
        red = workspace.scaffold("contracts")
        path.write_text("import queue\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        green = workspace.scaffold("contracts")

    assert (red.returncode, green.returncode) == (1, 0)
    assert not list(workspace.root.glob(".*_cache"))


@pytest.mark.slow
def test_another_workspace_on_the_path_changes_nothing(
    workspace: DamageableWorkspace, tmp_path: Path
) -> None:
    for package in ("shared", "user_service"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("import quart\n")

    run = workspace.scaffold("contracts", PYTHONPATH=f"{tmp_path}{os.pathsep}{FRAMEWORK}")

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_check_works_from_any_folder_of_the_workspace(workspace: DamageableWorkspace) -> None:
    with workspace.planted(f"{USER}/domain/planted.py", "import quart\n"):
        run = workspace.scaffold("contracts", folder=f"{USER}/domain")

    assert run.stdout.startswith(f"{USER}/domain/planted.py:1: ")


def test_a_program_reads_what_is_broken(workspace: DamageableWorkspace) -> None:
    with workspace.planted(f"{USER}/domain/planted.py", "import quart\n"):
        run = workspace.scaffold("contracts", "--json")

    document = json.loads(run.stdout)
    assert document["packages"][-1] == "user_service"
    assert document["broken"] == [
        {
            "file": f"{USER}/domain/planted.py",
            "line": 1,
            "module": "user_service.domain.planted",
            "imported": "quart",
            "rule": "a domain imports only the standard library, quart_fleet.errors, "
            "quart_fleet.paging, quart_fleet.patterns and itself",
        }
    ]
    assert run.returncode == 1


@pytest.mark.slow
def test_forced_colours_leave_the_answer_as_it_is(workspace: DamageableWorkspace) -> None:
    run = workspace.scaffold("contracts", FORCE_COLOR="1")

    assert (run.returncode, run.stderr) == (0, "")
    assert "\x1b" not in run.stdout


def test_an_unknown_option_is_misuse(workspace: DamageableWorkspace) -> None:
    assert workspace.scaffold("contracts", "--fix").returncode == 2


def test_a_missing_linter_says_how_to_install_it(
    workspace: DamageableWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "find_spec", lambda _name: None)

    with pytest.raises(ScaffoldError, match="make install"):
        contracts.check(Workspace(workspace.root))


@pytest.mark.parametrize("misspelt", ["binds", "forbids", "allows"])
def test_a_rule_that_names_no_module_is_refused(misspelt: str) -> None:
    names = {"binds": "shared", "forbids": "db_manager", "allows": "quart_fleet.errors"}
    graph = grimp.ImportGraph()
    for name in names.values():
        graph.add_module(name)
    names[misspelt] = "db_managr"
    rule = Rule(says="a law holds", **{key: (name,) for key, name in names.items()})

    with pytest.raises(UnknownModuleError, match="db_managr"):
        find_broken(graph, [rule])
