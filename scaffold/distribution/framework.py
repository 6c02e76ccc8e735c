"""The framework that runs here: its version, what it depends on, and where its files are.

They are read from a clone (an editable install, a Nix store) or from an installed wheel, which
carries the clone's project file as `scaffold/framework.toml`.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from quart_fleet.files import parse_toml
from scaffold.errors import ScaffoldError

SOURCE = Path(__file__).parents[2]
"""The folder that holds this very package: a clone's root, or site-packages."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A distribution, as its project file describes it."""

    project: dict[str, Any]
    """The table `[project]`."""
    wheel: dict[str, Any]
    """The table `[tool.hatch.build.targets.wheel]`, which says what a wheel holds."""

    @property
    def name(self) -> str:
        """The distribution's name."""
        return str(self.project["name"])

    @property
    def version(self) -> str:
        """The distribution's version."""
        return str(self.project["version"])

    @property
    def dependencies(self) -> frozenset[str]:
        """Names of the distributions that it installs, those of its extras too."""
        extras: dict[str, list[str]] = self.project["optional-dependencies"]
        lines = [*self.project["dependencies"], *(one for each in extras.values() for one in each)]
        return frozenset(re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines)


def find_carried(source: str, target: str) -> Path:
    """Return a file that a wheel carries from `source` in a clone to `target`, where it is now."""
    installed = SOURCE / target
    return installed if installed.is_file() else SOURCE / source


@cache
def get_framework() -> Framework:
    """Read the project file; raises ScaffoldError where there is none."""
    path = find_carried("pyproject.toml", "scaffold/framework.toml")
    try:
        document = parse_toml(path)
        wheel = document["tool"]["hatch"]["build"]["targets"]["wheel"]
        return Framework(document["project"], wheel)
    except (OSError, KeyError) as error:
        raise ScaffoldError(
            f"{path} does not describe the framework: {error!r}.\n"
            "Install quart-fleet again, or run the scaffold of a complete clone."
        ) from None
