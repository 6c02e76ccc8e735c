"""`fleet`: the generator as an installed command, which in a workspace runs that workspace's own.

A workspace's own is what its .venv has, or its clone, or the wheel in its vendor/. What makes a
workspace, or brings it to a newer version, is of the installed distribution.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NoReturn

import click

from quart_fleet.errors import ConfigurationError
from quart_fleet.workspace import find_table
from scaffold.cli import COMPLETE_VARIABLE, NAME, main
from scaffold.distribution.framework import SOURCE, get_framework
from scaffold.errors import ScaffoldError
from scaffold.guard import temporary_folder

_INSTALLED = frozenset({"init", "upgrade", "completion"})
"""Commands of the installed distribution, wherever they are typed."""


def run() -> NoReturn:
    """Run what was typed, by the workspace around the current folder where there is one."""
    arguments = sys.argv[1:]
    if COMPLETE_VARIABLE not in os.environ and not _INSTALLED.intersection(arguments[:1]):
        try:
            _run_own(arguments)
        except (ConfigurationError, ScaffoldError) as error:
            click.echo(f"{click.style('Error:', fg='red')} {error}", err=True)
            sys.exit(1)
    main(prog_name=NAME, complete_var=COMPLETE_VARIABLE)
    sys.exit()  # click has ended the process already


def _run_own(arguments: list[str]) -> None:
    """Run the scaffold of the workspace, if there is one and it is another; raises ScaffoldError."""
    here = Path.cwd()
    root = next((each for each in (here, *here.parents) if find_table(each) is not None), None)
    if root is None:
        return
    python, is_clone = root / ".venv/bin/python", (root / "scaffold/__init__.py").is_file()
    installed = root.glob(".venv/lib/python*/site-packages/quart_fleet-*.dist-info")
    if Path(sys.prefix).resolve() == (root / ".venv").resolve() or (root == SOURCE and is_clone):
        return
    if python.exists() and any(installed):
        os.execv(python, [str(python), "-m", "scaffold", *arguments])  # noqa: S606 - its own
    if is_clone:
        sys.exit(_run_from(root, arguments))
    running = get_framework().version
    wanted = str((find_table(root) or {}).get("framework", running))
    if wanted == running:
        return
    wheel = root / f"vendor/quart_fleet-{wanted}-py3-none-any.whl"
    if not wheel.is_file():
        raise ScaffoldError(
            f"{root} is of quart-fleet {wanted}, and {running} runs.\nInstall its own: make install"
        )
    with temporary_folder() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        sys.exit(_run_from(folder, arguments))


def _run_from(source: Path, arguments: list[str]) -> int:
    """Run the scaffold in a folder of packages; return its exit code."""
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "scaffold", *arguments]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode  # noqa: S603
