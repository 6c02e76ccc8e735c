"""What a resource keeps for which no fields are given: presets.toml."""

import tomllib
from pathlib import Path

from scaffold.language.description import ResourceDescription
from scaffold.language.grammar import parse_block

_FILE = Path(__file__).parents[1] / "presets.toml"
_OTHERWISE = "*"


def preset_of(resource: str) -> ResourceDescription:
    """Return the fields that a resource of this name starts with."""
    presets = tomllib.loads(_FILE.read_text("utf-8"))
    return parse_block(presets.get(resource, presets[_OTHERWISE]))
