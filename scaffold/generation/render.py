"""Templates to files in memory; Python is formatted by ruff, in the workspace's own style."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from scaffold.distribution.framework import get_framework
from scaffold.errors import ScaffoldError
from scaffold.guard import temporary_folder

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parents[1] / "templates"
OWN = PurePosixPath("scaffold/templates")
"""Where a workspace has templates of its own, which win; `templates copy` puts them there."""

SUFFIX = ".jinja"
_RESOURCE = "_resource_"
_PREFIX = "_prefix_"

Files = dict[PurePosixPath, str]
"""Texts by their path below the workspace's root."""

_folders: ContextVar[tuple[Path, ...]] = ContextVar("folders", default=(TEMPLATES,))
"""Where templates are looked for, the first folder first."""


@contextmanager
def using_templates_of(root: Path) -> Iterator[None]:
    """Let the templates of the workspace at `root` win."""
    token = _folders.set(tuple(dict.fromkeys([(root / OWN).resolve(), TEMPLATES.resolve()])))
    try:
        yield
    finally:
        _folders.reset(token)


def render_tree(
    folder: str, context: Mapping[str, object], name: str = "", prefix: str = ""
) -> Files:
    """Render templates/`folder`; in a path, `_resource_` becomes the resource's name.

    `_prefix_` becomes what tells its modules from those of the service's other resources.
    """
    files: Files = {}
    templates = {
        template.relative_to(root / folder).as_posix()
        for root in _folders.get()
        for template in (root / folder).rglob(f"*{SUFFIX}")
    }
    for path in sorted(templates):
        words = path.removesuffix(SUFFIX).replace(_RESOURCE, name).replace(_PREFIX, prefix)
        target = PurePosixPath(words)
        if target in files:
            raise ScaffoldError(f"Two templates make {target}: choose another name.")
        files[target] = render(f"{folder}/{path}", context)
    return files


def render(template: str, context: Mapping[str, object]) -> str:
    """Render one template, named by its path below templates/; raises ScaffoldError."""
    import jinja2  # noqa: PLC0415 - slow; only a command that renders pays for it

    try:
        return _environment(_folders.get()).get_template(template).render(context)
    except jinja2.TemplateSyntaxError as error:
        place, problem = f"{error.filename}, line {error.lineno}", error.message
    except jinja2.UndefinedError as error:
        place, problem = template, error.message
    raise ScaffoldError(f"{place}: {problem}. Nothing was written.")


def format_python(files: Files, settings: Path) -> Files:
    """Return the files with every Python text sorted and formatted by `settings`."""
    # Unused imports go first: which of them a resource needs depends on its fields.
    lint = ("check", "--select=I,F401", "--fix", "--exit-zero")
    return _through_ruff(files, settings, lint, ("format",))


def sort_imports(files: Files, settings: Path) -> Files:
    """Return the files with the imports of every Python text sorted, and all else as it is."""
    return _through_ruff(files, settings, ("check", "--select=I", "--fix", "--exit-zero"))


def _through_ruff(files: Files, settings: Path, *commands: tuple[str, ...]) -> Files:
    python = {path: text for path, text in files.items() if path.suffix == ".py"}
    if not python:
        return files
    with temporary_folder() as folder:
        for path, text in python.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8", newline="")
            # By these ruff knows what belongs to the file's own package, and goes first.
            for package in path.parents[:-2]:
                (folder / package / "__init__.py").touch()
        for command in commands:
            _run_ruff(folder, settings, *command)
        return files | {path: (folder / path).read_bytes().decode() for path in python}


def _run_ruff(folder: Path, settings: Path, command: str, *options: str) -> None:
    """Run the ruff of this environment, else the one on PATH."""
    ruff = shutil.which("ruff", path=sysconfig.get_path("scripts")) or shutil.which("ruff")
    if ruff is None:
        raise ScaffoldError(
            "ruff is missing, which formats what is generated. "
            "Install it: make install at the workspace's root."
        )
    config = str(settings).replace("$", "$$")  # ruff puts variables of the shell in
    everywhere = ("--quiet", "--no-cache", "--no-respect-gitignore", f"--config={config}")
    completed = subprocess.run(  # noqa: S603 - our own arguments
        [ruff, command, *options, *everywhere, "."],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if completed.returncode:
        reason = completed.stderr.strip() or completed.stdout.strip()
        raise ScaffoldError(f"ruff {command} failed on what was rendered: {reason}")


@cache
def _environment(folders: tuple[Path, ...]) -> Environment:
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(  # noqa: S701 - Python and text, no HTML
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # A Python literal; texts in double quotes, as ruff would have them.
    environment.filters["py"] = lambda value: (
        json.dumps(value) if isinstance(value, str) else repr(value)
    )
    environment.globals["framework"] = get_framework()
    return environment
