"""`python -m scaffold upgrade`: a workspace brought to the version that runs here, by merging.

Three texts of each file, as for every command: what the workspace's version made of it, what this
one makes, and what is there. What the workspace's version made of its own files (Makefile, shared/,
docs/) no baseline keeps: the wheel in vendor/, or the workspace's .venv, makes it again in a
folder of its own, and so also the baseline of services that are older than baselines. All of it
happens in a copy; what differs there in the end is one plan, written whole or not at all.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import click
from packaging.version import Version

from quart_fleet.files import decode, parse_toml, read_text
from quart_fleet.output import mark
from quart_fleet.workspace import PROJECT_FILE
from scaffold.commands import preview
from scaffold.commands.editing import Options, confirm, summarise, takes_options
from scaffold.commands.init import read_words, render_workspace
from scaffold.distribution import vendor
from scaffold.distribution.framework import SOURCE, get_framework
from scaffold.engine import transaction
from scaffold.engine.baseline import (
    CONFLICTS,
    FOLDER,
    GENERATED,
    describe,
    place_of,
    place_of_owner,
    place_of_template,
    read_baseline,
    read_copied_templates,
    read_described,
    remember,
)
from scaffold.engine.change import ApplyOptions, plan_change, read_fleet_text
from scaffold.engine.merging import find_renamed, merge, merge_python
from scaffold.engine.plan import Plan, find_content, is_secret
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.presets import preset_of
from scaffold.generation.render import OWN, TEMPLATES, Files, sort_imports
from scaffold.language.fleet import FILE, FRESH, add_service, parse_fleet
from scaffold.names import ResourceName, ServiceName
from scaffold.workspace import MODELS, SERVICES, Workspace

_ALWAYS = (
    "Installed anew: make install && . .venv/bin/activate",
    "Migrated, then looked at: python -m db_manager migrate, python -m scaffold doctor",
)
NOTICES = Path(__file__).parents[1] / "notices.toml"

_COPIED = ("services", "shared", "db_manager", "scaffold", str(FOLDER))
_PASSED = shutil.ignore_patterns("__pycache__", "*.py[co]", "node_modules", ".venv*")
_LOCKED = re.compile(r"^quart-fleet==\S+ \\\n +--hash=sha256:\w+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A version of the framework that can be run, beside the one that runs here."""

    python: str
    folder: Path | None
    """What its packages are imported from, if not from where that Python has them."""

    def run(self, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of its generator in a folder; return what it printed."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if self.folder is not None:
            environment["PYTHONPATH"] = str(self.folder)
        return subprocess.run(  # noqa: S603 - a version of this very program
            [self.python, "-P", "-m", "scaffold", *arguments],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def make(self, here: Path, *arguments: str) -> None:
        """Run a command that makes something; raises ScaffoldError where it does not."""
        done = self.run(here, *arguments)
        if done.returncode:
            raise ScaffoldError(
                f"Nothing was written: the workspace's own version cannot {' '.join(arguments)}.\n"
                f"{done.stderr.strip()}"
            )


@dataclass(slots=True)
class Outcome:
    """What an upgrade does, decided and not written yet."""

    was: str
    now: str
    plan: Plan
    notes: list[str]
    """What stays as it is, and what its owner has to look at."""


@click.command("upgrade")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, path_type=Path),
    metavar="WHEEL|FOLDER",
    help="The newer distribution; without it, the one that runs.",
)
@takes_options
def command(source: Path | None, **options: bool) -> None:
    """Bring the workspace to a newer version of the framework; needs neither network nor git.

    Its wheel, the locks and the pinned tools are replaced, and all that was generated, the
    workspace's own Makefile, CI, shared/ and docs/ too, is merged into what was edited. A conflict
    is marked in the file and named. What changed, and what is left to do, is told at the end.
    """
    chosen, workspace = Options(**options), Workspace.find(Path.cwd())
    if source is not None:
        flags = [f"--{name.replace('_', '-')}" for name, given in options.items() if given]
        with opened(source.resolve()) as folder:
            sys.exit(_run_newer(folder, flags))
    with workspace.locked() if chosen.writes else nullcontext():
        if chosen.writes and transaction.recover(workspace.root):
            click.echo("Undid what an interrupted scaffold had left.", err=True)
        outcome = plan_upgrade(workspace)
        confirm([], chosen)
        if chosen.writes:
            transaction.apply(remember(outcome.plan))
    _print(outcome, chosen)


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Give the folder that a wheel's packages can be imported from; raises MisuseError."""
    with tempfile.TemporaryDirectory(prefix="scaffold-") as name:
        folder = source
        if zipfile.is_zipfile(source):
            folder = Path(name)
            zipfile.ZipFile(source).extractall(folder)
        if not (folder / "scaffold/__main__.py").is_file():
            raise MisuseError(f"{source} is no distribution of quart-fleet: a wheel, or a clone.")
        yield folder


def _run_newer(folder: Path, flags: list[str]) -> int:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-m", "scaffold", "upgrade", *flags]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603


def plan_upgrade(workspace: Workspace) -> Outcome:
    """Decide what brings a workspace to the version that runs; raises ScaffoldError."""
    root, now = workspace.root, get_framework().version
    if (root / "scaffold/__init__.py").is_file():
        raise ScaffoldError(f"{root} is the framework's own repository: git pull.")
    project = parse_toml(root / PROJECT_FILE)
    was = str(project["tool"]["scaffold"].get("framework", ""))
    if not was or Version(was) > Version(now):
        raise ScaffoldError(
            f"{root} is of quart-fleet {was or 'an unknown version'}, and {now} runs.\n"
            "Name a newer one: python -m scaffold upgrade --from WHEEL"
        )
    with tempfile.TemporaryDirectory(prefix="scaffold-") as folder:
        words = read_words(root)
        past = Path(folder, "was", words.name)
        past.parent.mkdir()
        with _own_distribution(root, was) as own:
            own.make(
                past.parent,
                *("init", str(past), "--name", words.name),
                *("--description", words.description, "--license", words.license.option),
            )
            owned = {
                path: (past / path).read_bytes() for path in list_files(past) if not is_secret(path)
            }
            upgrade = _Upgrade(root, Path(folder, "now", words.name), workspace.migrations)
            upgrade.copy(owned)
            if not (read_described(root) and read_baseline(root)):
                upgrade.make_baseline(past, own, owned)
        upgrade.bring_owned(owned, render_workspace(words))
        upgrade.bring_distribution(was, owned)
        upgrade.bring_templates()
        upgrade.bring_generated()
        return Outcome(was, now, upgrade.plan(), upgrade.notes)


@contextmanager
def _own_distribution(root: Path, version: str) -> Iterator[Distribution]:
    """Give the version that the workspace is of: its wheel, else its .venv; raises ScaffoldError."""
    wheel = root / vendor.FOLDER / f"quart_fleet-{version}-py3-none-any.whl"
    if wheel.is_file():
        with opened(wheel) as folder:
            yield Distribution(sys.executable, folder)
        return
    installed = Distribution(str(root / ".venv/bin/python"), None)
    if Path(installed.python).exists():
        said = installed.run(root, "--version").stdout.split()
        if said[-1:] == [version]:
            yield installed
            return
    if version == get_framework().version:
        yield Distribution(sys.executable, SOURCE)
        return
    raise ScaffoldError(
        f"{wheel.relative_to(root)} is missing, by which is known what {version} generated.\n"
        "Bring it back, or install that version: make install"
    )


class _Upgrade:
    """A copy of a workspace, brought to the version that runs step by step.

    Args:
        root: the workspace.
        copy: a new folder of the same name.
        migrations: where its revisions are, below the root.
    """

    def __init__(self, root: Path, copy: Path, migrations: str) -> None:
        self.root = root
        self.here = copy
        self.notes: list[str] = []
        self._versions = PurePosixPath(migrations, "versions")
        self._copied: set[PurePosixPath] = set()
        self._conflicts: dict[PurePosixPath, int] = {}
        self._marked: Files = {}

    def copy(self, owned: Iterable[PurePosixPath]) -> None:
        """Copy what is generated, and what a version makes of a workspace's own files."""
        self.here.mkdir(parents=True)
        for name in _COPIED:
            if (self.root / name).is_dir():
                shutil.copytree(self.root / name, self.here / name, ignore=_PASSED)
        for path in (*owned, PurePosixPath(FILE)):
            source, target = self.root / path, self.here / path
            if source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self._copied = list_files(self.here)

    def make_baseline(
        self, past: Path, own: Distribution, owned: Collection[PurePosixPath]
    ) -> None:
        """Make what the workspace's own version generated of its services, as their baseline.

        `past` is what that version makes of a new workspace, `owned` its files. One that knows fleet.toml is given
        the workspace's; an earlier one is told the name and the port of each service.
        """
        if (past / FILE).is_file():
            text = read_fleet_text(self.here) if (self.here / FILE).is_file() else FRESH
            (past / FILE).write_text(text)
            own.make(past, "apply", "--yes")
            known = {place_of_owner(one) for one in Workspace(self.here).read().history.ids}
            for path in list_files(past / FOLDER):
                # Of revisions, which are never written again, only what is here counts.
                is_owner = (FOLDER / path).parent == place_of_owner("").parent
                is_revision = (FOLDER / path).is_relative_to(GENERATED / self._versions)
                if not is_revision and (not is_owner or FOLDER / path in known):
                    self.write(FOLDER / path, (past / FOLDER / path).read_bytes())
            return
        text = FRESH
        for service in Workspace(self.here).services():
            name = ServiceName.parse(service.called)
            singular = ResourceName.of(name).singular
            entity = self.here / SERVICES / service.package / f"domain/entities/{singular}.py"
            is_bare = not entity.is_file()
            port = str(service.port)
            own.make(past, "service", service.called, port, *(["--bare"] if is_bare else []))
            preset = None if is_bare else replace(preset_of(singular), name=singular)
            text = add_service(text, service.called, int(port), preset)
            folder = PurePosixPath(SERVICES, service.package)
            model = PurePosixPath(MODELS, f"{singular}.py")
            for path in list_files(past):
                is_its_own = path.is_relative_to(folder) or (path == model and not is_bare)
                if is_its_own and path not in owned and not is_secret(path):
                    self.write(place_of(path), (past / path).read_bytes())
        self.write(PurePosixPath(FILE), text.encode())
        for place, block in describe(parse_fleet(text)).items():
            self.write(place, block.encode())

    def bring_owned(
        self, was: Mapping[PurePosixPath, bytes], now: Mapping[PurePosixPath, str]
    ) -> None:
        """Merge what both versions make of a workspace's own files into what is there."""
        was = self._follow_renames(was, now)
        merged: Files = {}
        for path in sorted(filter(self._is_owned, was.keys() | now)):
            base, new = was.get(path), now[path].encode() if path in now else None
            content = find_content(self.here, path)
            if new in (content, base):
                continue
            if base is not None and content is not None and new is not None:
                text = self._merge(path, base.decode(), content, new.decode())
                merged |= {} if text is None else {path: text}
            elif new is not None and base is content is None:
                self.write(path, new)
            elif content == base:
                (self.here / path).unlink()
            else:
                state = "deleted" if content is None else "as it is"
                self.notes.append(f"{path} stays {state}; the newer version has it otherwise.")
        for path, text in sort_imports(merged, self.here / PROJECT_FILE).items():
            self.write(path, text.encode())

    def _follow_renames(
        self, was: Mapping[PurePosixPath, bytes], now: Mapping[PurePosixPath, str]
    ) -> dict[PurePosixPath, bytes]:
        """Give files that the newer version has by another name that name; return what was there."""
        gone = {
            path: was[path].decode() for path in was.keys() - now.keys() if self._is_owned(path)
        }
        come = {
            path: now[path] for path in now.keys() - was.keys() if not (self.here / path).exists()
        }
        known = dict(was)
        for path, old in find_renamed(gone, come).items():
            known[path] = known.pop(old)
            if (self.here / old).is_file():
                self.write(path, (self.here / old).read_bytes())
                (self.here / old).unlink()
        return known

    def bring_distribution(self, was: str, owned: Mapping[PurePosixPath, bytes]) -> None:
        """Put the wheel that runs in place of the old one, and bring the locks to it."""
        new = vendor.collect()
        old = vendor.FOLDER / f"quart_fleet-{was}-py3-none-any.whl"
        if not (self.root / old).is_file():
            self.notes.append("vendor/ has no wheel here: the locks are yours to renew: make lock")
            return
        for path, content in new.items():
            if path.parent == vendor.FOLDER:
                (self.here / old).unlink(missing_ok=True)
                self.write(path, content)
                continue
            current = find_content(self.here, path)
            if current is None:
                continue
            base, theirs = owned.get(path, b"").decode(), content.decode()
            merged = merge(base, decode(self.root / path, current), theirs)
            text = merged.text
            if merged.conflicts:
                locked = _LOCKED.search(theirs)
                text = _LOCKED.sub(locked[0] if locked else "", current.decode())
                self.notes.append(
                    f"{path} is locked anew here, which is yours to repeat: make lock"
                )
            self.write(path, text.encode())

    def bring_templates(self) -> None:
        """Merge what has changed in templates that the workspace has taken over."""
        for path, base in read_copied_templates(self.here).items():
            own, theirs = self.here / OWN / path, TEMPLATES / path
            if not theirs.is_file():
                self.notes.append(f"{OWN / path} is a template that is used no more.")
                continue
            new = read_text(theirs)
            if new != base and own.is_file():
                text = self._merge(OWN / path, base, own.read_bytes(), new)
                if text is not None:
                    self.write(OWN / path, text.encode())
            self.write(place_of_template(path), new.encode())

    def bring_generated(self) -> None:
        """Merge what is generated now into the services; raises ScaffoldError."""
        conflicts = [path for path in self._conflicts if path.is_relative_to(OWN)]
        if conflicts:
            raise ScaffoldError(
                f"Your templates differ from the newer ones in the same lines: {conflicts[0]}.\n"
                "Move it away, upgrade, and copy it anew: python -m scaffold templates copy"
            )
        workspace = Workspace.find(self.here)
        change = plan_change(workspace, read_fleet_text(self.here), ApplyOptions())
        transaction.apply(change.plan)
        self._conflicts |= change.plan.conflicts
        self.notes += change.warnings
        if change.absent:
            names = ", ".join(map(str, change.absent[:4]))
            more = f" and {len(change.absent) - 4} more" if change.absent[4:] else ""
            self.notes.append(f"Deleted by hand, and not written again: {names}{more}.")

    def plan(self) -> Plan:
        """Return what makes the workspace equal to the copy."""
        for path, text in self._marked.items():
            self.write(path, text.encode())
        if self._conflicts:
            names = "".join(f"{path}\n" for path in sorted(self._conflicts))
            self.write(CONFLICTS, names.encode())
        files = {path: (self.here / path).read_bytes() for path in list_files(self.here)}
        changed = {
            path: content
            for path, content in files.items()
            if find_content(self.root, path) != content
        }
        return replace(
            Plan.decide(self.root, changed),
            deleted=tuple(sorted(self._copied - files.keys())),
            conflicts=self._conflicts,
        )

    def _is_owned(self, path: PurePosixPath) -> bool:
        """Whether a file of a new workspace is its owner's, and merged as a whole."""
        others = (FOLDER, vendor.FOLDER, self._versions, *map(PurePosixPath, (FILE, *vendor.LOCKS)))
        return not any(map(path.is_relative_to, others))

    def write(self, path: PurePosixPath, content: bytes) -> None:
        """Write a file of the copy."""
        (self.here / path).parent.mkdir(parents=True, exist_ok=True)
        (self.here / path).write_bytes(content)

    def _merge(self, path: PurePosixPath, base: str, content: bytes, new: str) -> str | None:
        """Merge a file; return its text if its imports are to be sorted, else write it."""
        decode(self.root / path, content)  # which refuses marks of another merge
        merge_texts = merge_python if path.suffix == ".py" else merge
        merged = merge_texts(base, content.decode(), new)
        if not merged.conflicts and path.suffix == ".py":
            return merged.text
        if merged.conflicts:
            # Written at the end: with marks, this would be no file that the engine can read.
            self._conflicts[path], self._marked[path] = merged.conflicts, merged.text
        else:
            self.write(path, merged.text.encode())
        return None


def list_files(folder: Path) -> set[PurePosixPath]:
    """Return the files below a folder."""
    return {PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def read_notices(was: str, now: str) -> tuple[list[str], list[str]]:
    """Return what changed from one version to another, and what their user has to do."""
    changed: list[str] = []
    to_do: list[str] = []
    for version, notices in sorted(parse_toml(NOTICES).items(), key=lambda one: Version(one[0])):
        if Version(was) < Version(version) <= Version(now):
            changed += notices["changed"]
            to_do += notices["to_do"]
    return changed, to_do


def _print(outcome: Outcome, options: Options) -> None:
    """Say what was done, or would be, and what is left to do; raises ScaffoldError at conflicts."""
    plan = outcome.plan
    changed, to_do = read_notices(outcome.was, outcome.now)
    if options.json:
        about: dict[str, object] = {"from": outcome.was, "to": outcome.now, "notes": outcome.notes}
        about |= {"changes": changed, "to_do": to_do}
        preview.print_json(plan, about, with_diff=options.diff)
    elif options.diff:
        preview.print_diff(plan)
    elif options.dry_run:
        preview.print_list(plan)
    elif plan.is_empty:
        click.echo(f"{click.style(mark('✓', 'Done:'), fg='green')} Nothing to write.")
    else:
        sign = click.style(mark("✓", "Done:"), fg="green")
        click.echo(f"{sign} quart-fleet {outcome.was} is {outcome.now} ({summarise(plan)})")
        for title, lines in (("What is different", changed), ("To do", [*to_do, *_ALWAYS])):
            if lines:
                click.echo("\n".join([f"\n{title}:", *(f"  {line}" for line in lines)]))
    for note in outcome.notes:
        click.echo(note, err=True)
    for path, count in plan.conflicts.items():
        times = "conflict" if count == 1 else "conflicts"
        click.echo(f"{path}: {count} {times}, marked in the file.", err=True)
    if plan.conflicts:
        raise ScaffoldError(
            "Your edits and the newer version differ in the same lines: decide there, then run "
            "python -m scaffold apply"
        )
