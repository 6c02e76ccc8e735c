"""The three-way merge of what was generated last, what is on the disk, and what is generated now.

Texts are merged by lines, as `git merge-file --diff3` does: what one side changed is taken, what
both changed alike is taken once, and changes of both sides that overlap or touch are a conflict,
marked in the text with all three versions. Where git merges without a conflict the text is the
same; a conflict of git is none here if both sides come to the same lines, or if one side's insertion
may as well have been made above blank lines, where it touches nothing. Two things are no change:

- Ends of lines. A user's file keeps its own (CRLF, mixed, no newline at its end, a byte order
  mark), and lines that come in get those that most of its lines have.
- In Python, the order of what is a set: imports, and lists of names such as `__all__`. Where both
  sides changed one, each adds and removes without a conflict. `merge_python` says more.

Every text is what the file holds, decoded; reading with universal newlines would lose its ends.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import PurePosixPath
from typing import NamedTuple

from scaffold.engine import python_sets

LABELS = ("yours", "generated")
"""What marks call the user's side, and that of the generator."""

_LIKE = 0.6
"""The share of equal lines from which a file counts as another by a new name."""
_BYTE_ORDER_MARK = "\ufeff"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
"""Unlike str.splitlines, which also splits at form feeds and the like."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged text, with marks where `conflicts` is not 0."""

    text: str
    conflicts: int


def merge(base: str, ours: str, theirs: str, *, labels: tuple[str, str] = LABELS) -> Merged:
    """Bring what changed from `base`, generated last, to `theirs`, generated now, into `ours`."""
    if ours in (base, theirs):
        return Merged(theirs, 0)
    if theirs == base:
        return Merged(ours, 0)
    mark = _BYTE_ORDER_MARK if ours.startswith(_BYTE_ORDER_MARK) else ""
    base, ours, theirs = (text.removeprefix(_BYTE_ORDER_MARK) for text in (base, ours, theirs))
    end = _get_end(ours)
    own = [line if line.endswith("\n") else line + end for line in _LINE.findall(ours)]
    before, yours, now = (
        [line.rstrip("\r\n") for line in _LINE.findall(text)] for text in (base, ours, theirs)
    )
    user, generator = labels
    merged: list[str] = []
    conflicts = 0
    for was, mine, new in _align(before, yours, now):
        if now[new] in (before[was], yours[mine]):
            merged += own[mine]
        elif yours[mine] == before[was]:
            merged += [line + end for line in now[new]]
        else:
            conflicts += 1
            merged += [f"<<<<<<< {user}{end}", *own[mine], f"||||||| {generator} before{end}"]
            merged += [line + end for line in [*before[was], "=======", *now[new]]]
            merged += [f">>>>>>> {generator} now{end}"]
    text = mark + "".join(merged)
    was_endless, is_endless, now_endless = (
        each != "" and not each.endswith("\n") for each in (base, ours, theirs)
    )
    if now_endless if is_endless == was_endless else is_endless:
        text = text.removesuffix("\n").removesuffix("\r")
    return Merged(text, conflicts)


def merge_python(base: str, ours: str, theirs: str, *, labels: tuple[str, str] = LABELS) -> Merged:
    """Merge modules by lines, and what is a set in them as sets.

    Sets are the imports at a module's head, name by name, and lists of names or texts that are
    assigned or given by keyword, such as `__all__`, `unique_fields` and `blueprints=[...]`. Where
    the generator changed one that the user wrote anew, the result has what either side added and
    not what either removed. The user's order stays; ruff's sorter is to put imports into theirs.
    Two imports of one name from two modules are a conflict, and an import that one side removed
    stays if the code of the other reads its name. What has a comment inside, and what is no Python,
    is merged by lines.
    """
    if ours in (base, theirs) or theirs == base:
        return merge(base, ours, theirs, labels=labels)
    plain = merge(base, ours, theirs, labels=labels)
    try:
        modules = [python_sets.Module(text) for text in (base, ours, theirs)]
        before, now = python_sets.join(*modules)
        merged = merge(before, ours, now, labels=labels)
        if merged.conflicts:
            # The same conflicts are shown with what was generated before in truth.
            return plain if plain.conflicts == merged.conflicts else merged
        result = python_sets.Module(merged.text)
    except (SyntaxError, ValueError):
        return plain
    end = _get_end(ours)
    lines = _LINE.findall(merged.text)
    lines[result.head : result.head] = [
        name + end for name in python_sets.find_lost(result, *modules)
    ]
    return Merged("".join(lines), 0)


def find_renamed(
    gone: Mapping[PurePosixPath, str], come: Mapping[PurePosixPath, str]
) -> dict[PurePosixPath, PurePosixPath]:
    """Return files that have come and are others that have gone by a new name: the old, by the new.

    That is what most lines are equal of; the likest are found first.
    """
    likes = sorted(
        (
            (-SequenceMatcher(None, old.split("\n"), new.split("\n"), False).ratio(), path, was)
            for was, old in gone.items()
            for path, new in come.items()
            if was.suffix == path.suffix and old.strip() and new.strip()
        ),
        key=itemgetter(0),
    )
    found: dict[PurePosixPath, PurePosixPath] = {}
    for ratio, path, was in likes:
        if -ratio >= _LIKE and path not in found and was not in found.values():
            found[path] = was
    return found


def find_conflicts(text: str) -> list[int]:
    """Return the lines, counted from 1, where conflicts begin: this merge's, and git's.

    A line of seven equals signs alone also underlines a heading: only all marks in their order count.
    """
    found, begin, divided = [], 0, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("<<<<<<< "):
            begin, divided = number, False
        elif line.rstrip("\r") == "=======":
            divided = True
        elif line.startswith(">>>>>>> ") and begin and divided:
            found.append(begin)
            begin = 0
    return found


def _get_end(text: str) -> str:
    """Return how most lines end."""
    return "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"


class _Hunk(NamedTuple):
    """Lines `start` to `stop` of an old text, in whose place a new one has others."""

    start: int
    stop: int
    new_start: int
    new_stop: int


def _align(
    base: list[str], ours: list[str], theirs: list[str]
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the parts of three texts that correspond, in order: what is equal, and what is not.

    Hunks of both sides that overlap or touch are in one part.
    """
    own, others = _diff(base, ours), _diff(base, theirs)
    sides = [_apart(own, base, ours, others), _apart(others, base, theirs, own)]
    regions: list[list[int]] = []
    for start, stop, *_ in sorted(chain(*sides)):
        if regions and start <= regions[-1][1]:
            regions[-1][1] = max(stop, regions[-1][1])
        else:
            regions.append([start, stop])

    def cut(hunks: list[_Hunk], length: int) -> Iterator[tuple[int, int]]:
        """Return what begins or ends at a region, in one of the texts."""
        cuts, shift, later = [0], 0, deque(hunks)
        for start, stop in regions:
            cuts.append(start + shift)
            while later and later[0].start <= stop:
                hunk = later.popleft()
                shift = hunk.new_stop - hunk.stop
            cuts.append(stop + shift)
        return pairwise([*cuts, length])

    parts = cut([], len(base)), cut(sides[0], len(ours)), cut(sides[1], len(theirs))
    for was, mine, now in zip(*parts, strict=True):
        yield slice(*was), slice(*mine), slice(*now)


def _apart(
    hunks: list[_Hunk], base: list[str], changed: list[str], others: list[_Hunk]
) -> list[_Hunk]:
    """Return hunks of which an insertion beside lines that the other side changed is further up.

    A function that was added above a changed one has blank lines on both of its sides: that it was
    added above the first ones is as true, and no conflict. Of other lines that repeat, it is not
    known which one is the new one.
    """
    beside = {at for each in others if each.start < each.stop for at in (each.start, each.stop)}
    found: list[_Hunk] = []
    for hunk in hunks:
        start, _, new_start, new_stop = hunk
        lowest = found[-1].stop + 1 if found else 0
        if hunk.start == hunk.stop:
            while (
                start > lowest
                and start in beside
                and changed[new_stop - 1] == base[start - 1] == ""
            ):
                start, new_start, new_stop = start - 1, new_start - 1, new_stop - 1
        is_apart = not any(each.start <= start <= each.stop for each in others)
        is_moved = start < hunk.start and is_apart
        found.append(_Hunk(start, start, new_start, new_stop) if is_moved else hunk)
    return found


def _diff(old: list[str], new: list[str]) -> list[_Hunk]:
    """Return where `new` differs from `old`, each hunk as far down as it can go, as git's are.

    Of `a b` and `a b a b`, the last two lines were added; a hunk that comes to touch the next one
    is joined with it.
    """
    hunks: list[_Hunk] = []  # the last one first
    for after, before in pairwise(_match(old, new)):
        (stop, new_stop), (start, new_start) = after, (before[0] + 1, before[1] + 1)
        if (start, new_start) == after:
            continue
        while True:
            if hunks and stop == hunks[-1].start:
                _, stop, _, new_stop = hunks.pop()
            elif (start == stop and new[new_start] in new[new_stop : new_stop + 1]) or (
                new_start == new_stop and old[start] in old[stop : stop + 1]
            ):
                start, stop, new_start, new_stop = start + 1, stop + 1, new_start + 1, new_stop + 1
            else:
                break
        hunks.append(_Hunk(start, stop, new_start, new_stop))
    return hunks[::-1]


def _match(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Return a longest common subsequence from its end, as places in both, between those outside.

    A row has a bit for each line of `new`; it is 0 where the subsequence common with the lines of
    `old` so far grows (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004). 2,000 lines
    take milliseconds, however many differ.
    """
    head = 0
    while old[head : head + 1] == new[head : head + 1] != []:
        head += 1
    places: dict[str, int] = {}
    for j, line in enumerate(new[head:]):
        places[line] = places.get(line, 0) | 1 << j
    every = (1 << len(new) - head) - 1
    rows = [every]
    for line in old[head:]:
        common = rows[-1] & places.get(line, 0)
        rows.append((rows[-1] + common | rows[-1] - common) & every)

    i, j = len(old), len(new)
    matches = [(i, j)]
    while i > head and j > head:
        if old[i - 1] == new[j - 1]:
            i, j = i - 1, j - 1
            matches.append((i, j))
        elif rows[i - head] >> (j - head - 1) & 1:
            j -= 1
        else:
            i -= 1
    matches += [(at, at) for at in reversed(range(head))]
    return [*matches, (-1, -1)]
