"""`python -m scaffold upgrade`: a workspace brought to the version that runs here, by merging.

Three texts of each file, as for every command: what the workspace's version made of it, what this
one makes, and what is there. What the workspace's version made of its own files (Makefile, shared/,
docs/) no baseline keeps: the wheel in vendor/, or the workspace's .venv, makes it again in a
folder of its own, and so also the baseline of services that are older than baselines. All of it
happens in a copy; what differs there in the end is one plan, written whole or not at all.
"""

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import click
from packaging.version import Version

from quart_fleet.files import parse_toml
from quart_fleet.output import mark
from quart_fleet.workspace import PROJECT_FILE
from scaffold.commands import preview
from scaffold.commands.editing import Options, confirm, summarise, takes_options
from scaffold.commands.init import read_words, render_workspace
from scaffold.distribution.framework import get_framework
from scaffold.engine import transaction
from scaffold.engine.baseline import read_baseline, read_described, remember
from scaffold.engine.plan import Plan
from scaffold.errors import ScaffoldError
from scaffold.guard import temporary_folder
from scaffold.upgrading.copy import WorkspaceCopy, list_files, read_files
from scaffold.upgrading.distributions import LOOSE, made_by, opened
from scaffold.workspace import Workspace

_ALWAYS = (
    "Installed anew: make install && . .venv/bin/activate",
    "Migrated, then looked at: python -m db_manager migrate, python -m scaffold doctor",
)
NOTICES = Path(__file__).parents[1] / "notices.toml"


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
        outcome = plan_upgrade(workspace)
        confirm([], chosen)
        if chosen.writes:
            transaction.apply(remember(outcome.plan))
    _print(outcome, chosen)


def _run_newer(folder: Path, flags: list[str]) -> int:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-m", "scaffold", "upgrade", *flags]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603


def plan_upgrade(workspace: Workspace) -> Outcome:
    """Decide what brings a workspace to the version that runs; raises ScaffoldError."""
    root, now = workspace.root, get_framework().version
    if (root / "quart_fleet/__init__.py").is_file():
        raise ScaffoldError(f"{root} is the framework's own repository: git pull.")
    project = parse_toml(root / PROJECT_FILE)
    was = str(project["tool"]["scaffold"].get("framework", ""))
    if not was or Version(was) > Version(now):
        raise ScaffoldError(
            f"{root} is of quart-fleet {was or 'an unknown version'}, and {now} runs.\n"
            "Name a newer one: python -m scaffold upgrade --from WHEEL"
        )
    with temporary_folder() as folder:
        words, is_loose = read_words(root), was == LOOSE
        past = Path(folder, "was", words.name)
        past.parent.mkdir()
        options = ["--name", words.name, "--description", words.description]
        options += ["--license", words.license.option]
        with made_by(root, was) as own:
            own.make(past.parent, "init", str(past), *([] if is_loose else options))
            owned = read_files(past, list_files(past))
            copy = WorkspaceCopy(root, Path(folder, "now", words.name), workspace.migrations)
            copy.copy(owned, more=("tests",) if is_loose else ())
            if not (read_described(root) and read_baseline(root)):
                copy.make_baseline(past, own, owned)
        rendered = render_workspace(words)
        if is_loose:  # whose compose.yaml has a part for each service
            owned = read_files(past, owned)
            copy.take_out_framework(
                {path: owned.pop(path) for path in sorted(owned.keys() - rendered.keys())}
            )
            owned = copy.move_imports(owned)
        copy.bring_owned(owned, rendered)
        if is_loose:
            copy.list_services()
        copy.bring_distribution(was, owned)
        copy.bring_templates()
        copy.bring_generated()
        return Outcome(was, now, copy.plan(), copy.notes)


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
