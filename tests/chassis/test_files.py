"""The one reader of a workspace's files, where their readers in the chassis use it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_fleet.errors import ConfigurationError
from quart_fleet.settings import ServiceSettings
from quart_fleet.workspace import Workspace

MARKS = "DEBUG=True\n<<<<<<< HEAD\nSERVICE_PORT=1\n=======\nSERVICE_PORT=2\n>>>>>>> b\n"
TABLE = '[tool.scaffold]\nmetadata = "torn_models:load_metadata"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "pyproject.toml").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("torn_models", None)


def message_of(root: Path, models: bytes) -> str:
    """Return what a workspace says whose models are these bytes."""
    (root / "torn_models").mkdir()
    (root / "torn_models/__init__.py").write_text(
        "from importlib import import_module\n\n\n"
        "def load_metadata():\n    import_module('torn_models.user')\n"
    )
    (root / "torn_models/user.py").write_bytes(models)
    with pytest.raises(ConfigurationError) as refusal:
        Workspace.find(root).load_metadata()
    return refusal.value.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_dotenv_is_read_with_a_byte_order_mark_or_without(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_bytes("DEBUG=True\r\nSERVICE_NAME=Äpfel\r\n".encode(encoding))

    settings = ServiceSettings.load(tmp_path)

    assert (settings.debug, settings.service_name) == (True, "Äpfel")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (MARKS.encode(), "Conflict marks in .env: line 2. Finish the merge: "),
        ("DEBUG=True\n# ä\n".encode("latin-1"), "The byte 0xe4, which is not UTF-8, in .env: line 2. "),
        ("DEBUG=True\n".encode("utf-16"), "UTF-16 instead of UTF-8 in .env: line 1. "),
    ],
)  # fmt: skip
def test_an_unreadable_dotenv_is_told_by_file_and_line(
    root: Path, content: bytes, told: str
) -> None:
    (root / ".env").write_bytes(content)

    with pytest.raises(ConfigurationError) as refusal:
        ServiceSettings.load(root)

    assert refusal.value.message.startswith(told)
    assert "\n" not in refusal.value.message


def test_a_project_file_with_conflict_marks_is_not_another_workspace(root: Path) -> None:
    (root / "pyproject.toml").write_text(f"<<<<<<< HEAD\n{TABLE}=======\n>>>>>>> b\n")

    with pytest.raises(ConfigurationError, match=r"^Conflict marks in pyproject\.toml: line 1\. "):
        Workspace.find(root)


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (b"x = 1\n<<<<<<< HEAD\nx = 2\n=======\n>>>>>>> b\n", "Conflict marks in {}: line 2. "),
        ("x = 'ä'\n".encode("latin-1"), "The byte 0xe4, which is not UTF-8, in {}: line 1. "),
        ("x = 1\n".encode("utf-16"), "UTF-16 instead of UTF-8 in {}: line 1. "),
        (b"\nx = (\n", "Syntax error in {}: line 2. "),
    ],
)
def test_an_unreadable_model_is_told_by_file_and_line(root: Path, models: bytes, told: str) -> None:
    message = message_of(root, models)

    assert message.startswith(told.format("torn_models/user.py"))
    assert "\n" not in message


def test_an_error_that_a_model_raises_is_its_own(root: Path) -> None:
    with pytest.raises(ValueError, match="mine"):
        message_of(root, b"raise ValueError('mine')\n")


def test_what_reads_files_needs_no_installed_package() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import quart_fleet.conventions, quart_fleet.output, quart_fleet.revisions\n"
        "import quart_fleet.workspace\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded - set(sys.stdlib_module_names)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "['quart_fleet']\n"
