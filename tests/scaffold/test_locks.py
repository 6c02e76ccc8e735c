"""The locks that a workspace brings: whole, by hash, and true to the framework's dependencies."""

import re
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scaffold.distribution.framework import get_framework
from tests.scaffold.commands import REPOSITORY, done, run, scaffold

_PINNED = re.compile(r"^([a-z0-9-]+)==([^ ;]+)(?: ; (.*?))? \\$", re.MULTILINE)
_REMEDY = "run: make lock"
_TOOLS = {"hatchling", "pip", "uv", "pytest", "mypy", "ruff"}
_INSTALLATION = re.compile(r"\bpip( --?\S+( [^-\s]\S*)?)* install\b|\$\(call run-pip,")
_BY_HASH = r"--require-hashes (--requirement|-r) "
_INSTALLERS = [
    ("Makefile", _BY_HASH + r"requirements-dev\.lock"),
    ("services/user_service/Dockerfile", _BY_HASH + r"requirements\.lock"),
    ("db_manager/Dockerfile", _BY_HASH + r"requirements\.lock"),
]
"""The files that install something, and how each of their commands names the lock."""
_ITSELF = r"\$\((WORKSPACE|CLONE)\)"
"""The code that is worked on, without what it depends on."""
_OLD_PIP = r"/\^pip==/.* --requirement /dev/stdin"
"""The line of pip in the lock, where the virtual environment was made without one."""


def installations(path: Path) -> list[str]:
    """Return every command of a file that installs something; a comment is none."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE))
    lines = re.sub(r"^define run-pip\n.*?^endef$", "", joined, flags=re.MULTILINE | re.DOTALL)
    return [line for line in lines.splitlines() if _INSTALLATION.search(line)]


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
    assert {name for name, *_ in developers} >= _TOOLS
    assert not {name for name, *_ in images} & _TOOLS


@pytest.mark.parametrize(("name", "locked"), _INSTALLERS)
@pytest.mark.slow
def test_whatever_installs_does_so_by_the_hashes_of_the_lock(
    tmp_path: Path, name: str, locked: str
) -> None:
    done(scaffold(tmp_path, "init", "shop"))
    done(scaffold(tmp_path / "shop", "user-service", "8081"))

    commands = installations(tmp_path / "shop" / name)

    assert any(re.search(locked, line) for line in commands)
    allowed = f"{locked}|{_ITSELF}|{_OLD_PIP}"
    assert [line for line in commands if not re.search(allowed, line)] == []


def test_a_workspace_and_its_ci_install_in_no_other_way(fresh: Path) -> None:
    known = {name for name, _ in _INSTALLERS}
    texts = [path for path in fresh.rglob("*") if path.is_file()]
    others = [path for path in texts if path.suffix not in (".whl", ".md")]

    found = [(str(path.relative_to(fresh)), installations(path)) for path in others]

    assert [name for name, lines in found if lines and name not in known] == []
    for name in (".github/workflows/ci.yml", ".gitlab-ci.yml"):
        assert "make install\n" in (fresh / name).read_text()
        assert "requirements-dev.lock" in (fresh / name).read_text()  # what its cache is of


def test_this_repository_installs_what_workspaces_do() -> None:
    locked = r"\$\(LOCKED\) \| .*--require-hashes --requirement (-|/dev/stdin)"
    allowed = f"{locked}|{_ITSELF}|{_OLD_PIP}"

    commands = installations(REPOSITORY / "Makefile")

    assert len([line for line in commands if re.search(locked, line)]) == 2
    unlocked = [line.strip() for line in commands if not re.search(allowed, line)]
    assert len(unlocked) == 1
    assert unlocked[0].endswith("--editable '.[docs]'")  # the site's builder, which nothing runs on
    steps = (REPOSITORY / ".ci/run").read_text().partition("\nneed shfmt")[2]
    assert steps.index("\nmake install\n") < steps.index("make lint")


def test_what_this_repository_installs_is_the_lock_without_the_framework() -> None:
    printed = done(run(REPOSITORY, "make", "--eval=print: ; @$(LOCKED)", "print"))
    template = REPOSITORY / "scaffold/templates/lock/requirements-dev.lock.jinja"

    left = set(template.read_text().splitlines()) - set(printed.splitlines())

    assert left == {
        "--find-links ./vendor",
        "quart-fleet=={{ framework.version }} \\",
        "    --hash=sha256:{{ digest }}",
    }


@pytest.mark.parametrize("installer", ["pip", "uv pip"])
@pytest.mark.slow
def test_another_wheel_than_the_locked_one_is_refused(
    fresh: Path, tmp_path: Path, installer: str
) -> None:
    wheel = next((fresh / "vendor").glob("*.whl"))
    (tmp_path / "vendor").mkdir()
    copy = tmp_path / "vendor" / wheel.name
    copy.write_bytes(wheel.read_bytes())
    text = (fresh / "requirements.lock").read_text()
    [pin] = re.findall(r"^quart-fleet==.*\n.*\n", text, re.MULTILINE)
    (tmp_path / "one.lock").write_text(f"--find-links ./vendor\n{pin}")
    program = ["-m", "pip"] if installer == "pip" else ["-m", "uv", "pip"]
    options = ["--no-index", "--no-deps", "--require-hashes", "-r", "one.lock"]
    command = ["env", "UV_NO_CACHE=1", sys.executable, *program, "install", *options, "--target"]
    done(run(tmp_path, *command, "there"))

    copy.write_bytes(wheel.read_bytes() + b"\0")
    refused = run(tmp_path, *command, "nowhere")

    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()
    assert not (tmp_path / "nowhere/quart_fleet").exists()
