"""`python -m scaffold apply`: the code as fleet.toml says it."""

import click

from scaffold.commands import preview
from scaffold.commands.editing import (
    Options,
    change_fleet,
    parse_fill,
    print_change,
    print_next,
    print_notes,
    takes_fill,
    takes_options,
)
from scaffold.engine.change import ApplyOptions


@click.command("apply")
@click.option("--restore", is_flag=True, help="Write deleted generated files again.")
@takes_fill
@takes_options
def command(restore: bool, fill: tuple[str, ...], **options: bool) -> None:
    """Bring code and migrations to what fleet.toml says; twice changes nothing.

    A file that is as generated is replaced, an edited one is merged; where both changed the same
    lines, the file is marked and named, and the exit code is 1.
    """
    chosen, apply_options = Options(**options), ApplyOptions(restore=restore, fill=parse_fill(fill))
    change = change_fleet(lambda text: text, chosen, apply_options)
    if chosen.json:
        preview.print_json(change.plan, with_diff=chosen.diff)
    elif chosen.writes:
        print_change(change, "The code is as fleet.toml says")
        print_next(change)
    print_notes(change, chosen)
