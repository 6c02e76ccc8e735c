"""What a plan does to each file, for people and for programs."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

import click

from scaffold.engine.baseline import FOLDER
from scaffold.engine.plan import Plan


def is_shown(path: PurePosixPath) -> bool:
    """Whether people are told of a file: the baseline repeats what they are told already."""
    return path.parts[0] != str(FOLDER)


def print_list(plan: Plan) -> None:
    """List each file under what would become of it."""
    for verb, paths in (
        ("create", plan.created),
        ("change", plan.changed),
        ("delete", plan.deleted),
        ("keep", plan.kept),
        ("unchanged", plan.unchanged),
    ):
        for path in filter(is_shown, paths):
            click.echo(f"{verb:<9}  {path}")


def print_diff(plan: Plan) -> None:
    """Print what `patch -p1` would do at the workspace's root."""
    click.echo("".join(plan.diff()), nl=False)


def print_json(
    plan: Plan, about: Mapping[str, object] | None = None, *, with_diff: bool = False
) -> None:
    """Print one object with more `about` the command; paths are below `workspace`."""
    result = {
        "workspace": str(plan.root),
        "created": [str(path) for path in plan.created],
        "changed": [str(path) for path in plan.changed],
        "deleted": [str(path) for path in plan.deleted],
        "conflicts": {str(path): count for path, count in plan.conflicts.items()},
        "kept": [str(path) for path in plan.kept],
        "unchanged": [str(path) for path in plan.unchanged],
    }
    diff = {"diff": "".join(plan.diff())} if with_diff else {}
    click.echo(json.dumps(result | dict(about or {}) | diff, indent=2))
