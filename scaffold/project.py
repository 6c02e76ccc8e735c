"""The project file of a workspace: what it says, and how it reads for another workspace."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scaffold.errors import ScaffoldError
from scaffold.workspace import PROJECT_FILE

_FIRST_VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class Project:
    """A project file with [tool.scaffold]."""

    text: str
    name: str
    framework: str
    """The version of the framework that the workspace was made from."""
    dependencies: frozenset[str]
    """Names of the distributions that it installs, its own left out."""

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the project file at `root`; raises ScaffoldError where it is no workspace's."""
        try:
            text = (root / PROJECT_FILE).read_text("utf-8")
            document = tomllib.loads(text)
            project = document["project"]
            framework = document["tool"]["scaffold"]["framework"]
        except (OSError, ValueError, KeyError) as error:
            raise ScaffoldError(
                f"{root / PROJECT_FILE} tells no framework ([tool.scaffold] framework): {error!r}.\n"
                "Run the scaffold of a workspace, or of a clone of the framework."
            ) from None
        extras: dict[str, list[str]] = project.get("optional-dependencies", {})
        lines = [
            *project.get("dependencies", []),
            *(one for extra in extras.values() for one in extra),
        ]
        names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}
        return cls(text, project["name"], framework, frozenset(names - {project["name"]}))

    def text_for(self, name: str) -> str:
        """Return the file for a new workspace; every setting and comment stays."""
        before, heading, table = self.text.partition("[project]\n")
        words = {"name": name, "version": _FIRST_VERSION}
        for key, value in words.items():
            line = re.compile(rf"^{key} *=.*$", re.MULTILINE)
            table = line.sub(f'{key} = "{value}"', table, count=1)
        # Its extras name each other by the distribution's name.
        return before + heading + table.replace(f'"{self.name}[', f'"{name}[')
