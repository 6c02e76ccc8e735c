"""Every name that the flake takes from nixpkgs is one that nixpkgs has."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.nix.offline import SYSTEMS, Completed, OfflineNix, done
from tests.workspace import FRAMEWORK

pytestmark = pytest.mark.slow


@pytest.fixture
def flake(tmp_path: Path) -> Path:
    """The flake without the rest of the workspace."""
    shutil.copytree(FRAMEWORK / "nix", tmp_path / "nix", ignore=lambda *_: ["__pycache__"])
    for name in ("flake.nix", "flake.lock"):
        shutil.copy(FRAMEWORK / name, tmp_path)
    return tmp_path


def evaluate_all(nix: OfflineNix, flake: Path, system: str) -> list[Completed]:
    """Evaluate every output of a system, down to what would be built."""
    outputs = ("devShells", "packages", "checks", "apps")
    attributes = [f"path:{flake}#{output}.{system}" for output in outputs]
    return [
        *(nix.run_overridden("eval", "--json", attribute) for attribute in attributes),
        nix.run_overridden("eval", "--raw", f"path:{flake}#formatter.{system}"),
    ]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_name_is_known(nix: OfflineNix, flake: Path, system: str) -> None:
    for completed in evaluate_all(nix, flake, system):
        assert done(completed)


@pytest.mark.parametrize(
    ("file", "name", "unknown"),
    [
        ("packages.nix", "pytest-asyncio", "pytest-asynchronous"),
        ("tools.nix", "postgresql_18", "postgresql_81"),
        ("grimp.nix", "python.pkgs.typing-extensions", "python.pkgs.typing-retractions"),
        ("formatter.nix", "pkgs.treefmt", "pkgs.treesmt"),
    ],
)
def test_an_unknown_name_would_be_noticed(
    nix: OfflineNix, flake: Path, file: str, name: str, unknown: str
) -> None:
    path = flake / "nix" / file
    text = path.read_text()
    assert name in text
    path.write_text(text.replace(name, unknown))

    refusals = [one.stderr for one in evaluate_all(nix, flake, SYSTEMS[0]) if one.returncode]

    assert refusals
    assert all(unknown.rpartition(".")[2] in refusal for refusal in refusals)


def test_the_flake_has_every_package_that_the_project_names() -> None:
    project = tomllib.loads((FRAMEWORK / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["scaffold"], *extras["dev"]]
    needed = {re.split(r"[^\w-]", line)[0].lower() for line in lines} - {project["name"]}

    texts = [(FRAMEWORK / "nix" / name).read_text() for name in ("packages.nix", "tools.nix")]

    assert needed <= {word for text in texts for word in re.findall(r"[\w-]+", text)}
