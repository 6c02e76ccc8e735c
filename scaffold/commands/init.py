"""`python -m scaffold init DIR`: a fresh workspace, which holds what its owner owns."""

import os
import re
import shlex
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import click

from quart_fleet import unfinished
from quart_fleet.files import parse_toml
from quart_fleet.output import mark
from quart_fleet.workspace import PROJECT_FILE
from scaffold.commands import preview
from scaffold.distribution import vendor
from scaffold.distribution.framework import get_framework
from scaffold.engine import transaction
from scaffold.engine.baseline import IGNORE, IGNORED
from scaffold.engine.plan import Plan
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.render import Files, render_tree
from scaffold.language.fleet import FILE, FRESH
from scaffold.workspace import Workspace, is_workspace

WordT = TypeVar("WordT")

_DESCRIPTION = "A fleet of asynchronous Quart services"
_CLOSED = "none"
_PROPRIETARY = "LicenseRef-Proprietary"
_MIT = "MIT"


@dataclass(frozen=True, slots=True)
class License:
    """What the project file says of the licence."""

    expression: str
    """In SPDX's terms."""
    classifiers: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """As the option `--license` takes it."""
        return _CLOSED if self.expression == _PROPRIETARY else self.expression

    @classmethod
    def parse(cls, typed: str) -> "License":
        """Read a name of SPDX, or `none` for a workspace that is not open source."""
        if typed.lower() in (_CLOSED, _PROPRIETARY.lower()):
            return cls(_PROPRIETARY, ("Private :: Do Not Upload",))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", typed):
            raise MisuseError(
                f"{typed!r} is no name of a licence: use SPDX's, such as MIT or Apache-2.0, "
                f"or {_CLOSED} for a workspace that is not open source."
            )
        return cls(typed)


@dataclass(frozen=True, slots=True)
class WorkspaceWords:
    """`workspace` in a template."""

    name: str
    license: License
    description: str


@dataclass(frozen=True, slots=True)
class Options:
    """How to write, and how to tell."""

    dry_run: bool
    diff: bool
    json: bool

    @property
    def writes(self) -> bool:
        """Whether the disk is meant to change."""
        return not (self.dry_run or self.diff)

    @property
    def asks(self) -> bool:
        """Whether a person at a terminal is asked for what no option says."""
        return self.writes and not self.json and sys.stdin.isatty() and sys.stderr.isatty()


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="The workspace's name; without it, the folder's.")
@click.option("--license", "licence", help="SPDX's name of its licence; without it, none.")
@click.option("--description", help="What the workspace is, in one line.")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
@click.option("--diff", is_flag=True, help="Print the files as a unified diff; write nothing.")
@click.option("--json", is_flag=True, help="Print the result for a program.")
def command(
    folder: Path, name: str | None, licence: str | None, description: str | None, **options: bool
) -> None:
    """Make a fresh workspace in DIR, which is new or empty.

    It holds what its owner owns: shared/, tool files and no services yet. The framework is
    installed from the wheel in vendor/. On a terminal, what no option says is asked.
    """
    root, chosen = folder.resolve(), Options(**options)
    outer = next(filter(is_workspace, root.parents), None)
    if outer is not None:
        raise ScaffoldError(f"{root} is inside the workspace {outer}: name a folder outside of it.")
    if chosen.writes and root.is_dir():
        unfinished.settle(root)
    _refuse_occupied(root)
    words = _choose_words(root, (name, licence, description), asked=chosen.asks)
    started = time.monotonic()
    plan = plan_workspace(root, words)
    if chosen.writes:
        with _new_folder(root), Workspace(root).locked():
            _refuse_occupied(root)  # another init may have been quicker
            transaction.apply(plan)
    if chosen.json:
        about = {"framework": get_framework().version, "next": _next_commands(root)}
        preview.print_json(plan, about, with_diff=chosen.diff)
    elif chosen.diff:
        preview.print_diff(plan)
    elif chosen.dry_run:
        preview.print_list(plan)
    else:
        _print_result(folder, plan, time.monotonic() - started)


def plan_workspace(root: Path, words: WorkspaceWords) -> Plan:
    """Decide every write of a workspace at `root`; raises ScaffoldError."""
    rendered = render_workspace(words) | {PurePosixPath(FILE): FRESH, IGNORE: IGNORED}
    files = {path: text.encode() for path, text in rendered.items()}
    return Plan.decide(root, files | vendor.collect())


def render_workspace(words: WorkspaceWords) -> Files:
    """Return the files of a workspace that are its owner's to edit."""
    rendered = render_tree("workspace", {"workspace": words})
    if words.license.expression == _MIT:
        rendered |= render_tree("license", {"workspace": words})
    return rendered


def read_words(root: Path) -> WorkspaceWords:
    """Return the words of a workspace that is there; what `init` would refuse, by its defaults."""
    project = parse_toml(root / PROJECT_FILE).get("project", {})

    def read(key: str, parse: Callable[[str], WordT], default: str) -> WordT:
        try:
            return parse(str(project.get(key, default)))
        except MisuseError:
            return parse(default)

    return WorkspaceWords(
        read("name", _parse_name, suggest_name(root)),
        read("license", License.parse, _CLOSED),
        read("description", _parse_description, _DESCRIPTION),
    )


def suggest_name(root: Path) -> str:
    """Return the folder's name as a distribution's, never that of something it installs."""
    plain = unicodedata.normalize("NFKD", root.name).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    name = "-".join(words) or "fleet"
    return f"{name}-workspace" if name in _taken_names() else name


def _taken_names() -> frozenset[str]:
    framework = get_framework()
    return framework.dependencies | {framework.name}


def _choose_words(
    root: Path, typed: tuple[str | None, str | None, str | None], *, asked: bool
) -> WorkspaceWords:
    """Take each word from its option, else from a person at a terminal, else the default."""
    questions = (
        ("Name", suggest_name(root)),
        ("Licence, as SPDX names it (none: not open source)", _CLOSED),
        ("Description", _DESCRIPTION),
    )
    name, licence, description = (
        answer
        if answer is not None
        else str(click.prompt(question, default=default, err=True) if asked else default)
        for answer, (question, default) in zip(typed, questions, strict=True)
    )
    return WorkspaceWords(
        _parse_name(name), License.parse(licence), _parse_description(description)
    )


def _parse_description(typed: str) -> str:
    if not typed.strip() or not typed.isprintable():
        raise MisuseError("The description is one line of text.")
    return typed.strip()


def _parse_name(typed: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", typed):
        raise MisuseError(
            f"{typed!r} cannot name a workspace: use lower-case letters, digits and single hyphens."
        )
    if typed in _taken_names():
        raise MisuseError(f"{typed!r} is a distribution that every workspace installs.")
    return typed


def _refuse_occupied(root: Path) -> None:
    """Refuse a folder that holds more than git's own, or what a killed init left."""
    if root.exists() and not root.is_dir():
        raise MisuseError(f"{root} is a file: name a new folder.")
    if os.pathsep in str(root):
        raise MisuseError(f"{root} has a {os.pathsep}, which ends a path in PYTHONPATH and PATH.")
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    if any(name != ".git" and not name.startswith(unfinished.STAGING) for name in names):
        raise ScaffoldError(f"{root} is not empty: name a new folder, or empty this one.")


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


def _print_result(folder: Path, plan: Plan, seconds: float) -> None:
    sign = click.style(mark("✓", "Done:"), fg="green")
    click.echo(f"{sign} {folder}: {len(plan.created)} files created in {seconds:.1f} s")
    click.echo("\nNext:")
    for line in _next_commands(folder):
        click.echo(f"  {line}")


def _next_commands(folder: Path) -> list[str]:
    in_git = any(
        (parent / ".git").exists() for parent in (folder.resolve(), *folder.resolve().parents)
    )
    return [
        shlex.join(["cd", str(folder)]),
        *([] if in_git else ["git init && git add --all"]),
        "make install && . .venv/bin/activate",
        "python -m scaffold user-service 8081",
    ]
