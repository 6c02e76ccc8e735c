"""The wheel of the framework: the same bytes from everywhere, and what it holds."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

import quart_fleet
from quart_fleet.conventions import without_foreign_variables
from scaffold.distribution.framework import get_framework
from scaffold.distribution.wheel import Wheel, build_wheel
from tests.requirement import get_program, get_python
from tests.scaffold.commands import REPOSITORY, done, find_unlocked, run, scaffold

VERSION = quart_fleet.__version__
_SHOWN = (
    *("name", "version", "summary", "author", "license_expression", "license_files", "keywords"),
    *("classifiers", "requires_python", "description", "description_content_type"),
)
"""Fields of METADATA that a package index shows."""
_PRINT = "from scaffold.distribution.vendor import collect; import sys, hashlib; print(*(hashlib.sha256(each).hexdigest() for each in collect().values()))"


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    """The wheel, built from this repository."""
    return build_wheel(get_framework())


@pytest.fixture(scope="module")
def archive(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a file."""
    path = tmp_path_factory.mktemp("wheel") / wheel.name
    path.write_bytes(wheel.content)
    return path


def digests(python: str | Path, path: Path | None = None) -> str:
    """Return what an interpreter makes of the vendored files, without this repository on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings = {"PYTHONPATH": str(path)} if path else {}
    command = [str(python), "-B", "-P", "-c", _PRINT]
    return subprocess.run(
        command, cwd="/", env=environment | settings, check=True, capture_output=True, text=True
    ).stdout


def test_the_wheel_holds_the_framework_and_nothing_of_a_workspace(archive: Path) -> None:
    names = zipfile.ZipFile(archive).namelist()

    assert {name.partition("/")[0] for name in names} == {
        *("quart_fleet", "scaffold", "db_manager", f"quart_fleet-{VERSION}.dist-info")
    }
    assert [name for name in names if name.startswith("db_manager/migrations")] == []
    typed = {"quart_fleet/py.typed", "scaffold/py.typed", "db_manager/py.typed"}
    assert typed | {"db_manager/script.py.mako"} < set(names)
    assert "scaffold/templates/workspace/shared/config.py.jinja" in names
    assert [name for name in names if "__pycache__" in name or name.endswith("/.env")] == []


def test_every_tracked_file_of_the_framework_is_in_the_wheel(archive: Path) -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a clone: what git tracks is not known")
    packages = ("quart_fleet", "scaffold", "db_manager")
    listed = subprocess.run(
        ["git", "ls-files", *packages], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    owned = tuple(get_framework().wheel["exclude"])
    tracked = {name for name in listed if not name.startswith(owned)}

    assert tracked <= set(zipfile.ZipFile(archive).namelist())


def test_files_are_sorted_and_tell_neither_a_time_nor_a_machine(archive: Path) -> None:
    entries = zipfile.ZipFile(archive).infolist()
    names = [entry.filename for entry in entries]

    assert names[:-1] == sorted(names[:-1])
    assert names[-1].endswith(".dist-info/RECORD")
    facts = {
        (entry.date_time, entry.external_attr, entry.create_system, entry.compress_type)
        for entry in entries
    }
    assert facts == {((1980, 1, 1, 0, 0, 0), 0o100644 << 16, 3, zipfile.ZIP_STORED)}


def test_a_read_only_copy_makes_the_same_bytes(tmp_path: Path) -> None:
    for package in ("quart_fleet", "scaffold", "db_manager", "shared"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(REPOSITORY / name, tmp_path)
    subprocess.run(["chmod", "-R", "a-w", tmp_path], check=True)
    subprocess.run(["find", tmp_path, "-exec", "touch", "-d", "1970-01-02", "{}", "+"], check=True)

    assert digests(sys.executable, tmp_path) == digests(sys.executable, REPOSITORY)
    subprocess.run(["chmod", "-R", "u+w", tmp_path], check=True)


@pytest.mark.slow
def test_an_installed_wheel_makes_the_same_bytes_and_workspace(
    archive: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        str(archive),
    ]
    subprocess.run(install, check=True)
    # Its dependencies are borrowed; what it is imported from is its own.
    [site] = (tmp_path / "venv/lib").glob("python*/site-packages")
    borrowed = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")

    assert digests(python) == digests(sys.executable, REPOSITORY)
    command = (str(python), "-P", "-m", "scaffold", "init", "installed/fleet")
    done(run(tmp_path, "env", "-u", "PYTHONPATH", *command))
    done(scaffold(tmp_path, "init", "cloned/fleet"))
    difference = ["diff", "--recursive", "installed", "cloned"]
    assert done(run(tmp_path, *difference)) == ""


def test_hatchling_builds_a_wheel_of_the_same_files(archive: Path, tmp_path: Path) -> None:
    code = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    done(run(REPOSITORY, sys.executable, "-c", code))
    [built] = tmp_path.glob("*.whl")

    assert set(zipfile.ZipFile(built).namelist()) == set(zipfile.ZipFile(archive).namelist())


def test_hatchling_describes_the_same_distribution(archive: Path, tmp_path: Path) -> None:
    code = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    done(run(REPOSITORY, sys.executable, "-c", code))
    [built] = tmp_path.glob("*.whl")
    ours, theirs = describe(archive), describe(built)

    assert requirements(ours) == requirements(theirs)
    for field in _SHOWN:
        assert getattr(ours, field) == getattr(theirs, field), field
        assert getattr(ours, field), field


def describe(wheel: Path) -> Metadata:
    """Read METADATA; raises where a field is none of those that an index takes."""
    text = zipfile.ZipFile(wheel).read(f"quart_fleet-{VERSION}.dist-info/METADATA")
    return Metadata.from_email(text)


def requirements(metadata: Metadata) -> set[tuple[str, str, str]]:
    """Return what a service needs, by name, versions and marker."""
    return {
        (each.name.lower(), str(each.specifier), str(each.marker))
        for each in metadata.requires_dist or []
        if "extra" not in str(each.marker)
    }


def test_the_locks_hold_the_hash_of_the_wheel(wheel: Wheel, fresh: Path) -> None:
    assert (fresh / "vendor" / wheel.name).read_bytes() == wheel.content
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (fresh / name).read_text()
        assert f"quart-fleet=={VERSION} \\\n    --hash=sha256:{wheel.digest}\n" in text
    assert wheel.digest == hashlib.sha256(wheel.content).hexdigest()


PYTHONS = [
    classifier.rpartition(" ")[2]
    for classifier in get_framework().project["classifiers"]
    if classifier.startswith("Programming Language :: Python :: 3.")
]
_FROM_THE_WHEEL = """
. first/bin/activate
pip install --quiet "$WHEEL[scaffold]"
python -m scaffold --version
python -m db_manager --version
fleet --version
fleet init shop
deactivate
cd shop
make install "PYTHON=$PYTHON"
. .venv/bin/activate
fleet user-service 8081
python services/user_service/app.py --version
make $CHECKS
"""


def test_the_declared_pythons_begin_with_the_oldest_that_is_required() -> None:
    assert len(PYTHONS) >= 3
    assert get_framework().project["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_alone_makes_a_workspace_that_passes_its_checks(
    archive: Path, tmp_path: Path, version: str
) -> None:
    python = get_python(version)
    done(run(tmp_path, python, "-m", "venv", "first"))
    own = without_foreign_variables(os.environ)
    path = os.pathsep.join([str(Path(get_program("uv")).parent), own["PATH"]])
    checks = "lint types test" if version in (PYTHONS[0], PYTHONS[-1]) else "test"
    settings = {"PATH": path, "WHEEL": str(archive), "PYTHON": python, "CHECKS": checks}
    completed = subprocess.run(
        ["bash", "-ec", _FROM_THE_WHEEL],
        cwd=tmp_path,
        env={name: value for name, value in own.items() if name != "PYTHONPATH"} | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    output = completed.stdout
    assert completed.returncode == 0, output + completed.stderr
    assert f"scaffold {VERSION}\ndb_manager {VERSION}\nfleet {VERSION}\n" in output
    assert f"user-service on quart-fleet {VERSION}\n" in output
    assert " passed" in output
    assert find_unlocked(tmp_path / "shop") == set()


def test_services_import_one_package_of_the_framework(with_user_service: Path, fresh: Path) -> None:
    sources = [*with_user_service.rglob("*.py"), *(fresh / "shared").rglob("*.py")]
    imported = {
        name.partition(".")[0]
        for source in sources
        for node in ast.walk(ast.parse(source.read_text()))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported & set(get_framework().wheel["packages"]) == {"quart_fleet"}
