"""What of a workspace is the framework's: the parts that `init` carries to the next one."""

import tomllib
from pathlib import Path

from scaffold.errors import ScaffoldError
from scaffold.workspace import PROJECT_FILE

SOURCE = Path(__file__).parents[1]
"""The workspace that this very module belongs to."""


def read_version() -> str:
    """Return the version of the framework that this workspace was made from."""
    try:
        project = tomllib.loads((SOURCE / PROJECT_FILE).read_text("utf-8"))
        return str(project["tool"]["scaffold"]["framework"])
    except (OSError, KeyError) as error:
        raise ScaffoldError(
            f"{SOURCE / PROJECT_FILE} does not say which framework this is "
            f"([tool.scaffold] framework): {error}"
        ) from None
