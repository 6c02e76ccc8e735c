"""Which files Docker would send to a build: what .dockerignore leaves of a folder."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of .dockerignore."""

    pattern: re.Pattern[str]
    excludes: bool

    @classmethod
    def parse(cls, line: str) -> Self:
        """Translate Go's file patterns, with Docker's `**`."""
        path = line.removeprefix("!").strip("/")
        parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", path)
        words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        regex = "".join(
            words.get(each, each if each[:1] == "[" else re.escape(each)) for each in parts
        )
        return cls(re.compile(regex), not line.startswith("!"))

    def covers(self, path: PurePosixPath) -> bool:
        """Whether the path, or a folder that it is in, is meant."""
        return any(self.pattern.fullmatch(str(each)) for each in (path, *path.parents[:-1]))


def build_context(root: Path) -> set[PurePosixPath]:
    """Return the files below `root` that a Dockerfile can copy."""
    lines = (root / ".dockerignore").read_text().splitlines()
    rules = [Rule.parse(line) for line in lines if line.strip() and not line.startswith("#")]
    files = (PurePosixPath(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {path for path in files if not _is_ignored(path, rules)}


def _is_ignored(path: PurePosixPath, rules: list[Rule]) -> bool:
    last = next((rule for rule in reversed(rules) if rule.covers(path)), None)
    return last is not None and last.excludes
