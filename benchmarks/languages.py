"""Peers in other languages: what each needs, how it is built and started."""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import ROOT, run_installer

_SOURCES = Path(__file__).with_name("peers")
_BUILT = ROOT / ".venv-bench-languages"
_GO_LIBRARIES = Path("/usr/share/gocode")
"""Where Debian's packages put the sources of Go libraries; no other way to them is needed."""


@dataclass(frozen=True, slots=True)
class Build:
    """A folder of `benchmarks/peers`, copied into an environment of its own and built there."""

    source: str
    programs: Mapping[str, str]
    """What it needs on PATH, or at a path, and Debian's package that has it."""
    steps: tuple[tuple[str, ...], ...]
    start: tuple[str, ...]
    """Run with the environment of every peer; the last word is a path in the folder."""
    settings: Mapping[str, str]
    """The environment of the steps and of the server."""

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return _BUILT / self.source

    @property
    def command(self) -> list[str | Path]:
        """Return the command that starts it."""
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        *words, path = self.start
        return ["env", *settings, *words, self.folder / path]

    def find_missing(self) -> str | None:
        """Say what this machine lacks to build it."""
        lacking = [
            f"{program} is not there; Debian's package is {package}"
            for program, package in self.programs.items()
            if not (shutil.which(program) or Path(program).is_dir())
        ]
        return "; ".join(lacking) or None

    def make(self) -> None:
        """Build it where that has not been done; raises BenchmarkError."""
        stamp = self.folder / ".built"
        wanted = self._fingerprint()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        print(f"Building {self.source} in {_BUILT.name} ...", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(_SOURCES / self.source, self.folder)
        for step in self.steps:
            run_installer(step, self.folder, self.settings)
        stamp.write_text(wanted)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self).encode())
        for path in sorted((_SOURCES / self.source).iterdir()):
            digest.update(path.read_bytes())
        return digest.hexdigest()


_NODE = {"node": "nodejs", "npm": "npm"}
_NPM_INSTALL = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock")

FASTIFY = Build(
    "fastify", _NODE, (_NPM_INSTALL,), ("node", "server.js"), {"NODE_ENV": "production"}
)
NEST = Build(
    "nest",
    _NODE,
    (_NPM_INSTALL, ("npx", "tsc")),
    ("node", "built/main.js"),
    {"NODE_ENV": "production"},
)
GO = Build(
    "go",
    {
        "go": "golang-go",
        str(_GO_LIBRARIES / "src/github.com/jackc/pgx/v4"): "golang-github-jackc-pgx-v4-dev",
    },
    (("go", "build", "-o", "server", "main.go"),),
    ("server",),
    {"GO111MODULE": "off", "GOPATH": str(_GO_LIBRARIES), "GOMAXPROCS": "1"},
)
