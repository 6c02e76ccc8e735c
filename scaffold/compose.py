"""The workspace's compose.yaml: what its project is called, and a new service added to it."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

FILE = PurePosixPath("compose.yaml")
ENTRY_TEMPLATE = "compose/service.yaml.jinja"

MARKER = "# python -m scaffold adds new services above this line."
"""Where an entry goes; whoever moves or removes the line decides otherwise."""

_PLACE = re.compile(rf"^ *{re.escape(MARKER)}", re.MULTILINE)
_PROJECT = re.compile(r"^name: *[\"']?([a-z0-9][a-z0-9_-]*)", re.MULTILINE)
_PROJECT_OF_NONE = "fleet"


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """The file as text: whatever its owner wrote stays as it is."""

    text: str
    """Empty where the workspace has no such file."""

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the file of the workspace at `root`."""
        path = root / FILE
        return cls(path.read_bytes().decode() if path.is_file() else "")

    @property
    def project(self) -> str:
        """The name that containers, volumes and networks begin with."""
        found = _PROJECT.search(self.text)
        return found[1] if found else _PROJECT_OF_NONE

    @property
    def takes_entries(self) -> bool:
        """Whether the place for new services is marked."""
        return _PLACE.search(self.text) is not None

    def has(self, service: str) -> bool:
        """Whether something is called like this container."""
        return re.search(rf"^  {re.escape(service)} *:", self.text, re.MULTILINE) is not None

    def extends(self, package: str) -> bool:
        """Whether the service's own file is used."""
        return f"services/{package}/{FILE}" in self.text

    def with_entry(self, entry: str) -> str:
        """Return the text with the service in its place."""
        return _PLACE.sub(lambda marker: f"{entry}\n{marker[0]}", self.text, count=1)
