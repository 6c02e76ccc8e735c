"""The corpus of edits (merges/*.toml), brought from each earlier version to this one by `upgrade`.

Services that are like each other share the edits out: each file of a service has one at most, and so
one upgrade and one run of tests tell of all.
"""

import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaffold.engine.merging import find_conflicts
from scaffold.upgrading.moved_imports import move_imports
from tests.scaffold.commands import REPOSITORY, done, scaffold
from tests.scaffold.test_merging import EDITS, Edit, find_lost
from tests.scaffold.test_upgrade import NEXT, copy_distribution, run_by
from tests.workspace import GeneratedWorkspace

FIXTURES = REPOSITORY / "tests/fixtures"
GENERATORS = {
    "0.1.0": REPOSITORY / "scaffold/upgrading/framework-0.1.0.tar.xz",
    "0.2.0": FIXTURES / "generator-0.2.0.tar.xz",
    "0.3.0": FIXTURES / "generator-0.3.0.tar.xz",
}
WHOLE = (
    *("balloon", "biscuit", "blanket", "cabinet", "curtain", "diamond", "dolphin"),
    *("feather", "giraffe", "hammock", "lantern", "machine"),
)
"""What the services of edits are about that are whole changes: they pass their tests."""
PARTIAL = ("padlock", "pancake", "parasol", "pelican", "penguin", "pilgrim", "popcorn")
"""What the others are about. All are as long as `product`, which the edits are about, and sorted alike."""
ALL = "picture"
"""The service in which every line is edited, so that whatever else changed overlaps."""
WORDS = (*WHOLE, *PARTIAL, ALL)
STRIDES = (1, 2, 3, 5)


@dataclass(frozen=True)
class Made:
    """An edit of a file, as it was made."""

    name: str
    path: str
    base: str
    ours: str
    edit: Edit | None = None


@dataclass(frozen=True)
class Brought:
    """A workspace after its upgrade."""

    version: str
    shop: Path
    edits: list[Made]
    said: str


@pytest.fixture(scope="module", params=GENERATORS)
def brought(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """A workspace of an earlier version with the whole corpus, after its upgrade."""
    folder = tmp_path_factory.mktemp("edited")
    with tarfile.open(GENERATORS[request.param]) as archive:
        archive.extractall(folder / "generator", filter="data")
    done(run_by(folder / "generator", folder, "init", "shop"))
    shop = folder / "shop"
    for port, word in enumerate(WORDS, 8001):
        done(run_by(folder / "generator", shop, "service", f"{word}-service", str(port)))
    edits = [*make_corpus(shop), *edit_every_line(shop)]
    move_and_delete(shop)
    newest = REPOSITORY if request.param != "0.3.0" else make_later(folder / "later")
    completed = run_by(newest, shop, "upgrade")
    assert completed.returncode == 1, completed.stderr
    return Brought(request.param, shop, edits, completed.stderr)


def make_later(folder: Path) -> Path:
    """Make a version that words all over its templates otherwise, as this one's may be the same."""
    copy_distribution(folder, NEXT)
    for kind in ("service", "resource", "composition", "models"):
        for template in (folder / "scaffold/templates" / kind).rglob("*.py.jinja"):
            text = template.read_text()
            template.write_text(re.sub(r'"""(\w+)', r'"""Later: \1', text))
    return folder


def make_corpus(shop: Path) -> Iterator[Made]:
    """Make every edit whose lines this version has, each in the next service with its file free."""
    free: dict[tuple[bool, str], Iterator[str]] = {}
    for edit in EDITS:
        words = free.setdefault((edit.partial, edit.file), iter(PARTIAL if edit.partial else WHOLE))
        word = next(words)
        place = edit.file.replace("product", word)
        path = place if place.startswith("shared/") else f"services/{word}_service/{place}"
        if not (shop / path).is_file():
            continue
        base = (shop / path).read_bytes().decode()
        try:
            ours = named(edit.make(named(base, word, "product")), "product", word)
        except (AssertionError, ValueError):  # this version has no such lines
            continue
        (shop / path).write_bytes(ours.encode())
        yield Made(edit.name, path, base, ours, edit)


def named(text: str, old: str, new: str) -> str:
    """Return a text about another resource."""
    for change in (str.lower, str.upper, str.title):
        text = text.replace(change(old), change(new))
    return text


def edit_every_line(shop: Path) -> Iterator[Made]:
    """Add a remark to lines of code all over a service, in some files to more than in others."""
    service = shop / f"services/{ALL}_service"
    for number, file in enumerate(sorted(service.rglob("*.py"))):
        base = file.read_text()
        stride = STRIDES[number % len(STRIDES)]
        lines = [
            f"{line}  # ours {at}" if line.strip() and at % stride == 0 else line
            for at, line in enumerate(base.split("\n"))
        ]
        if lines == [""]:
            continue
        file.write_text("\n".join(lines))
        path = file.relative_to(shop).as_posix()
        yield Made(f"lines of {path}", path, base, file.read_text())


def move_and_delete(shop: Path) -> None:
    """Delete a file, add one, and move one, each in a service of its own."""
    (shop / "services/balloon_service/tests/test_health.py").unlink()
    (shop / "services/biscuit_service/domain/services/pricing.py").write_text("VAT = 20\n")
    moved = shop / "services/blanket_service/tests/test_health.py"
    moved.rename(moved.with_name("test_alive.py"))


@pytest.mark.slow
def test_no_line_of_the_user_is_lost(brought: Brought) -> None:
    move = move_imports if brought.version == "0.1.0" else str
    for one in brought.edits:
        text = (brought.shop / one.path).read_bytes().decode()
        base, ours = move(one.base), move(one.ours)
        lost = find_lost(base, ours, text)
        assert not lost or (one.edit and one.edit.sets) or only_imports(lost), (one.name, lost)
        words = set(re.findall(r"\w+", "".join(lost)))
        assert words <= set(re.findall(r"\w+", text)), (one.name, lost)


def only_imports(lines: object) -> bool:
    """Whether all of them are imports, which are merged as sets."""
    return all(re.match(r"(from|import) |    \w+,", line) for line in lines)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_every_conflict_is_marked_and_told_once(brought: Brought) -> None:
    told = dict(re.findall(r"^(\S+): (\d+) conflicts?, marked in the file\.$", brought.said, re.M))
    marked = {
        path.relative_to(brought.shop).as_posix(): str(len(find_conflicts(path.read_text())))
        for path in (brought.shop / "services").rglob("*.py")
        if find_conflicts(path.read_text())
    }
    others = {path for path in told if not path.endswith(".py")}

    assert {path: count for path, count in told.items() if path not in others} == marked
    noted = (brought.shop / ".scaffold/conflicts").read_text().split()
    assert sorted(noted) == sorted(told)
    overlapping = [one for one in brought.edits if one.path in told]
    assert len(brought.edits) >= 70
    assert len(brought.edits) - len(overlapping) >= 30
    assert len(overlapping) >= 15


@pytest.mark.slow
def test_a_clean_merge_has_what_is_generated_now(brought: Brought) -> None:
    for one in brought.edits:
        text = (brought.shop / one.path).read_bytes().decode()
        now = (brought.shop / f".scaffold/generated/{one.path}.txt").read_text()
        if find_conflicts(text):
            continue
        missing = [line for line in find_lost(one.base, now, text) if "import" not in line]
        words = set(re.findall(r"\w+", text))
        assert not [line for line in missing if not set(re.findall(r"\w+", line)) <= words], one


@pytest.mark.slow
def test_deleted_added_and_moved_files_stay_so(brought: Brought) -> None:
    services = brought.shop / "services"

    assert not (services / "balloon_service/tests/test_health.py").exists()
    assert (services / "biscuit_service/domain/services/pricing.py").read_text() == "VAT = 20\n"
    assert not (services / "blanket_service/tests/test_health.py").exists()
    assert (services / "blanket_service/tests/test_alive.py").is_file()
    assert "services/balloon_service/tests/test_health.py" in brought.said


@pytest.mark.slow
def test_what_was_merged_passes_its_tests(brought: Brought, tmp_path: Path) -> None:
    shop = shutil.copytree(brought.shop, tmp_path / "shop")
    for path in (shop / ".scaffold/conflicts").read_text().split():
        shutil.copy(shop / f".scaffold/generated/{path}.txt", shop / path)  # decided
    done(scaffold(shop, "apply"))
    sound = [f"services/{word}_service" for word in (*WHOLE, ALL)]
    workspace = GeneratedWorkspace(shop)

    workspace.python("-m", "ruff", "check", "--select=F,E9", *sound)
    assert " passed" in workspace.python("-m", "pytest", "-q", "-n", "2", *sound)
