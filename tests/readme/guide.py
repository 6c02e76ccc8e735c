"""The README as its reader takes it: commands to paste, and code with the place it goes to."""

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_STEP = re.compile(
    r"^(?:\*\*\w+\.\*\* )?In (?:the new file )?`(?P<file>[^`]+)`(?:, (?P<how>below|above|in place of) `(?P<anchor>[^`]+)`)?:"
    r"\n\n```python\n(?P<code>.*?)```$",
    re.MULTILINE | re.DOTALL,
)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^    (?=\S)(?P<line>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """A block of code and where the guide puts it."""

    file: str
    how: str | None
    anchor: str | None
    code: str

    def apply(self, root: Path) -> None:
        """Do what the sentence says; its anchor must stand in one line only."""
        path = root / self.file
        if self.how is None or self.anchor is None:
            assert not path.exists(), f"{self.file} is not new"
            path.write_text(self.code)
            return
        lines = path.read_text().splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if self.anchor in line]
        assert len(found) == 1, f"{self.anchor!r} stands in {len(found)} lines of {self.file}"
        start = found[0] + (self.how == "below")
        end = found[0] + (self.how != "above")
        lines[start:end] = [self.code]
        path.write_text("".join(lines))


def section(title: str) -> str:
    """Return the text below a heading, up to the next one of its rank."""
    head, _, rest = README.read_text().partition(f"\n## {title}\n")
    assert rest, f"no section {title!r} below {head[:20]!r}"
    return rest.partition("\n## ")[0]


def steps(text: str) -> list[Step]:
    """Return the guide's blocks of code; one whose place is not said fails."""
    found = [Step(**match.groupdict()) for match in _STEP.finditer(text)]
    assert len(found) == text.count("```python"), "a block of code has no place"
    return found


def commands(text: str) -> list[str]:
    """Return the lines that a reader would paste into a shell, in order."""
    return [match["line"] for match in _COMMAND.finditer(_FENCE.sub("", text))]
