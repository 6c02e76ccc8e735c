"""What the linter found, as it travels from its process to the command."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, order=True)
class BrokenImport:
    """An import statement that a rule forbids."""

    file: str
    """From the workspace's root."""
    line: int
    module: str
    imported: str
    rule: str

    def __str__(self) -> str:
        """Return one line that editors can jump to."""
        return f"{self.file}:{self.line}: {self.module} imports {self.imported}, but {self.rule}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was covered, and what is broken."""

    packages: tuple[str, ...]
    rules: int
    broken: tuple[BrokenImport, ...]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made of a verdict."""
        broken = tuple(BrokenImport(**one) for one in document["broken"])
        return cls(tuple(document["packages"]), document["rules"], broken)
