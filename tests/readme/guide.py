"""The pages as their reader takes them: commands to paste, and code with the place it goes to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDE = ROOT / "docs/guide.md"
COOKBOOK = ROOT / "docs/cookbook.md"
TROUBLESHOOTING = ROOT / "docs/troubleshooting.md"
CONFIGURATION = ROOT / "docs/configuration.md"
UPGRADING = ROOT / "docs/upgrading.md"
PAGES = (README, GUIDE, COOKBOOK, TROUBLESHOOTING, CONFIGURATION, UPGRADING)
"""Pages all of whose commands are run."""

_STEP = re.compile(
    r"^(?:[^\n]*\. |\*\*\w+\.\*\* )?In (?:the new file )?`(?P<file>[^`]+)`(?:, (?P<how>below|above|in place of) `(?P<anchor>[^`]+)`)?:"
    r"\n```python\n(?P<code>.*?)```$",
    re.MULTILINE | re.DOTALL,
)
_IMPORT = re.compile(r"(from \S+ )?import ")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^    (?=\S)(?P<line>.+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_ROW = re.compile(r"^\| (`.+?) \|", re.MULTILINE)
_PROGRAM = re.compile(
    r"(\w+=\S+ )*(\.|make|python|pip|pytest|hypercorn|nix|git|curl|psql|docker|kubectl)\s"
)


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
        imports, code = self._split()
        lines[start:end] = [code]
        first_import = next(i for i, line in enumerate(lines) if _IMPORT.match(line))
        lines[first_import:first_import] = [imports]
        path.write_text("".join(lines))

    def _split(self) -> tuple[str, str]:
        """Return the imports at the head of the code, and the rest."""
        head, gap, rest = self.code.partition("\n\n")
        if gap and all(_IMPORT.match(line) for line in head.splitlines()):
            return f"{head}\n", rest
        return "", self.code


def section(title: str) -> str:
    """Return the text of the README below a heading, up to the next one of its rank."""
    head, _, rest = README.read_text().partition(f"\n## {title}\n")
    assert rest, f"no section {title!r} below {head[:20]!r}"
    return rest.partition("\n## ")[0]


def advice(problem: str) -> str:
    """Return what the page says against a problem, in one line."""
    entries = TROUBLESHOOTING.read_text().split("\n- ")
    [found] = [each for each in entries if each.startswith(f"**{problem}**")]
    return " ".join(found.split())


def commands(text: str) -> list[str]:
    """Return the lines that a reader pastes into a shell, in order."""
    return [match["line"] for match in _COMMAND.finditer(_FENCE.sub("", text))]


def follow(text: str) -> Iterator[Step | str]:
    """Return a page's commands and blocks of code in the order in which its reader meets them."""
    placed = [(match.start(), Step(**match.groupdict())) for match in _STEP.finditer(text)]
    assert len(placed) == text.count("```python"), "a block of code has no place"
    blank = _FENCE.sub(lambda match: " " * len(match[0]), text)
    typed = [(match.start(), match["line"]) for match in _COMMAND.finditer(blank)]
    return (each for _, each in sorted([*placed, *typed], key=itemgetter(0)))


def listed() -> list[str]:
    """Return the commands of the README's table, those that were shortened to a word in full."""
    found = []
    for row in _ROW.findall(section("Commands")):
        first, *others = _SPAN.findall(row)
        stem = first.rpartition(" ")[0]
        found += [first, *(f"{stem} {word}" for word in others if not _PROGRAM.match(word))]
    return found


def mentioned(text: str) -> list[str]:
    """Return the commands that stand in the midst of a text."""
    spans = (" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", text)))
    return [span for span in spans if _PROGRAM.match(span)]
