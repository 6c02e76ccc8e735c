"""`python -m scaffold init DIR`: a fresh workspace, whole in itself."""

import json
import re
import shlex
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import click

from scaffold import framework, preview, transaction
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.plan import Plan
from scaffold.project import Project
from scaffold.render import render_tree
from scaffold.workspace import PROJECT_FILE, Workspace, is_workspace


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
@click.option("--diff", is_flag=True, help="Print the files as a unified diff; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def command(folder: Path, dry_run: bool, diff: bool, as_json: bool) -> None:
    """Make a fresh workspace in DIR, which is new or empty.

    It holds shared/, db_manager/, scaffold/, tool files and no services, needs nothing of the
    workspace that it was made from, and remembers the framework's version.
    """
    root = folder.resolve()
    plan = plan_workspace(root)
    if not (dry_run or diff):
        _write(plan)
    if as_json:
        _print_json(plan)
    elif diff:
        preview.print_diff(plan)
    elif dry_run:
        preview.print_list(plan)
    else:
        _print_result(folder, plan)


def plan_workspace(root: Path) -> Plan:
    """Decide every write of a workspace at `root`; raises ScaffoldError."""
    _refuse_nested(root)
    _refuse_occupied(root)
    source = Project.read(framework.SOURCE)
    name = project_name(root, source)
    rendered = render_tree("workspace", {"name": name, "framework": source.framework})
    rendered[PurePosixPath(PROJECT_FILE)] = source.text_for(name)
    files = {path: text.encode() for path, text in rendered.items()}
    return Plan.decide(root, framework.collect() | files)


def project_name(root: Path, source: Project) -> str:
    """Return the folder's name as a distribution's, never that of something it installs."""
    plain = unicodedata.normalize("NFKD", root.name).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    name = "-".join(words) or "fleet"
    return f"{name}-fleet" if name in source.dependencies else name


def _refuse_nested(root: Path) -> None:
    outer = next(filter(is_workspace, root.parents), None)
    if outer is not None:
        raise ScaffoldError(f"{root} is inside the workspace {outer}: name a folder outside of it.")


def _refuse_occupied(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise MisuseError(f"{root} is a file: name a new folder.")
    if root.is_dir() and any(path.name != ".git" for path in root.iterdir()):
        raise ScaffoldError(f"{root} is not empty: name a new folder, or empty this one.")


def _write(plan: Plan) -> None:
    with _new_folder(plan.root), Workspace(plan.root).locked():
        _refuse_occupied(plan.root)  # another init may have been quicker
        transaction.apply(plan)


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make the folder and its parents; on failure remove those that were made."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise ScaffoldError(f"Nothing was written: {folder}: {error.strerror}") from error
        raise


def _print_result(folder: Path, plan: Plan) -> None:
    click.echo(f"{click.style('✓', fg='green')} {folder}: {len(plan.created)} files created")
    click.echo("\nNext:")
    for line in _next_commands(folder):
        click.echo(f"  {line}")


def _print_json(plan: Plan) -> None:
    result = {
        "workspace": str(plan.root),
        "framework": Project.read(framework.SOURCE).framework,
        "created": [str(path) for path in plan.created],
        "next": _next_commands(plan.root),
    }
    click.echo(json.dumps(result, indent=2))


def _next_commands(folder: Path) -> list[str]:
    return [
        shlex.join(["cd", str(folder)]),
        "make install && . .venv/bin/activate",
        "python -m scaffold user-service 8081",
    ]
