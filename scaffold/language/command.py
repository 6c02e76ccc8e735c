"""`python -m scaffold language`: the page of the language, where no documentation is at hand."""

from pathlib import Path

import click

from quart_fleet.files import read_text

PAGE = Path(__file__).with_name("page.md")
"""In the documentation too, as docs/language.md."""


@click.command("language")
def command() -> None:
    """Print what fields, options and fleet.toml can say, with what each means."""
    click.echo(read_text(PAGE), nl=False)
