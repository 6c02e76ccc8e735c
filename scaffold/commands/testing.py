"""`python -m scaffold test`: the tests of services, by name or by what changed against git."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, cast

import click

from quart_fleet.files import UnreadableFileError, parse_toml, read_text
from scaffold.commands.completion import complete_service
from scaffold.commands.routes import find_services
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.language.fleet import FILE, parse_fleet
from scaffold.names import normalise
from scaffold.workspace import MODELS, SERVICES, Service, Workspace

_SHARED = "shared"
_TESTS = "tests"
_UNTESTED = (
    *("*.md", "LICENSE*", "*Dockerfile", "*compose.yaml", "*.dockerignore", "*.env.example"),
    *(".git*", ".pre-commit-config.yaml", ".scaffold/*", ".vscode/*", ".idea/*", "Makefile"),
    *("docs/*", "deploy/*", "nix/*", "flake.*", "mkdocs.yml"),
)
"""Patterns of what no test of a service runs on."""
_MODULE = re.compile(r"shared(\.\w+)+")
_TEST_FILES = ("test_*.py", "*_test.py")
"""Patterns of files of tests, unless the workspace has others."""
_WORKERS = ("-n", "--numprocesses", "no:xdist", "--dist")
"""Arguments of pytest by which its caller chooses the processes."""


class PytestCommand(click.Command):
    """A command that leaves what follows `--` to pytest, and has --changed take a commit or none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set pytest's arguments aside: to click, `--` is the same as its absence."""
        end = args.index("--") if "--" in args else len(args)
        ctx.obj = args[end + 1 :]
        own = [
            f"--against={each.partition('=')[2]}" if each.startswith("--changed=") else each
            for each in args[:end]
        ]
        return super().parse_args(ctx, own)


@click.command("test", cls=PytestCommand)
@click.argument(
    "names", nargs=-1, metavar="[SERVICE]... [-- PYTEST...]", shell_complete=complete_service
)
@click.option(
    "--changed", is_flag=True, help="What changed since git's last commit, and what depends on it."
)
@click.option(
    "--against",
    metavar="REF",
    help="Since this branch left another, as main; --changed=REF is the same.",
)
@click.pass_context
def command(
    context: click.Context, names: tuple[str, ...], changed: bool, against: str | None
) -> None:
    """Run the tests of SERVICE, by default all, on a real PostgreSQL.

    With --changed, of what differs from git's last commit in the working tree, the index and new
    files, and of what depends on that: services on the modules of shared/ that they import, and on
    services that they call or refer to, be it by others; all of them on what is installed.

    What follows -- is for pytest; the exit code is pytest's.
    """
    if against == "":  # as of a variable that is not set
        raise click.BadParameter("it names no commit", param_hint="--changed=REF")
    workspace = Workspace.find(Path.cwd())
    named = find_services(names)
    if changed or against:
        chosen = choose_changed(workspace, named, against, is_whole=not names)
        if not chosen:
            click.echo("Nothing to test.", err=True)
            return
    elif names:
        chosen = {f"{SERVICES}/{one.package}": f"{one.called}: named" for one in named}
    else:
        chosen = dict.fromkeys(roots_of(workspace), "")
    run_tests(workspace.root, chosen, context.obj, is_asked=bool(names))


def run_tests(
    root: Path, chosen: Mapping[str, str], arguments: Sequence[str], *, is_asked: bool
) -> None:
    """Become pytest, unless there is no test; raises ScaffoldError."""
    paths = []
    settings = settings_of(root)
    for path, reason in chosen.items():
        place = root / path
        has_tests = place.is_file() or any(
            is_test_file(each, settings) for each in place.rglob("*.py")
        )
        paths += [path] * has_tests
        if reason:
            click.echo(reason if has_tests else f"{reason}; it has no tests", err=True)
    if not paths:
        if is_asked:
            raise ScaffoldError("There is no test to run.")
        click.echo("There is no test yet.", err=True)
        return
    if find_spec("pytest") is None:
        raise ScaffoldError("pytest is not installed: make install at the workspace's root.")
    workers = ["-n", "auto", "--maxprocesses", "4"]
    if find_spec("xdist") is None or any(one.startswith(_WORKERS) for one in arguments):
        workers = []
    os.chdir(root)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *workers, *paths, *arguments])  # noqa: S606


def roots_of(workspace: Workspace) -> list[str]:
    """Return the folders that pytest looks into by itself."""
    root = workspace.root
    named = words_of(settings_of(root).get("testpaths", [SERVICES])) or ["."]
    found = (
        sorted(os.path.relpath(path, root) for path in root.glob(each))
        if set(each) & set("*?[") and not Path(each).is_absolute()
        else [os.path.normpath(each)]
        for each in named
    )
    return [*dict.fromkeys(path for paths in found for path in paths)]


def settings_of(root: Path) -> Mapping[str, Any]:
    """Return pytest's settings of a workspace."""
    tool = parse_toml(root / "pyproject.toml").get("tool", {}).get("pytest", {})
    settings: Mapping[str, Any] = tool.get("ini_options", tool)
    return settings


def words_of(setting: object) -> list[str]:
    """Return the parts of a setting of pytest that is a list, or a text of words."""
    return shlex.split(setting) if isinstance(setting, str) else [*cast("Iterable[str]", setting)]


def is_test_file(path: PurePath, settings: Mapping[str, Any]) -> bool:
    """Whether pytest looks for tests in a file."""
    patterns = words_of(settings.get("python_files", _TEST_FILES))
    return path.suffix == ".py" and any(map(path.match, patterns))


def choose_changed(
    workspace: Workspace, services: Sequence[Service], against: str | None, *, is_whole: bool
) -> dict[str, str]:
    """Return the paths to test, each with why; raises ScaffoldError.

    Args:
        workspace: which git knows.
        services: of which some may be chosen.
        against: the commit that is compared with; without one, git's last.
        is_whole: whether tests that are no service's may be chosen too.
    """
    git = Git(workspace.root)
    base = git.find_base(against)
    changes = Changes(workspace, git.read(f"{base}:./{FILE}") if base else "")
    for path in sorted(git.changed_since(base)):
        changes.add(path)
    if not base:
        changes.everything = "git has no commit yet"
    if changes.untested:
        click.echo(f"No test depends on {shorten(changes.untested)}.", err=True)
    others = (one for one in roots_of(workspace) if Path(one).parts[:1] != (SERVICES,))
    roots = [*others] if is_whole else []
    if changes.everything and is_whole:
        return {one: f"{one}: {changes.everything}" for one in roots_of(workspace)}
    chosen = {}
    for one in services:
        reason = changes.everything or changes.reasons.get(one.package)
        if reason:
            chosen[f"{SERVICES}/{one.package}"] = f"{one.called}: {reason}"
    for root in roots:
        if changes.reasons:
            chosen[root] = f"{root}: may depend on every service"
        else:
            chosen |= {path: f"{path}: changed" for path in changes.tests}
    return chosen


def shorten(paths: Sequence[str]) -> str:
    """Return three of them, and how many there are more."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"


@dataclass(frozen=True, slots=True)
class Git:
    """What git knows of a workspace, which may be a folder of a repository."""

    root: Path

    def find_base(self, reference: str | None) -> str:
        """Return the commit to compare with: where this branch left `reference`, or the last one.

        It is empty in a repository without a commit. Raises ScaffoldError.
        """
        self._run("rev-parse", "--is-inside-work-tree")
        if reference is None:
            return self._find("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        found = self._find("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        if not found:
            raise MisuseError(
                f"git knows no commit {reference!r} here. A shallow clone has one branch: "
                "git fetch --unshallow"
            )
        return self._find("merge-base", found, "HEAD") or found

    def changed_since(self, base: str) -> set[str]:
        """Return the paths that differ, below the workspace: those that are gone too."""
        if not base:
            return set()
        # The index for itself, since what is only there is committed next.
        compared = ("diff", "--name-only", "--no-renames", "--relative", "-z")
        listed = (
            self._run(*compared, base, "--", "."),
            self._run(*compared, "--cached", base, "--", "."),
            self._run("ls-files", "--others", "--exclude-standard", "-z", "--", "."),
        )
        return {path for one in listed for path in one.split("\0") if path}

    def read(self, what: str) -> str:
        """Return the text of a file in a commit; empty where it is not there."""
        return self._find("show", what)

    def _find(self, *arguments: str) -> str:
        done = self._call(*arguments)
        return "" if done.returncode else done.stdout.rstrip("\n")

    def _run(self, *arguments: str) -> str:
        done = self._call(*arguments)
        if not done.returncode:
            return done.stdout
        said = done.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
        if "not a git repository" in said:
            said = f"{self.root} is in no git repository, with which --changed compares"
        elif "dubious ownership" in said:
            said = f"another user owns {self.root}: git config --global --add safe.directory {self.root}"
        raise ScaffoldError(f"{said}.\nWithout git: python -m scaffold test [SERVICE]...")

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603 - of the workspace's owner
                ["git", *arguments],  # noqa: S607
                cwd=self.root,
                env=os.environ | {"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except FileNotFoundError:
            raise ScaffoldError(
                "git is not installed, with which --changed compares.\n"
                "Without it: python -m scaffold test [SERVICE]..."
            ) from None


@dataclass(slots=True)
class Changes:
    """What changed, and which tests that concerns."""

    workspace: Workspace
    former_fleet: str
    """The text of fleet.toml in the commit that is compared with."""
    everything: str = ""
    """Why all tests are to run; empty where they are not."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a service's are, by its package."""
    tests: list[str] = field(default_factory=list)
    """Tests that changed and are no service's."""
    untested: list[str] = field(default_factory=list)
    """What changed and concerns none."""
    _imports: "dict[str, set[str]] | None" = None

    def add(self, path: str) -> None:
        """Take one changed path, below the workspace's root, into account."""
        first, *rest = PurePosixPath(path).parts
        if any(fnmatchcase(path, pattern) for pattern in _UNTESTED):
            self.untested.append(path)
        elif first == SERVICES and rest[1:2] == [_TESTS]:
            self.choose(rest[0], f"{path} changed")
        elif first == SERVICES and rest[1:]:
            self.add_service(rest[0], f"{path} changed")
        elif path == FILE:
            self.add_fleet()
        elif first == _SHARED and path.endswith(".py"):
            self.add_module(path)
        elif path.startswith(f"{self.workspace.migrations}/"):
            self.add_revision(path)
        elif first == _TESTS:
            is_test = is_test_file(PurePosixPath(path), settings_of(self.workspace.root))
            if (self.workspace.root / path).is_file() or not is_test:
                self.tests.append(path if is_test else _TESTS)
        else:
            self.everything = self.everything or f"{path} changed"

    def choose(self, package: str, reason: str) -> None:
        """Have a service tested, for the first reason that is given."""
        self.reasons.setdefault(package, reason)

    def add_service(self, package: str, reason: str) -> None:
        """Choose a service and those that call it or refer to it, be it by others."""
        self.choose(package, reason)
        try:
            text = read_text(self.workspace.root / FILE)
            described = parse_fleet(text).services
        except (FileNotFoundError, ScaffoldError, UnreadableFileError):
            self.everything = self.everything or f"{FILE} does not tell which service calls which"
            return
        uses = {}
        for one in described:
            parts = (each for resource in one.resources for each in (resource, *resource.parts))
            used = {each.type.service for part in parts for each in part.fields}
            used |= {client.provider for client in one.clients}
            uses[normalise(one.name)] = {normalise(each) for each in used if each}
        ahead, seen = [(package, f"of which {reason}")], {package}
        for provider, why in ahead:
            for caller in [each for each in uses if provider in uses[each] and each not in seen]:
                seen.add(caller)
                self.choose(caller, f"uses {provider}, {why}")
                ahead.append((caller, f"which uses {provider}, {why}"))

    def add_revision(self, path: str) -> None:
        """Choose the services that keep tables: the tests of all of them begin with every revision."""
        for package, modules in self.find_imports().items():
            if MODELS.replace("/", ".") in modules:
                self.choose(package, f"keeps tables, and {path} changed")

    def add_fleet(self) -> None:
        """Choose the services of which fleet.toml says something else than before."""
        try:
            before = tomllib.loads(self.former_fleet)
            now = tomllib.loads(read_text(self.workspace.root / FILE))
        except (OSError, UnreadableFileError, tomllib.TOMLDecodeError):
            self.everything = self.everything or f"{FILE} changed"
            return
        for name in now.keys() | before.keys():
            if before.get(name) != now.get(name) and not name.startswith("_"):
                self.add_service(normalise(name), f"what {FILE} says of {name} changed")

    def add_module(self, path: str) -> None:
        """Choose the services that import a module of shared/, be it by others of shared/."""
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        importers = [
            package for package, modules in self.find_imports().items() if module in modules
        ]
        for package in importers:
            self.choose(package, f"imports {module}, which changed")
        if not importers:
            self.untested.append(path)

    def find_imports(self) -> dict[str, set[str]]:
        """Return all that each service imports of shared/, by its package, and so do other tests."""
        if self._imports is None:
            root = self.workspace.root
            modules = {
                ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(
                    ".__init__"
                ): path
                for path in (root / _SHARED).rglob("*.py")
            }
            between = {name: imports_of([path], modules) for name, path in modules.items()}
            self._imports = {}
            folders = {each.package: each.folder for each in self.workspace.services()}
            for package, folder in (*folders.items(), (_TESTS, root / _TESTS)):
                found, ahead = set[str](), imports_of(folder.rglob("*.py"), modules)
                while ahead:
                    module = ahead.pop()
                    if module not in found:
                        found.add(module)
                        ahead |= between.get(module, set())
                self._imports[package] = found
        return self._imports


def imports_of(paths: Iterable[Path], modules: Mapping[str, Path]) -> set[str]:
    """Return the modules of shared/ that files may import, and the packages that these are in.

    A name in a string counts, as `import_module` takes one; of a file that cannot be parsed, all do.

    Args:
        paths: of the files, any of which may be a module of shared/ itself.
        modules: of shared/, by their names.
    """
    packages = {
        path: name if path.stem == "__init__" else name.rpartition(".")[0]
        for name, path in modules.items()
    }

    def read(path: Path) -> Iterator[str]:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            yield from modules
            return
        for node in ast.walk(tree):
            match node:
                case ast.Import():
                    yield from (each.name for each in node.names)
                case ast.ImportFrom():
                    module = node.module or ""
                    if node.level:
                        above = packages.get(path, "").split(".")
                        above = above[: len(above) - node.level + 1]
                        module = ".".join([*above, *([module] * bool(module))])
                    yield module
                    # What is imported from a package may be a module of it.
                    yield from (f"{module}.{each.name}" for each in node.names)
                    if any(each.name == "*" for each in node.names):
                        yield from (name for name in modules if name.startswith(f"{module}."))
                case ast.Constant(value=str(text)) if _MODULE.fullmatch(text):
                    yield text

    return {
        ".".join(parts[:end])
        for parts in (name.split(".") for path in paths for name in read(path))
        for end in range(1, len(parts) + 1)
        if parts[0] == _SHARED
    }
