"""`nix flake check` passes a workspace that is right, and each check fails one that is not."""

import subprocess
from pathlib import Path

import pytest

from tests.db_manager.outcome import USERS
from tests.nix.offline import SYSTEM, OfflineNix, commit, done, flake_of, prepared
from tests.workspace import FRAMEWORK, GeneratedWorkspace

pytestmark = pytest.mark.slow

_PLANTS = {
    "lint": ("services/user_service/app.py", "import this\n"),
    "types": ("shared/utils/response.py", "COUNT: int = 'many'\n"),
    "contracts": ("services/user_service/domain/entities/user.py", "import pydantic as pydantic\n"),
    "revisions": (
        f"db_manager/migrations/versions/{USERS}_create_users.py",
        'phase = "expand"\n\n\ndef upgrade() -> None:\n    op.drop_table("users")\n',
    ),
    "tests": (
        "services/user_service/tests/test_database.py",
        "def test_it(fresh_database_url: str) -> None:\n    assert not fresh_database_url\n",
    ),
}
"""For each check, what it must find, at the end of which file."""


def test_every_check_passes_and_every_check_can_fail(nix: OfflineNix, workspace: Path) -> None:
    GeneratedWorkspace(workspace).python("-m", "scaffold", "user-service", "8081")
    commit(workspace)
    done(nix.run_overridden("flake check", flake_of(workspace)))

    for file, text in _PLANTS.values():
        with (workspace / file).open("a") as planted:
            planted.write(text)
    commit(workspace)
    for name, (file, _) in _PLANTS.items():
        check = f"{flake_of(workspace)}#checks.{SYSTEM}.{name}"
        completed = nix.run_overridden("build", "--print-build-logs", "--no-link", check)
        assert completed.returncode, f"{name} passes what it must not"
        assert Path(file).name in completed.stderr


@pytest.mark.parametrize("of", ["the framework", "a workspace"])
def test_a_flake_is_evaluated_without_being_built(
    nix: OfflineNix, workspace: Path, of: str
) -> None:
    """In a fresh store, to which `--no-build` writes nothing, for all systems."""
    flake = FRAMEWORK if of == "the framework" else flake_of(workspace)
    with prepared() as fresh:
        done(fresh.run_overridden("flake check", "--no-build", flake))


def test_python_and_shell_are_formatted(nix: OfflineNix, tmp_path: Path) -> None:
    """Nix is too, where its formatter is: the stand-in for nixpkgs has none."""
    repository = tmp_path / "clone"
    archive = ["git", "archive", "--format=tar", "HEAD", "-o", str(tmp_path / "clone.tar")]
    subprocess.run(archive, cwd=FRAMEWORK, check=True)
    repository.mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "clone.tar", "-C", repository], check=True)
    commit(repository)
    check = f"{flake_of(repository)}#checks.{SYSTEM}.formatting"
    done(nix.run_overridden("build", "--no-link", check))

    (repository / "nix/selection.py").write_text("NUMBER   =   1\n")
    (repository / "nix/workspace.sh").write_text("if true; then\necho yes\nfi\n")
    commit(repository)
    completed = nix.run_overridden("build", "--print-build-logs", "--no-link", check)

    assert completed.returncode != 0
    assert "formatted: nix/selection.py" in completed.stderr
    assert "formatted: nix/workspace.sh" in completed.stderr
