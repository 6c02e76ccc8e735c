"""The versions of the framework that an upgrade runs: the newer one, and the one that made a workspace.

0.1.0 was no distribution: a workspace held it as source. What it was is in the archive beside this
module, so that what its owner changed in it is known.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scaffold.distribution import vendor
from scaffold.distribution.framework import SOURCE, get_framework
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.guard import temporary_folder

LOOSE = "0.1.0"
"""The version that a workspace held as source."""
_ARCHIVE = Path(__file__).with_name(f"framework-{LOOSE}.tar.xz")


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


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Give the folder that a wheel's packages can be imported from; raises MisuseError."""
    with temporary_folder() as unpacked:
        folder = source
        if zipfile.is_zipfile(source):
            folder = unpacked
            zipfile.ZipFile(source).extractall(folder)
        if not (folder / "scaffold/__main__.py").is_file():
            raise MisuseError(f"{source} is no distribution of quart-fleet: a wheel, or a clone.")
        yield folder


@contextmanager
def made_by(root: Path, version: str) -> Iterator[Distribution]:
    """Give the version that a workspace is of: its wheel, else its .venv; raises ScaffoldError."""
    wheel = root / vendor.FOLDER / f"quart_fleet-{version}-py3-none-any.whl"
    if version == LOOSE:
        with temporary_folder() as folder:
            shutil.unpack_archive(_ARCHIVE, folder, filter="data")
            yield Distribution(sys.executable, folder)
        return
    if wheel.is_file():
        with opened(wheel) as unpacked:
            yield Distribution(sys.executable, unpacked)
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
