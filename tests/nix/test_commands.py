"""`nix run`, `nix build` and `nix fmt`."""

import re
import shutil
from pathlib import Path

import pytest

from tests.nix.offline import SYSTEM, OfflineNix, commit, done, flake_of
from tests.workspace import FRAMEWORK, GeneratedWorkspace, run

pytestmark = pytest.mark.slow


def test_the_demo_runs_to_its_end(nix: OfflineNix, tmp_path: Path) -> None:
    completed = nix.run_overridden("run", f"{FRAMEWORK}#demo", folder=tmp_path)

    last = done(completed).splitlines()[-1]
    found = re.fullmatch(r"(\d+) of (\d+) checks passed in .* s\.", last)
    assert found, last
    assert int(found[1]) == int(found[2]) >= 60
    assert "Installing" not in completed.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_the_generator_and_without_arguments_the_demo(
    nix: OfflineNix, tmp_path: Path
) -> None:
    version = done(nix.run_overridden("run", FRAMEWORK, "--", "--version", folder=tmp_path))

    assert re.fullmatch(r"scaffold [\d.]+\n", version)
    default, demo = (
        str(nix.evaluate(str(FRAMEWORK), f"apps.{SYSTEM}.{name}.program"))
        for name in ("default", "demo")
    )
    assert f"if [ $# -eq 0 ]; then\n  exec {demo}\nfi" in Path(default).read_text()


def test_the_generator_serves_any_workspace_from_any_folder_of_it(
    nix: OfflineNix, workspace: Path, tmp_path: Path
) -> None:
    words = ("--", "order-service", "8083")

    done(nix.run_overridden("run", FRAMEWORK, *words, folder=workspace / "services"))
    elsewhere = nix.run_overridden("run", FRAMEWORK, *words, folder=tmp_path)

    assert (workspace / "services/order_service/app.py").is_file()
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    assert "is in no workspace" in elsewhere.stderr


def test_the_tests_of_the_workspace_run_from_any_folder_of_it(
    nix: OfflineNix, workspace: Path, tmp_path: Path
) -> None:
    def run_tests(folder: Path) -> tuple[int, str]:
        words = ("--", "-q", "-n0", "services")
        completed = nix.run_overridden("run", f"{FRAMEWORK}#test", *words, folder=folder)
        return completed.returncode, completed.stdout + completed.stderr

    GeneratedWorkspace(workspace).python("-m", "scaffold", "metrics-service", "8081", "--bare")
    assert run_tests(workspace / "services")[0] == 0
    code, output = run_tests(tmp_path)
    assert code == 1
    assert "is in no workspace" in output
    (workspace / "services/metrics_service/app.py").write_text("import no_such_module\n")
    (workspace / "services/metrics_service/bootstrap.py").write_text("import no_such_module\n")
    assert run_tests(workspace)[0] != 0


def test_the_package_is_the_generator(nix: OfflineNix, tmp_path: Path) -> None:
    done(nix.run_overridden("build", FRAMEWORK, "-o", tmp_path / "result"))

    [program] = (tmp_path / "result/bin").iterdir()
    assert run([str(program), "--version"], tmp_path, nix.environment).startswith("scaffold ")


def test_a_workspaces_own_flake_runs_its_generator(nix: OfflineNix, workspace: Path) -> None:
    words = ("--", "order-service", "8083")

    done(nix.run_overridden("run", flake_of(workspace), *words, folder=workspace))

    assert (workspace / "services/order_service/app.py").is_file()


def test_the_formatter_formats_what_it_is_told(nix: OfflineNix, made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "shop")
    commit(folder)

    output = done(nix.run_overridden("fmt", "flake.nix", folder=folder))

    assert output == "flake.nix\n"  # the stand-in's formatter only repeats its arguments
