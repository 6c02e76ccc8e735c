"""Nix with a store of its own, the stand-in for nixpkgs, and no way to the network."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from quart_fleet.conventions import without_foreign_variables
from tests.workspace import FRAMEWORK

SYSTEM = f"{platform.machine()}-linux"
SYSTEMS = ("x86_64-linux", "aarch64-linux", "aarch64-darwin")
STANDIN = FRAMEWORK.parent / "shared" / "nix_offline"

_ADDITIONS = Path(__file__).parent / "standin"
_LEAKING = ("PYTHONPATH", "VIRTUAL_ENV", "QUART_FLEET_TEST_FOLDER", "MAKEFLAGS", "MAKELEVEL")

Completed = subprocess.CompletedProcess[str]


def find_obstacle() -> str | None:
    """Return why the flake cannot be run here, or None."""
    if sys.platform != "linux":
        return "the stand-in for nixpkgs stands on Linux"
    for program in ("nix", "git", "postgres", "shfmt"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not (STANDIN / "prepare").is_file():
        return f"the stand-in for nixpkgs is not there: {STANDIN}"
    if not (FRAMEWORK / ".git").exists():
        return "not a git checkout: a flake would copy virtual environments too"
    return None


@dataclass(frozen=True, slots=True)
class OfflineNix:
    """Everything that Nix reads and writes, in one folder."""

    root: Path

    @classmethod
    def prepare(cls, root: Path, python: Path) -> "OfflineNix":
        """Copy the stand-in, with the attributes that it lacks, and write Nix's settings.

        `python` is the folder of the interpreter that stands in for nixpkgs' own.
        """
        for name in ("conf", "home", "tmp"):
            (root / name).mkdir()
        settings = subprocess.run(
            [STANDIN / "prepare", root / "nixpkgs", python],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        # Otherwise an hour would pass until the next commit of a workspace is seen.
        (root / "conf/nix.conf").write_text(f"{settings}tarball-ttl = 0\n")
        for file in _ADDITIONS.iterdir():
            (root / "nixpkgs" / file.name).unlink(missing_ok=True)
            shutil.copy(file, root / "nixpkgs")
        _give_pip(root / "nixpkgs/host.json")
        return cls(root)

    @property
    def store(self) -> Path:
        """Where all that Nix builds ends up."""
        return self.root / "store"

    @property
    def environment(self) -> dict[str, str]:
        """What a user of this Nix sees."""
        own = {name: value for name, value in os.environ.items() if name not in _LEAKING}
        return without_foreign_variables(own) | {
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "NIX_CONF_DIR": str(self.root / "conf"),
            "NIX_STORE_DIR": str(self.store),
            "NIX_STATE_DIR": str(self.root / "var"),
            "NIX_LOG_DIR": str(self.root / "log"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }

    def run(self, *words: str | Path, folder: Path = FRAMEWORK) -> Completed:
        """Run `nix` with the flake's own inputs."""
        return subprocess.run(
            ["nix", *map(str, words)],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def run_overridden(
        self, command: str, *words: str | Path, folder: Path = FRAMEWORK
    ) -> Completed:
        """Run `nix command` with the stand-in for nixpkgs."""
        nixpkgs = ("--override-input", "nixpkgs", f"path:{self.root / 'nixpkgs'}")
        verb = command.split()
        return self.run(*verb, *nixpkgs, "--no-write-lock-file", *words, folder=folder)

    def develop(self, flake: str, script: str, folder: Path) -> Completed:
        """Run a script of bash in the flake's shell."""
        return self.run_overridden("develop", flake, "-c", "bash", "-ec", script, folder=folder)

    def evaluate(self, flake: str, attribute: str) -> object:
        """Return the JSON value of a flake's attribute."""
        return json.loads(done(self.run_overridden("eval", "--json", f"{flake}#{attribute}")))


def _give_pip(host: Path) -> None:
    """Have the stand-in's Python bring its pip, as that of nixpkgs does."""
    facts = json.loads(host.read_text())
    host.write_text(json.dumps(facts | {"pythonBins": [*facts["pythonBins"], "pip"]}))


@contextmanager
def prepared(python: Path = Path(sys.executable).parent) -> Iterator[OfflineNix]:
    """Nix in a folder that is gone afterwards, where PostgreSQL's user can read the store."""
    root = Path(tempfile.mkdtemp(prefix="nix-")).resolve()
    root.chmod(0o755)
    try:
        yield OfflineNix.prepare(root, python)
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)
        shutil.rmtree(root)


def done(completed: Completed) -> str:
    """Return the output of a command that succeeded."""
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def commit(folder: Path) -> None:
    """Put all that is in a folder into its git, which is made where there is none."""
    author = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run(["git", *author, "commit", "-qm", "All of it"], cwd=folder, check=True)


def flake_of(folder: Path) -> str:
    """Return the reference of what a folder has committed; a path with spaces works as this only."""
    return f"git+file://{quote(str(folder))}?ref=main"
