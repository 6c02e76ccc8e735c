"""The locks that a workspace brings: whole, by hash, and true to the framework's dependencies."""

import re
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scaffold.framework import get_framework

_PINNED = re.compile(r"^([a-z0-9-]+)==([^ ;]+)(?: ; (.*?))? \\$", re.MULTILINE)
_REMEDY = "run: make lock"


def pins(lock: Path) -> list[tuple[str, str, str | None]]:
    """Return the name, version and marker of every line."""
    return [(found[1], found[2], found[3]) for found in _PINNED.finditer(lock.read_text())]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_distribution_has_a_version_and_hashes_and_no_address(fresh: Path, name: str) -> None:
    text = (fresh / name).read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "--find-"))]
    heads = [number for number, line in enumerate(lines) if not line.startswith(" ")]

    assert len(heads) == len(pins(fresh / name)) >= 30
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number in heads)
    assert "://" not in text
    assert text.startswith("--find-links ./vendor\n")


@pytest.mark.parametrize(
    ("name", "extras"),
    [("requirements.lock", ()), ("requirements-dev.lock", ("dev", "embedded", "scaffold"))],
)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_a_lock_satisfies_the_framework_under_every_python(
    fresh: Path, name: str, extras: tuple[str, ...], python: str
) -> None:
    project = get_framework().project
    optional = [line for extra in extras for line in project["optional-dependencies"][extra]]
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    locked = {
        name: version
        for name, version, marker in pins(fresh / name)
        if marker is None or Marker(marker).evaluate(here)
    }

    for line in [*project["dependencies"], *optional]:
        requirement = Requirement(line)
        if requirement.name == "quart-fleet":
            continue
        version = locked[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{line}: {_REMEDY}"


def test_images_run_on_what_developers_test(fresh: Path) -> None:
    images, developers = (
        set(pins(fresh / name)) for name in ("requirements.lock", "requirements-dev.lock")
    )

    assert images < developers, _REMEDY
    assert {name for name, *_ in developers} >= {"hatchling", "uv", "pytest", "mypy", "ruff"}
    assert not {name for name, *_ in images} & {"hatchling", "uv", "pytest", "mypy", "ruff"}
