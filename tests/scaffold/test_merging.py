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

from scaffold.engine.merging import Merged, find_conflicts, merge, merge_python
from tests.requirement import get_program
from tests.scaffold.commands import done, run, scaffold

Render = Callable[[Sequence[str]], dict[str, str]]


@dataclass(frozen=True)
class Edit:
    """An entry of merges/*.toml: what a user does to a generated file that is generated anew.

    `before` and `after` are the fields of the resource, which the file says for all its entries.
    """

    name: str
    file: str
    before: Sequence[str]
    after: Sequence[str]
    generated: Sequence[tuple[str, str]] = ()
    """What changes in the template besides."""
    replace: Sequence[tuple[str, str]] = ()
    all: bool = False
    """Whether what is replaced may be there several times."""
    delete: str = ""
    """A function, with the blank lines before it."""
    move: tuple[str, str] | None = None
    """A function, and that which it comes after."""
    append: str = ""
    whole: str | None = None
    """All that is left."""
    width: int = 0
    """The length at which ruff wraps lines."""
    ends: str = ""
    """What ends lines, if not line feeds: see `make`."""
    conflicts: int = 0
    partial: bool = False
    """Whether it is a part of a change, so that the tests of its service fail with it alone."""
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
            _, other = _take_out(text, self.move[1])
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
                text = "\n".join(line + "\r" * (at % 2) for at, line in enumerate(lines))
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
            rendered[key] = {
                path.relative_to(service).as_posix(): path.read_text() for path in files
            }
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
@pytest.mark.slow
def test_a_merge_loses_no_line_of_the_user(edit: Edit, render: Render) -> None:
    base, ours, _, merged = bring(edit, render)

    assert merged.conflicts == edit.conflicts, merged.text
    assert len(find_conflicts(merged.text)) == edit.conflicts
    lost = find_lost(base, ours, merged.text)
    assert not lost or edit.sets, merged.text
    assert set(re.findall(r"\w+", "".join(lost))) <= set(re.findall(r"\w+", merged.text))


@pytest.mark.parametrize(
    "edit", [edit for edit in EDITS if not edit.conflicts], ids=lambda edit: edit.name
)
def test_a_clean_merge_has_what_is_generated_now(edit: Edit, render: Render) -> None:
    base, _, theirs, merged = bring(edit, render)

    missing = [line for line in find_lost(base, theirs, merged.text) if "import" not in line]
    words = set(re.findall(r"\w+", merged.text))
    assert not [line for line in missing if not set(re.findall(r"\w+", line)) <= words]


def test_clean_merges_are_right_once_their_imports_are_sorted(
    render: Render, tmp_path: Path
) -> None:
    for number, edit in enumerate(EDITS):
        merged = bring(edit, render)[-1]
        if edit.file.endswith(".py") and not merged.conflicts:
            (tmp_path / f"edit_{number}.py").write_text(merged.text, "utf-8", newline="")

    ruff = (get_program("ruff"), "check", "--isolated", "--quiet", "--output-format=concise")
    done(run(tmp_path, *ruff, "--select=I", "--fix", "."))
    done(run(tmp_path, *ruff, "--select=F,E9,I", "."))


def test_edits_of_many_kinds_are_merged() -> None:
    assert len(EDITS) >= 40
    assert len([edit for edit in EDITS if edit.conflicts]) >= 15


class RandomEdits:
    """Two edits of one text, the same for the same seed."""

    COMMON = ("", "", "", "    return None", "    pass", ")", "    )", "@route", "else:")

    def __init__(self, seed: int, repeated: float) -> None:
        """Make texts; `repeated` says how many of the lines are there several times, at 1 all."""
        self._chance = random.Random(seed)
        self._repeated = repeated
        base = self._make_lines(self._chance.choice([3, 20, 80, 300]))
        self.base, self.ours, self.theirs = map(write, (base, self._edit(base), self._edit(base)))

    def _make_lines(self, count: int) -> list[str]:
        return [
            self._chance.choice(self.COMMON)
            if self._chance.random() < self._repeated
            else f"line {self._chance.random()}"
            for _ in range(count)
        ]

    def _edit(self, lines: list[str]) -> list[str]:
        lines = list(lines)
        for _ in range(self._chance.choice([0, 1, 2, 4, 8])):
            at = self._chance.randrange(len(lines) + 1)
            count = self._chance.choice([1, 2, 4])
            match self._chance.choice(["insert", "delete", "change", "repeat"]):
                case "insert":
                    lines[at:at] = self._make_lines(count)
                case "delete":
                    del lines[at : at + count]
                case "change":
                    remark = f" # {self._chance.randrange(3)}"
                    lines[at : at + count] = [line + remark for line in lines[at : at + count]]
                case "repeat" if self._repeated:
                    lines[at:at] = lines[:count]
        return lines


def write(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def merge_by_git(folder: Path, edits: RandomEdits) -> tuple[str, int]:
    """Return what git makes of three texts, and the number of conflicts."""
    for name in ("base", "ours", "theirs"):
        (folder / name).write_text(getattr(edits, name))
    labels = ("-L", "yours", "-L", "generated before", "-L", "generated now")
    command = (get_program("git"), "merge-file", "-p", "--diff3", *labels)
    completed = run(folder, *command, "ours", "base", "theirs")
    return completed.stdout, completed.returncode


def test_a_merge_is_byte_for_byte_that_of_git(tmp_path: Path) -> None:
    for seed in range(150):
        edits = RandomEdits(seed, repeated=0)

        merged = merge(edits.base, edits.ours, edits.theirs)

        assert (merged.text, merged.conflicts) == merge_by_git(tmp_path, edits), seed


@pytest.mark.slow
def test_where_lines_repeat_a_merge_is_that_of_git_but_for_ties(tmp_path: Path) -> None:
    """Of two longest common subsequences, git may choose the other."""
    equal = equally_clean = 0
    for seed in range(200):
        edits = RandomEdits(seed, repeated=0.3)
        text, conflicts = merge_by_git(tmp_path, edits)

        merged = merge(edits.base, edits.ours, edits.theirs)

        equal += merged.text == text
        equally_clean += merged.text == text or merged.conflicts > 0 < conflicts

    assert equal >= 190
    assert equally_clean >= 199


@pytest.fixture(params=[0, 0.3, 0.9])
def many_edits(request: pytest.FixtureRequest) -> list[RandomEdits]:
    return [RandomEdits(seed, request.param) for seed in range(300)]


def test_every_line_of_both_sides_is_in_a_merge(many_edits: list[RandomEdits]) -> None:
    for edits in many_edits:
        merged = merge(edits.base, edits.ours, edits.theirs)

        assert not find_lost(edits.base, edits.ours, merged.text)
        assert not find_lost(edits.base, edits.theirs, merged.text)
        assert len(find_conflicts(merged.text)) == merged.conflicts


@pytest.mark.parametrize("merging", [merge, merge_python])
def test_what_one_side_left_alone_is_the_others(
    merging: Callable[[str, str, str], Merged], many_edits: list[RandomEdits]
) -> None:
    for edits in many_edits:
        assert merging(edits.base, edits.base, edits.theirs) == Merged(edits.theirs, 0)
        assert merging(edits.base, edits.ours, edits.base) == Merged(edits.ours, 0)
        assert merging(edits.base, edits.ours, edits.ours) == Merged(edits.ours, 0)


def test_both_sides_count_alike(many_edits: list[RandomEdits]) -> None:
    for edits in many_edits:
        merged = merge(edits.base, edits.ours, edits.theirs)
        other = merge(edits.base, edits.theirs, edits.ours)

        assert merged == other or merged.conflicts == other.conflicts > 0


def test_what_was_brought_in_is_not_brought_in_again(many_edits: list[RandomEdits]) -> None:
    for edits in many_edits:
        merged = merge(edits.base, edits.ours, edits.theirs)

        assert merge(edits.theirs, merged.text, edits.theirs) == Merged(merged.text, 0)


def test_ends_of_lines_change_nothing(many_edits: list[RandomEdits]) -> None:
    for edits in many_edits:
        merged = merge(edits.base, edits.ours, edits.theirs)
        if edits.ours == "" or edits.ours.endswith("\n\n"):
            continue

        crlf = merge(edits.base, "\ufeff" + edits.ours.replace("\n", "\r\n"), edits.theirs)
        endless = merge(edits.base, edits.ours.removesuffix("\n"), edits.theirs)

        assert crlf == Merged("\ufeff" + merged.text.replace("\n", "\r\n"), merged.conflicts)
        assert endless == Merged(merged.text.removesuffix("\n"), merged.conflicts)


def test_lines_that_come_in_end_as_most_do() -> None:
    merged = merge("a\nb\nc\n", "a\r\nb\nc\r\n", "a\nb\nc\nd\n")

    assert merged == Merged("a\r\nb\nc\r\nd\r\n", 0)


def test_only_line_feeds_end_lines() -> None:
    merged = merge("a\nb\n", "a\f\x85\u2028 \r b\n", "a\nc\n")

    assert merged.conflicts == 1
    assert merge("a\n", "a\n\fb\rc\n", "0\na\n").text == "0\na\n\fb\rc\n"


def test_of_lines_that_repeat_the_last_ones_were_added() -> None:
    """As git has it: an edit right before the first ones touches nothing that was added."""
    base, theirs = "p\n\nx\na\nb\ny\n", "q\n\nx\na\nb\na\nb\ny\n"

    assert merge(base, base.replace("x", "mine"), theirs).conflicts == 0
    assert merge(base, base.replace("b", "mine"), theirs).conflicts == 1
    assert merge("0\n1\n2\n", "0\n1\nmine\n", "0\n0\n1\n1\n2\n").conflicts == 0


def test_a_function_added_above_a_changed_one_is_no_conflict() -> None:
    base = "def a():\n    one\n\n\ndef c():\n    three\n"
    ours, theirs = (
        base.replace("def c", "def b():\n    two\n\n\ndef c"),
        base.replace("c()", "c(x)"),
    )

    assert merge(base, ours, theirs).text == ours.replace("c()", "c(x)")
    assert merge(base, theirs, ours).text == ours.replace("c()", "c(x)")
    assert merge(base, ours, base.replace("def c", "def d():\n    0\n\n\ndef c")).conflicts == 1


def test_a_conflict_shows_what_was_generated_before() -> None:
    merged = merge("a\nb\nc\n", "a\nmine\nc\n", "a\nnew\nc\n")

    assert merged == Merged(
        "a\n<<<<<<< yours\nmine\n||||||| generated before\nb\n=======\nnew\n>>>>>>> generated now\nc\n",
        conflicts=1,
    )


def test_two_hundred_conflicts_are_two_hundred() -> None:
    base, ours, theirs = (
        write([f"{side if at % 10 == 0 else ''}{at}" for at in range(2000)])
        for side in ("base ", "ours ", "theirs ")
    )

    merged = merge(base, ours, theirs)

    assert merged.conflicts == 200
    assert not find_lost(base, ours, merged.text)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Heading\n=======\n\n>>>>>>> a quotation\n", []),
        ("<<<<<<< HEAD\nHeading\n=======\n", []),
        ("<<<<<<< HEAD\nHeading\n>>>>>>> a quotation\n", []),
        ("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> main\n", [2]),
        ("<<<<<<< yours\r\nb\r\n=======\r\nc\r\n>>>>>>> generated now\r\n", [1]),
        ("<<<<<<< left over\n<<<<<<< yours\nb\n=======\nc\n>>>>>>> now\n", [2]),
        ("<<<<<<< a\n=======\n>>>>>>> b\n\n<<<<<<< a\n=======\n>>>>>>> b\n", [1, 5]),
    ],
)
def test_a_conflict_is_all_marks_in_their_order(text: str, lines: list[int]) -> None:
    assert find_conflicts(text) == lines


# Sets in Python.


def imports_of(text: str) -> set[str]:
    """Return what a module imports, name by name."""
    return {
        f"{getattr(node, 'module', '')} {alias.name} {alias.asname}"
        for node in ast.parse(text).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def compose_module(chance: random.Random, code: str) -> str:
    """Return a module whose imports are chosen from a few, in any order and form."""
    statements = [f"import {name}\n" for name in ("json", "re", "os.path") if chance.random() < 0.5]
    for module in ("a", ".b", "c.d"):
        names = [f"{module[-1]}_{number}" for number in range(4) if chance.random() < 0.5]
        if names and chance.random() < 0.5:
            statements.append(f"from {module} import {', '.join(names)}\n")
        elif names:
            listed = "".join(f"    {name},\n" for name in names)
            statements.append(f"from {module} import (\n{listed})\n")
    chance.shuffle(statements)
    return f'"""A module."""\n\n{"".join(statements)}\n\n{code}'


def test_imports_are_merged_name_by_name() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        code = "class A:\n  b=1  # as the user likes it\n"
        base, theirs = compose_module(chance, "x = 1\n"), compose_module(chance, "x = 1\n")
        ours = compose_module(chance, f"x = 1\n{code}")
        was, mine, now = map(imports_of, (base, ours, theirs))
        if was == now:
            continue

        merged = merge_python(base, ours, theirs)

        assert merged.conflicts == 0, seed
        assert imports_of(merged.text) == (mine & now) | (mine - was) | (now - was), seed
        assert merged.text.endswith(f"\n\n\nx = 1\n{code}"), seed


def compose_listing(chance: random.Random) -> str:
    """Return a class with a list whose members are chosen from a few, in any order and form."""
    members = [f'"{name}"' for name in "abcdef" if chance.random() < 0.5]
    chance.shuffle(members)
    if chance.random() < 0.5:
        value = "[" + ", ".join(members) + "]"
    else:
        value = "[\n" + "".join(f"        {each},\n" for each in members) + "    ]"
    return f"class A:\n    names = {value}\n"


def test_lists_of_names_are_merged_by_their_members() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        base, ours, theirs = (compose_listing(chance) for _ in range(3))
        was, mine, now = (set(re.findall(r'"."', text)) for text in (base, ours, theirs))
        expected = (mine & now) | (mine - was) | (now - was)
        if was == now or base == ours or not expected:
            continue

        merged = merge_python(base, ours, theirs)

        assert merged.conflicts == 0, seed
        assert set(re.findall(r'"."', merged.text)) == expected, seed
        assert ast.parse(merged.text)


def test_a_list_with_other_values_than_names_is_merged_by_lines() -> None:
    merged = merge_python("a = [b, 1]\n", "a = [b, 1, c]\n", "a = [b, 1, d]\n")

    assert merged.conflicts == 1


def test_an_import_stays_while_code_of_the_other_side_reads_it() -> None:
    base = "import a\nimport b\n\n\nb.start()\na.stop()\n"
    ours = base.replace("a.stop()", "a.stop()\n\n\ndef again():\n    b.start()\n")
    theirs = "import a\n\n\na.stop()\n"

    merged = merge_python(base, ours, theirs)
    unread = merge_python(base, base + "\na.wait()\n", theirs)

    assert imports_of(merged.text) == imports_of(base)
    assert imports_of(unread.text) == imports_of(theirs)


def test_an_import_goes_with_its_last_reader() -> None:
    base = "from a import open\n\nopen()\n\n"

    merged = merge_python(base, base + "b = 1\n", "\nopen()\n\n")

    assert merged == Merged("\nopen()\n\nb = 1\n", 0)  # it reads Python's own


def test_a_line_with_more_than_an_import_stays() -> None:
    merged = merge_python("import a\nimport b\n", "import b\nimport a; a.start()\n", "import b\n")

    assert "import a; a.start()\n" in merged.text


def test_lists_that_share_a_name_are_merged_by_lines() -> None:
    base = "a = [b]\n\nc = 1\n\na = [d]\n"

    merged = merge_python(base, base.replace("d", "d, e"), base.replace("d", "d, f"))

    assert merged.conflicts == 1


def test_an_import_with_a_comment_of_the_user_stays() -> None:
    base = "from a import b, c\n\nd = 1\n"
    ours = "from a import (\n    b,  # by tests\n    c,\n)\n\nd = 1\n"

    merged = merge_python(base, ours, "from a import c, e\n\nd = 1\n")

    assert merged.text.startswith("from a import (\n    b,  # by tests\n    c,\n)\n")
    assert imports_of(merged.text) == {"a b None", "a c None", "a e None"}


def test_an_import_of_the_future_comes_first() -> None:
    merged = merge_python(
        "import a\n", "import a\nimport b\n", "from __future__ import annotations\n\nimport a\n"
    )

    assert merged == Merged("from __future__ import annotations\nimport a\nimport b\n", 0)


@pytest.mark.parametrize(
    "ours",
    [
        "import a; a.start()\nimport b\n",
        "import c\na.start()\nimport b\nimport a\n",
        "import a\nimport b\nif a:\nc = 1\n",
        "import a\nimport b\nd = '\0'\n",
    ],
)
def test_what_is_no_block_of_imports_is_merged_by_lines(ours: str) -> None:
    base, theirs = "import a\nimport b\n", "import a\nimport b\nimport d\n"

    assert merge_python(base, ours, theirs) == merge(base, ours, theirs)


def test_sets_keep_the_ends_of_lines() -> None:
    base = "import a\n\nnames = [b]\n\nx = 1\n"
    ours = "\ufeffimport a\r\n# é\ré\r\nimport c\r\n\r\nnames = [b, e]\r\n\r\nx = 1\r\n# é"

    merged = merge_python(base, ours, "import a\nimport d\n\nnames = [b, f]\n\nx = 1\n")

    assert merged == Merged(
        "\ufeffimport a\r\nimport d\r\n# é\ré\r\nimport c\r\n\r\nnames = [b, e, f]\r\n\r\nx = 1\r\n# é",
        0,
    )


def test_a_conflict_beside_a_list_shows_what_was_generated_before() -> None:
    merged = merge_python("a = [b]\n", "a = [b, c]\nd = 1\n", "a = [b, e]\n")

    assert merged.conflicts == 1
    assert "||||||| generated before\na = [b]\n=======" in merged.text


def test_where_no_imports_meet_the_merge_is_by_lines(many_edits: list[RandomEdits]) -> None:
    for edits in many_edits:
        texts = edits.base, edits.ours, edits.theirs

        assert merge_python(*texts) == merge(*texts)


def _filter(text: str, *command: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
