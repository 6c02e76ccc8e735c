"""Merging what is generated into what was edited."""

import ast
import random
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaffold.merging import Merged, find_conflicts, merge, merge_python
from tests.requirement import get_program
from tests.scaffold.commands import REPOSITORY, done, run, scaffold

Render = Callable[[Sequence[str]], dict[str, str]]


@dataclass(frozen=True)
class Edit:
    """An entry of merges/*.toml: what a user does to a generated file, whose template changes.

    `before` and `after` are the fields of the resource, `generated` what changes in the template.
    """

    name: str
    file: str
    before: Sequence[str]
    after: Sequence[str]
    generated: Sequence[tuple[str, str]] = ()
    replace: Sequence[tuple[str, str]] = ()
    all: bool = False
    """Whether what is replaced may be there several times."""
    delete: str = ""
    """A function, with the blank lines before it."""
    move: tuple[str, str] | None = None
    """A function, and that which it comes after."""
    append: str = ""
    whole: str | None = None
    width: int = 0
    """How long lines are that ruff wraps."""
    ends: str = ""
    conflicts: int = 0
    sets: bool = False
    """Whether lines are joined as sets, and so may be written otherwise."""

    def make(self, text: str) -> str:
        """Return what the user has."""
        for old, new in self.replace:
            assert text.count(old) == 1 or (self.all and old in text), f"{old!r} in {self.file}"
            text = text.replace(old, new)
        if self.delete:
            text, _ = _take_out(text, self.delete)
        if self.move:
            text, function = _take_out(text, self.move[0])
            rest, other = _take_out(text, self.move[1])
            text = text.replace(other, other + function)
        if self.width:
            formatter = (get_program("ruff"), "format", "--isolated", f"--line-length={self.width}")
            text = _filter(text, *formatter, "-")
        text = text + self.append if self.whole is None else self.whole
        lines = text.split("\n")
        match self.ends:
            case "crlf":
                text = "\r\n".join(lines)
            case "crlf with mark":
                text = "\ufeff" + "\r\n".join(lines)
            case "mixed":
                text = "\n".join(line + "\r" * (at % 2) for at, line in enumerate(lines[:-1])) + "\n"
            case "none":
                text = text.removesuffix("\n")
        return text


def _take_out(text: str, function: str) -> tuple[str, str]:
    """Return a text without a function, and the function with the blank lines before it."""
    [node] = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    ]
    lines = text.splitlines(keepends=True)
    start = min(each.lineno for each in (node, *node.decorator_list)) - 1
    while not lines[start - 1].strip():
        start -= 1
    taken = lines[start : node.end_lineno]
    return "".join(lines[:start] + lines[node.end_lineno :]), "".join(taken)


def _read_edits() -> list[Edit]:
    edits = []
    for path in sorted((Path(__file__).parent / "merges").glob("*.toml")):
        change = tomllib.loads(path.read_text("utf-8"))
        before = change["before"]
        after = change.get("after", before)
        edits += [Edit(before=before, after=after, **entry) for entry in change["edit"]]
    return edits


EDITS = _read_edits()


@pytest.fixture(scope="session")
def render(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """What is generated of fields, by paths in the service or the workspace."""
    rendered: dict[tuple[str, ...], dict[str, str]] = {}

    def generate(fields: Sequence[str]) -> dict[str, str]:
        if (key := tuple(fields)) not in rendered:
            workspace = tmp_path_factory.mktemp("rendered") / "fleet"
            shutil.copytree(fresh, workspace)
            done(scaffold(workspace, "product-service", "8082", *fields))
            service = workspace / "services/product_service"
            files = [path for path in service.rglob("*") if path.is_file()]
            rendered[key] = {path.relative_to(service).as_posix(): path.read_text() for path in files}
            model = "shared/models/product.py"
            rendered[key][model] = (workspace / model).read_text()
        return rendered[key]

    return generate


def bring(edit: Edit, render: Render) -> tuple[str, str, str, Merged]:
    """Return the three texts of an edit, and what they are merged to."""
    base, theirs = (render(fields)[edit.file] for fields in (edit.before, edit.after))
    for old, new in edit.generated:
        assert theirs.count(old) == 1, f"{old!r} in {edit.file}"
        theirs = theirs.replace(old, new)
    ours = edit.make(base)
    merged = (merge_python if edit.file.endswith(".py") else merge)(base, ours, theirs)
    return base, ours, theirs, merged


def find_lost(base: str, ours: str, merged: str) -> Counter[str]:
    """Return what `ours` has more lines of than `base`, and than `merged`."""
    return Counter(ours.splitlines()) - Counter(base.splitlines()) - Counter(merged.splitlines())


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_no_line_of_a_user_is_lost(edit: Edit, render: Render) -> None:
    base, ours, theirs, merged = bring(edit, render)

    assert merged.conflicts == edit.conflicts, merged.text
    assert len(find_conflicts(merged.text)) == edit.conflicts
    if not edit.sets:
        assert not find_lost(base, ours, merged.text), merged.text


def _filter(text: str, *command: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
