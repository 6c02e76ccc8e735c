"""What of a workspace is the framework's: the parts that `init` carries to the next one."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from scaffold.revisions import VERSIONS

SOURCE = Path(__file__).parents[1]
"""The workspace that this very module belongs to."""

FOLDERS = ("quart_fleet", "scaffold", "shared", "db_manager", "nix", "tests/architecture")
"""Carried whole, but for what the workspace itself adds to those of `SHIPPED`."""
SHIPPED = {
    "tests/architecture": frozenset({"__init__.py", "test_contracts.py"}),
    "shared/models": frozenset({"__init__.py", "base.py", "user.py"}),
    VERSIONS: frozenset({"3ef43f3fe70a_create_users.py"}),
}
"""In these folders only these files are the framework's."""
FILES = (
    ".dockerignore",
    ".envrc",
    ".gitignore",
    "LICENSE",
    "Makefile",
    "docs/cluster.md",
    "flake.lock",
    "flake.nix",
    "services/README.md",
    "tests/__init__.py",
)
"""Carried as they are; a workspace may have done away with any of them."""

_LEFTOVERS = re.compile(r"__pycache__|.*_cache|.*\.py[co]|\.env|\.DS_Store|.*~|.*\.(orig|rej|swp)")

Contents = dict[PurePosixPath, bytes]


def collect() -> Contents:
    """Read everything that is carried as it is."""
    paths = [path for folder in FOLDERS for path in _walk(SOURCE / folder)]
    paths += [SOURCE / name for name in FILES if (SOURCE / name).is_file()]
    return {PurePosixPath(path.relative_to(SOURCE)): path.read_bytes() for path in paths}


def _walk(folder: Path) -> Iterator[Path]:
    shipped = SHIPPED.get(folder.relative_to(SOURCE).as_posix())
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if _LEFTOVERS.fullmatch(path.name):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif shipped is None or path.name in shipped:
            yield path
