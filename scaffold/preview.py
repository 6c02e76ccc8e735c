"""What a plan does to each file, shown before it is done."""

import click

from scaffold.plan import Plan


def print_list(plan: Plan) -> None:
    """List each file under what would become of it."""
    for verb, paths in (
        ("create", plan.created),
        ("change", plan.changed),
        ("keep", plan.kept),
        ("unchanged", plan.unchanged),
    ):
        for path in paths:
            click.echo(f"{verb:<9}  {path}")


def print_diff(plan: Plan) -> None:
    """Print what `patch -p1` would do at the workspace's root."""
    click.echo("".join(plan.diff()), nl=False)
