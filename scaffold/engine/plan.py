"""Every write decided in memory: what would be created, changed, deleted and left alone."""

import difflib
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Self

from scaffold.errors import ScaffoldError


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command does to the files below `root`, once applied."""

    root: Path
    created: dict[PurePosixPath, bytes] = field(default_factory=dict)
    changed: dict[PurePosixPath, bytes] = field(default_factory=dict)
    unchanged: tuple[PurePosixPath, ...] = ()
    kept: tuple[PurePosixPath, ...] = ()
    """Files that are there and stay as they are, although the command has other content."""
    deleted: tuple[PurePosixPath, ...] = ()
    conflicts: dict[PurePosixPath, int] = field(default_factory=dict)
    """How many places of a file want a decision of its owner; they are marked in it."""

    @classmethod
    def decide(
        cls,
        root: Path,
        files: Mapping[PurePosixPath, bytes],
        keep: Collection[PurePosixPath] = (),
        known: Mapping[PurePosixPath, bytes | None] = MappingProxyType({}),
    ) -> Self:
        """Compare `files` with the disk; those in `keep` are only written where missing.

        `known` is what was read from there already.
        """
        created, changed = {}, {}
        unchanged, kept = [], []
        for path, content in sorted(files.items()):
            current = known[path] if path in known else find_content(root, path)
            if current is None:
                created[path] = content
            elif current == content:
                unchanged.append(path)
            elif path in keep:
                kept.append(path)
            else:
                changed[path] = content
        return cls(root, created, changed, tuple(unchanged), tuple(kept))

    @property
    def is_empty(self) -> bool:
        """Whether the disk is already as the command would leave it."""
        return not (self.writes or self.deleted)

    @property
    def writes(self) -> dict[PurePosixPath, bytes]:
        """Everything that is not on the disk yet."""
        return self.created | self.changed

    def diff(self) -> Iterator[str]:
        """Yield what changes as the lines of a unified diff; secrets and the baseline are left out."""
        for path, content in sorted((self.writes | dict.fromkeys(self.deleted, b"")).items()):
            if is_secret(path) or path.parts[0] == ".scaffold":
                continue
            old = b"" if path in self.created else (self.root / path).read_bytes()
            yield from difflib.unified_diff(
                old.decode("utf-8", "replace").splitlines(keepends=True),
                content.decode("utf-8", "replace").splitlines(keepends=True),
                "/dev/null" if path in self.created else f"a/{path}",
                "/dev/null" if path in self.deleted else f"b/{path}",
            )


def is_secret(path: PurePosixPath) -> bool:
    """Whether a file's content is kept out of what is printed."""
    return path.name in (".env", "undo.json") or path.parts[0] == ".secrets"


def digest(content: bytes) -> str:
    """Return what tells a file's content from any other."""
    return hashlib.sha256(content).hexdigest()


def find_content(root: Path, path: PurePosixPath) -> bytes | None:
    """Return what is there, None for nothing; raises ScaffoldError where no file of the root can be."""
    target, top = root / path, os.path.realpath(root)
    if ".." in path.parts or path.is_absolute():
        raise ScaffoldError(f"{path} is not below {root}.")
    if not Path(os.path.realpath(target)).is_relative_to(top):
        parts = [root / part for part in (*reversed(path.parents), path)]
        link = next(one for one in parts if not Path(os.path.realpath(one)).is_relative_to(top))
        raise ScaffoldError(f"{link} is a link that leads out of the workspace: remove it.")
    for parent in reversed(path.parents):
        if os.path.lexists(root / parent) and not (root / parent).is_dir():
            problem = (
                "a file where a folder is needed: move it away"
                if (root / parent).exists()
                else "a link that leads nowhere: remove it"
            )
            raise ScaffoldError(f"{root / parent} is {problem}.")
    if target.is_dir():
        raise ScaffoldError(f"{target} is a folder where a file is needed: move it away.")
    if target.is_symlink() and not target.exists():
        raise ScaffoldError(f"{target} is a link that leads nowhere: remove it.")
    return target.read_bytes() if target.exists() else None
