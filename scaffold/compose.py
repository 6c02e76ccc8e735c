"""The compose files of a workspace: its project, its containers, and the list of its services.

    compose.yaml                    the owner's: the project's name, and what it includes
    db_manager/compose.yaml         PostgreSQL and the migrations
    services/compose.yaml           the list: a line for each service
    services/<package>/compose.yaml one service, which includes the second for itself

A line a service and nothing else: git merges two branches that each add one (.gitattributes), and
where it cannot, keeping both lines is right. The files are read line by line, so that what their
owner wrote stays as it is, to the byte.
"""

import posixpath
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Self

from quart_fleet.files import decode

FILE = PurePosixPath("compose.yaml")
LIST = PurePosixPath("services/compose.yaml")

_TOP = re.compile(r"\ufeff?([\w-]+)[ \t]*:")
_CONTAINER = re.compile(r"( +)[\"']?([\w.-]+)[\"']?[ \t]*:")
_EXTENDED = re.compile(r"(?<![\w-])file:[ \t]*[\"']?([^\s\"',}#]+)")
_INCLUDED = re.compile(r"([ \t]*)-[ \t]+(?:path:[ \t]*)?[\"']?([^\s\"'#]+)")
_INCLUDE = re.compile(r"\ufeff?include:")
_EMPTY_LIST = re.compile(r"include:[ \t]*\[[ \t]*\]")
_PROJECT = re.compile(r"^\ufeff?name: *[\"']?([a-z0-9][a-z0-9_-]*)", re.MULTILINE)
_PROJECT_WITHOUT_NAME = "fleet"


@dataclass(frozen=True, slots=True)
class Composition:
    """What `docker compose` finds at a workspace's root."""

    project: str
    """The name that containers, volumes and networks begin with."""
    files: frozenset[PurePosixPath]
    """compose.yaml and what it includes or extends, directly or not; empty where it is gone."""
    containers: frozenset[str]
    """Names of what these files define."""
    list_text: str
    """Of services/compose.yaml; empty where it is gone, or nothing includes it."""

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the files of the workspace at `root`; raises UnreadableFileError."""
        texts: dict[PurePosixPath, str] = {}
        containers: set[str] = set()
        waiting = [FILE] if (root / FILE).is_file() else []
        while waiting:
            file = waiting.pop()
            if file in texts:
                continue
            path = root / file
            content = path.read_bytes() if path.is_file() else b""
            decode(path, content)  # which refuses what it cannot read
            texts[file] = content.decode()  # with its own line ends and byte order mark
            names, others = _parse(texts[file])
            containers |= names
            waiting += [PurePosixPath(posixpath.normpath(file.parent / one)) for one in others]
        project = _PROJECT.search(texts.get(FILE, ""))
        return cls(
            project[1] if project else _PROJECT_WITHOUT_NAME,
            frozenset(texts),
            frozenset(containers),
            texts.get(LIST, ""),
        )

    def uses(self, package: str) -> bool:
        """Whether a service's own file is among them."""
        return PurePosixPath("services", package, FILE) in self.files

    def with_service(self, package: str) -> Self:
        """Return it with a line for the service in the list, unchanged where there is no place."""
        lines = self.list_text.splitlines(keepends=True)
        start = next((at for at, line in enumerate(lines) if _INCLUDE.match(line)), None)
        if start is None:
            return self
        newline = "\r\n" if "\r\n" in self.list_text else "\n"
        lines[-1] += "" if lines[-1].endswith("\n") else newline
        lines[start] = _EMPTY_LIST.sub("include:", lines[start])
        place, indent = start + 1, "  "
        for at, line in enumerate(lines[place:], place):
            entry = _INCLUDED.match(line)
            if _TOP.match(line) or (entry and entry[2] > f"{package}/{FILE}"):
                break
            if entry:
                place, indent = at + 1, entry[1]
        lines.insert(place, f"{indent}- {package}/{FILE}{newline}")
        return replace(self, list_text="".join(lines))

    def without(self, package: str) -> Self:
        """Return it without the service's line in the list."""
        lines = self.list_text.splitlines(keepends=True)
        entries = ((line, _INCLUDED.match(line)) for line in lines)
        kept = [line for line, entry in entries if not entry or entry[2] != f"{package}/{FILE}"]
        return self if kept == lines else replace(self, list_text="".join(kept))


def _parse(text: str) -> tuple[set[str], list[str]]:
    """Return the containers that a file defines, and the paths that it includes or extends."""
    containers: set[str] = set()
    paths: list[str] = []
    section = depth = ""
    for line in text.splitlines():
        if top := _TOP.match(line):
            section = top[1]
        elif section == "include" and (entry := _INCLUDED.match(line)):
            paths.append(entry[2])
        elif section == "services":
            paths += _EXTENDED.findall(line)
            key = _CONTAINER.match(line)
            depth = depth or (key[1] if key else "")
            if key and key[1] == depth:
                containers.add(key[2])
    return containers, paths
