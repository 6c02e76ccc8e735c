"""The baseline after git has merged two: what each file was generated with, as its own text tells.

Git keeps the lines of both sides of a baseline, whichever side of the file its owner kept. Held
against that, a file of one side would seem to have lost what the other side added. So a file that
is as a commit of one side has it was generated as that commit says; and what any other file has not
a word of was never in it.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from scaffold.engine.baseline import FINGERPRINT, place_of
from scaffold.errors import ScaffoldError
from scaffold.generation.relations import without_references
from scaffold.generation.render import Files
from scaffold.language.description import FleetDescription, ServiceDescription

DIGEST_LENGTH = 64
_WORD = re.compile(r"\w+")
_IN_PROGRESS = ("HEAD", "MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD")
"""What git calls the commits that it is about to join, by a merge or else."""

Reduction = Callable[[ServiceDescription], ServiceDescription]
"""Takes something out of a description."""


def is_merged(fingerprint: str) -> bool:
    """Whether git has merged two fingerprints, and with them what was generated on two sides."""
    return len(fingerprint) not in (0, DIGEST_LENGTH)


def find_bases(
    root: Path,
    description: FleetDescription,
    baseline: Mapping[PurePosixPath, str],
    render: Callable[[ServiceDescription], Files],
) -> Files:
    """Return what edited files were generated as, where that is not what a merged baseline says.

    Args:
        root: the workspace.
        description: of both sides.
        baseline: as git merged it.
        render: returns the files of a service, formatted.
    """
    differing = dict(_edited(root, baseline))
    bases = _find_kept(root, differing)
    for service in description.services:
        whole = render(service)
        edited = {
            path: differing[path] for path in whole if path in differing and path not in bases
        }
        missing: dict[PurePosixPath, list[Reduction]] = {}
        for reduction in _reductions(service) if edited else ():
            try:
                rest = render(reduction(service))
            except (ScaffoldError, LookupError):  # something else cannot be without it
                continue
            for path in edited.keys() & rest.keys():
                own = _words(whole[path]) - _words(rest[path])
                if own and own.isdisjoint(_words(edited[path])):
                    missing.setdefault(path, []).append(reduction)
        for path in edited:
            reduced = service
            for reduction in missing.get(path, ()):
                reduced = reduction(reduced)
            if reduced is not service:
                bases[path] = render(reduced)[path]
            elif path.suffix == ".py" and not _is_python(baseline[path]):
                bases[path] = whole[path]
    return bases


def _edited(
    root: Path, baseline: Mapping[PurePosixPath, str]
) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the files that are not as the baseline says, with what they hold."""
    for path, base in baseline.items():
        if (root / path).is_file():
            text = (root / path).read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
            if text != base:
                yield path, text


def _find_kept(root: Path, edited: Files) -> Files:
    """Return what files were generated as that are as a commit of one side has them.

    A commit that has a merged baseline itself does not tell.
    """

    def git(*arguments: str) -> str:
        """Return what git prints; nothing where it fails, or is not installed."""
        try:
            done = subprocess.run(  # noqa: S603 - of the workspace's owner
                ["git", *arguments],  # noqa: S607
                cwd=root,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            return ""
        return done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")

    def read(commit: str, path: PurePosixPath) -> str:
        return git("cat-file", "blob", f"{commit}:./{path}")

    parents = git("log", "-1", "--merges", "--format=%P").split()
    kept: Files = {}
    for commit in dict.fromkeys((*_IN_PROGRESS, *parents)):
        if len(read(commit, FINGERPRINT)) == DIGEST_LENGTH:
            for path in edited.keys() - kept.keys():
                base = read(commit, place_of(path))
                if base and read(commit, path) == edited[path]:
                    kept[path] = base
    return kept


def _reductions(service: ServiceDescription) -> Iterator[Reduction]:
    """Yield what takes out each resource, and each field of the others."""
    names = [one.name for one in service.resources]

    def without(name: str, field: str | None) -> Reduction:
        return lambda whole: replace(
            whole,
            resources=tuple(
                replace(one, fields=tuple(each for each in one.fields if each.name != field))
                if one.name == name
                else without_references(one, set() if field else {name})
                for one in whole.resources
                if field is not None or one.name != name
            ),
        )

    def without_client(provider: str, whole: ServiceDescription) -> ServiceDescription:
        others = tuple(one for one in whole.clients if one.provider != provider)
        return replace(whole, clients=others)

    for name in names:
        yield without(name, None)
    for client in service.clients:
        yield partial(without_client, client.provider)
    for one in service.resources:
        if len(one.fields) > 1 and not one.is_contract:
            for field in one.fields:
                yield without(one.name, field.name)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True
